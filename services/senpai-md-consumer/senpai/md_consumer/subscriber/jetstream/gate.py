"""What the drain hands on in JetStream mode: nothing while the past is read again, and signals only while valid."""

from collections.abc import Callable, Iterable

from md_contract.signals import Signal
from senpai.md_consumer.subscriber.drain import Outlet


class Gate:
    """An `Outlet` before the real one; shut until `open` is set."""

    def __init__(self, outlet: Outlet, *, age_ns: Callable[[], int], on_worked_off: Callable[[bool], None]) -> None:
        """`age_ns()` is how long ago the event in hand was stored; `on_worked_off(urgent)` is called after each batch,
        `urgent` when a signal has gone out with it.
        """
        self.open = False
        self.muted = 0  # signals that belong to messages worked off by an earlier run
        self.outdated = 0  # new signals found so late that they are not valid any more; a cancel always goes out
        self._outlet = outlet
        self._age_ns = age_ns
        self._on_worked_off = on_worked_off
        self._urgent = False

    def emit(self, signals: Iterable[Signal]) -> None:
        signals = list(signals)
        if not self.open:
            self.muted += len(signals)
            return
        age_ns = self._age_ns()
        valid = [one for one in signals if one.state == "cancel" or age_ns <= max(0, one.valid_until - one.ts)]
        self.outdated += len(signals) - len(valid)
        if valid:
            self._urgent = True
            self._outlet.emit(valid)

    def touch(self, symbols: Iterable[str], now_ns: int) -> None:
        """The end of a batch."""
        self.changed(symbols, now_ns)
        urgent, self._urgent = self._urgent, False
        self._on_worked_off(urgent)

    def changed(self, symbols: Iterable[str], now_ns: int) -> None:
        """The features of these symbols have changed, within a batch or without one."""
        if self.open:
            self._outlet.touch(symbols, now_ns)
