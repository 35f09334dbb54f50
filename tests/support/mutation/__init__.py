"""Break the code in one place at a time, and see whether a test notices. `tests/mutation_check.py` is the way in."""
