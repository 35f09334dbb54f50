from collections.abc import Callable, Iterable

import pytest

from md_contract import codec
from md_contract.events import TYPE_OF, Event, Quote, Trade
from md_contract.signals import Signal
from md_contract.subjects import event_subject
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber import Subscriber

NOW = 1_760_000_000_000_000_000


class Feed:
    """Makes events, and the messages they travel in."""

    now = NOW

    def trade(self, seq: int = 0, symbol: str = "BTCUSDT", epoch: int = 1, price: str = "100") -> Trade:
        return Trade("binance", symbol, NOW, price, "1", str(seq), ts_event=NOW - 5, seq=seq, epoch=epoch if seq else 0)

    def quote(self, seq: int = 0, symbol: str = "BTCUSDT", epoch: int = 1) -> Quote:
        return Quote("binance", symbol, NOW, "99", "1", "101", "1", seq=seq, epoch=epoch if seq else 0)

    def message(self, event: Event) -> tuple[str, bytes]:
        return event_subject(TYPE_OF[type(event)], event.symbol), codec.encode(event)


class Recorder:
    """A heart and an outlet that write down what reaches them, in order."""

    def __init__(self) -> None:
        self.seen: list[Event | tuple[str, str, int]] = []
        self.touched: list[str] = []
        self.fail_on: Callable[[Event], bool] = lambda _: False

    def on_event(self, event: Event, mono_ns: int) -> list[Signal]:
        if self.fail_on(event):
            raise ZeroDivisionError("a fault")
        self.seen.append(event)
        return []

    def on_bus_gap(self, event_type: str, symbol: str, missing: int, mono_ns: int) -> None:
        self.seen.append((event_type, symbol, missing))

    def emit(self, signals: Iterable[Signal]) -> None:
        raise AssertionError("no signal is expected")

    def touch(self, symbols: Iterable[str], now_ns: int) -> None:
        self.touched += symbols

    @property
    def trail(self) -> list[str | tuple[str, str, int]]:
        """`trade 7` for an event with that seq, gap notices as they are."""
        return [item if isinstance(item, tuple) else f"{TYPE_OF[type(item)]} {item.seq}" for item in self.seen]


class Rig:
    """A subscriber with a loop that is turned by hand and a clock of one millisecond a reading."""

    def __init__(self, capacity: int = 100, hard_bound: int = 200, batch: int = 256, max_streams: int = 100) -> None:
        self.feed = Feed()
        self.recorder = Recorder()
        self.queue = EventQueue(capacity, hard_bound)
        self.calls: list[Callable[[], None]] = []
        self.mono_ns = 0
        self.subscriber = Subscriber(
            self.queue,
            self.recorder,
            self.recorder,
            call_soon=self.calls.append,
            mono_ns=self._clock,
            wall_ns=lambda: NOW,
            max_streams=max_streams,
            batch=batch,
        )

    def _clock(self) -> int:
        self.mono_ns += 1_000_000
        return self.mono_ns

    def send(self, *events: Event) -> None:
        for event in events:
            self.subscriber.on_message(*self.feed.message(event))

    def turn(self) -> None:
        """One turn of the loop."""
        calls, self.calls[:] = list(self.calls), []
        for call in calls:
            call()

    def settle(self) -> None:
        while self.calls:
            self.turn()

    def assert_ledger_closes(self) -> None:
        assert {line.difference for line in self.queue.ledger().values()} == {0}


@pytest.fixture(scope="session")
def feed() -> Feed:
    return Feed()


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture(scope="session")
def make_rig() -> type[Rig]:
    return Rig
