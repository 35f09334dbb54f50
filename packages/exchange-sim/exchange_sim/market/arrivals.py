"""When things happen: a self-exciting (Hawkes) process, where every arrival makes further ones likelier for a while."""

import math
import random
from typing import Final

BRANCHING: Final = 0.6  # mean number of further arrivals that one arrival causes
DECAY_PER_S: Final = 15.0
_STRIDE_S: Final = 0.25  # how far ahead one look goes before the base rate is asked again


class Arrivals:
    """Arrival times with a mean of `rate` a second when the boost is 1."""

    def __init__(self, rng: random.Random, rate: float) -> None:
        self._rng = rng
        self._base = rate * (1 - BRANCHING)
        self._excited = 0.0  # intensity added by earlier arrivals, at the time last returned

    def after(self, t_s: float, boost: float) -> float | None:
        """Return the next arrival after `t_s`; None when there is none in the next quarter second.

        `boost` multiplies the base rate. After None, ask again from `t_s + STRIDE_S`.
        """
        base = self._base * boost
        at = t_s
        while True:
            ceiling = base + self._excited
            wait = self._rng.expovariate(ceiling)
            if at + wait > t_s + _STRIDE_S:
                self._excited *= math.exp(-DECAY_PER_S * (t_s + _STRIDE_S - at))
                return None
            at += wait
            self._excited *= math.exp(-DECAY_PER_S * wait)
            if self._rng.random() * ceiling <= base + self._excited:
                self._excited += BRANCHING * DECAY_PER_S
                return at


STRIDE_S: Final = _STRIDE_S
