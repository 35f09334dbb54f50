"""Messages that come twice, and events that come in another order, change no feature."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from md_contract import codec
from md_contract.events import TYPE_OF, BookL2, Event, Quote, Side, Trade
from md_contract.signals import Signal
from md_contract.subjects import event_subject
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber import Subscriber

START = 1_760_000_000 * NS_PER_S
SYMBOL = "BTCUSDT"
SIDES: st.SearchStrategy[Side | None] = st.sampled_from(["buy", "sell", None])
LATEST_MS = 4_000  # late enough to be put in between others, early enough for every window


class Outlet:
    """Where nothing is published."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []

    def emit(self, signals: Iterable[Signal]) -> None:
        self.signals += signals

    def touch(self, symbols: Iterable[str], now_ns: int) -> None:
        pass


class Consumer:
    """The whole way from NATS's bytes to the features, with a loop turned by hand and a clock that stands."""

    def __init__(self, lossless: bool) -> None:
        self.pipeline = Pipeline(PipelineOptions())
        self.outlet = Outlet()
        self.calls: list[Callable[[], None]] = []
        self.subscriber = Subscriber(
            EventQueue(1_000, 2_000),
            self.pipeline,
            self.outlet,
            call_soon=self.calls.append,
            mono_ns=lambda: 0,
            wall_ns=lambda: START,
            lossless=lossless,
        )

    def receive(self, event: Event) -> None:
        self.subscriber.on_message(event_subject(TYPE_OF[type(event)], SYMBOL), codec.encode(event))
        for call in self.calls:
            call()
        self.calls.clear()

    @property
    def features(self) -> dict[str, Any]:
        vector = self.pipeline.features(SYMBOL, 0, 0)
        assert vector is not None
        return vector.features

    @property
    def duplicates(self) -> int:
        return sum(self.subscriber.sequences.duplicates.values())


@st.composite
def market(draw: st.DrawFn) -> list[Event]:
    """Events in the order of their times, all different, and first and last ones that stay where they are."""
    events: list[Event] = [
        Trade("binance", SYMBOL, START - 1, "100", "1", "0", "buy", START - 1),
        Quote("binance", SYMBOL, START - 1, "99", "1", "101", "1", START - 1),
        BookL2("binance", SYMBOL, START - 1, [("99", "1")], [("101", "2")], START - 1),
    ]
    times = sorted(draw(st.sets(st.integers(0, 25_000), min_size=2, max_size=30)))
    for i, ms in enumerate(times, 1):
        ts, price, size = START + ms * NS_PER_MS, 100 + draw(st.integers(-5, 5)), str(draw(st.integers(1, 9)))
        if draw(st.booleans()):
            events.append(Quote("binance", SYMBOL, ts, str(price - 1), size, str(price), "3", ts))
        else:
            side = draw(SIDES)
            events.append(Trade("binance", SYMBOL, ts, str(price), size, str(i), side, ts))
    over = START + 26_000 * NS_PER_MS
    events.append(Trade("binance", SYMBOL, over, "100", "1", "end", None, over))
    return events


def number(events: Iterable[Event]) -> None:
    """As the producer does: in the order of publication, for each subject."""
    last = dict.fromkeys([Trade, Quote, BookL2], 0)
    for event in events:
        last[type(event)] += 1
        event.seq, event.epoch = last[type(event)], 7


@settings(max_examples=60, deadline=None)
@given(events=market(), data=st.data(), lossless=st.booleans())
def test_features_are_those_of_every_event_once_and_in_order(
    events: list[Event], data: st.DataObject, lossless: bool
) -> None:
    """In JetStream mode what was published in order may come out of it; a plain subscription keeps the order."""
    inner = events[3:-1]
    late = {id(event): data.draw(st.integers(0, LATEST_MS)) * NS_PER_MS for event in inner}
    moved = [*events[:3], *sorted(inner, key=lambda event: event.ts_recv + late[id(event)]), events[-1]]
    number(events if lossless else moved)
    ordered, disturbed = Consumer(lossless=False), Consumer(lossless)
    for event in sorted(events, key=lambda event: event.ts_recv):
        ordered.pipeline.on_event(event, 0)
    repeats = 0
    for i, event in enumerate(moved):
        disturbed.receive(event)
        for back in data.draw(st.lists(st.integers(0, i), max_size=2)):
            disturbed.receive(moved[i - back])
            repeats += 1
    assert disturbed.duplicates == repeats
    expected = ordered.features
    assert disturbed.features == {
        name: None if value is None else pytest.approx(value, rel=1e-9, abs=1e-14) for name, value in expected.items()
    }


def test_a_repeat_would_change_the_features_if_it_were_applied() -> None:
    """The test above can fail."""
    trade = Trade("binance", SYMBOL, START, "100", "1", "1", "buy", START, seq=1, epoch=7)
    consumer = Consumer(lossless=False)
    consumer.receive(trade)
    consumer.receive(trade)
    assert (consumer.features["trade_count_10s"], consumer.duplicates) == (1, 1)
    consumer.pipeline.on_event(trade, 0)
    assert consumer.features["trade_count_10s"] == 2
