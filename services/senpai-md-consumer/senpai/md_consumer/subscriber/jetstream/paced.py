"""The heart, with its seconds counted by the messages while we are behind. Pure.

A consumer that was never behind looks at the quiet symbols once a second. One that reads what it missed has to do the
same between the same events: a second passes when the messages say so, not when ours does.
"""

from collections.abc import Callable, Sequence
from typing import Final

from md_contract.events import Event
from md_contract.signals import Signal
from md_contract.units import NS_PER_S
from senpai.md_consumer.subscriber.drain import Heart

MOST_TICKS: Final = 120  # in one go: a longer silence of all symbols is passed in one step


class PacedHeart:
    """A `Heart` whose `on_time` is called before the event with which its time comes."""

    def __init__(self, heart: Heart, on_time: Callable[[int], None]) -> None:
        """`on_time(mono_ns)` is called about once for each second."""
        self.now_ns = 0  # of the last event or tick
        self.ticking = False
        self._heart = heart
        self._on_time = on_time
        self._next_ns = 0

    def on_event(self, event: Event, mono_ns: int) -> Sequence[Signal]:
        if mono_ns >= self._next_ns and self.ticking:
            self.pass_until(mono_ns)
        self.now_ns = mono_ns
        return self._heart.on_event(event, mono_ns)

    def on_bus_gap(self, event_type: str, symbol: str, missing: int, _: int) -> None:
        self._heart.on_bus_gap(event_type, symbol, missing, self.now_ns)

    def pass_until(self, mono_ns: int) -> None:
        """Let the seconds up to `mono_ns` pass."""
        if mono_ns - self._next_ns > MOST_TICKS * NS_PER_S:
            self._next_ns = mono_ns
        while self._next_ns <= mono_ns:
            self.now_ns = max(self.now_ns, self._next_ns)
            self._on_time(self._next_ns)
            self._next_ns += NS_PER_S
