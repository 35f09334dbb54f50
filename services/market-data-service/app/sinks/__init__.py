"""Where events leave the service. A new sink is one file here and a few lines in `service.py`."""
