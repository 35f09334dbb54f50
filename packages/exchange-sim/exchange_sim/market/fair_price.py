"""Where the price wants to be: a bounded wander, and from time to time a move that a signal rule should see.

Calm: the wander stays within 0.1 % of its centre, so that no 10 seconds of it move the price by 0.2 %, and usually not
by 0.05 %. A move shifts the centre by 0.36 to 0.45 % within 5 to 8 seconds; around a move the wander is subdued, so
that the whole change over 10 seconds stays between 0.3 and 0.5 %.
"""

import math
import random
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from exchange_sim.market.chance import generator

_GRID_S: Final = 0.1
_WANDER_PER_SQRT_S: Final = 9.5e-5  # standard deviation of the log price over one second, when calm
_PULL_PER_S: Final = 0.02
_BOUND: Final = 1e-3
_QUIET_S: Final = 10.0  # before and after a move
_QUIET_FACTOR: Final = 0.25


class Move(NamedTuple):
    """A shift of the price by the fraction `size` (negative: down) in `over_s` seconds from `at_s` on."""

    at_s: float
    size: float
    over_s: float

    def progress(self, t_s: float) -> float:
        """Return how much of the move is done at `t_s`, from 0 to 1, slow at both ends."""
        share = min(1.0, max(0.0, (t_s - self.at_s) / self.over_s))
        return share * share * (3 - 2 * share)


def recurring_moves(rng: random.Random) -> Iterator[Move]:
    """Yield moves for ever: the first after 25 to 40 s, then one every minute or two, drawn back to where it began."""
    at_s = rng.uniform(25, 40)
    level = 0.0
    while True:
        up = rng.random() < 0.5 - 0.4 * max(-1.0, min(1.0, level / 0.02))
        move = Move(at_s, rng.uniform(0.0036, 0.0045) * (1 if up else -1), rng.uniform(5, 8))
        yield move
        level += move.size
        at_s = move.at_s + rng.uniform(62, 118)


class FairPrice:
    """The fair price over time, as a multiple of the opening price. Times must not go back."""

    def __init__(self, rng: random.Random, moves: Iterable[Move] | None = None, wander: float = 1.0) -> None:
        """Begin at 1.

        Args:
            rng: for the wander, and for the moves when none are given.
            moves: in order of time and not overlapping; by default `recurring_moves`.
            wander: 0 holds the price still between moves, 1 is usual.
        """
        self._rng = rng
        self._moves = iter(recurring_moves(generator(rng.getrandbits(64))) if moves is None else moves)
        self._move = next(self._moves, None)
        self._after_move_until = -math.inf
        self._level = 0.0  # log price after all finished moves
        self._wander = wander
        self._node = 0  # the wander is known at nodes `_node` and `_node + 1` of the grid
        self._at_node = 0.0
        self._at_next_node = 0.0

    def at(self, t_s: float) -> float:
        """Return the fair price at `t_s` seconds, as a multiple of the opening price."""
        while (self._node + 1) * _GRID_S <= t_s:
            self._walk()
        self._pass_moves(t_s)
        level = self._level
        if self._move is not None:
            level += math.log1p(self._move.size) * self._move.progress(t_s)
        share = t_s / _GRID_S - self._node
        return math.exp(level + self._at_node + share * (self._at_next_node - self._at_node))

    def direction(self, t_s: float) -> int:
        """Return +1 or -1 while a move up or down is under way, else 0."""
        move = self._move
        if move is None or not move.at_s <= t_s < move.at_s + move.over_s:
            return 0
        return 1 if move.size > 0 else -1

    def _pass_moves(self, t_s: float) -> None:
        while self._move is not None and t_s >= self._move.at_s + self._move.over_s:
            self._level += math.log1p(self._move.size)
            self._after_move_until = self._move.at_s + self._move.over_s + _QUIET_S
            self._move = next(self._moves, None)

    def _walk(self) -> None:
        self._node += 1
        t_s = (self._node + 1) * _GRID_S
        self._pass_moves(self._node * _GRID_S)
        subdued = t_s < self._after_move_until or (self._move is not None and t_s > self._move.at_s - _QUIET_S)
        scale = self._wander * _WANDER_PER_SQRT_S * math.sqrt(_GRID_S) * (_QUIET_FACTOR if subdued else 1.0)
        pull = 0.0 if subdued else _PULL_PER_S * _GRID_S
        self._at_node = self._at_next_node
        wandered = self._at_node * (1 - pull) + self._rng.gauss(0, 1) * scale
        self._at_next_node = max(-_BOUND, min(_BOUND, wandered))
