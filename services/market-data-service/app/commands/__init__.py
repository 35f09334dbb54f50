"""The commands that look at what was stored; `cli` puts them beside `run`."""
