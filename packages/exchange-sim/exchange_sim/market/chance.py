"""Where the invented market gets its randomness from: seeded, and no secret."""

import random


def generator(seed: int | str) -> random.Random:
    """Return a generator that gives the same numbers for the same seed."""
    return random.Random(seed)  # noqa: S311 - an invented market needs no secrets
