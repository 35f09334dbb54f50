"""Who hears what, and what happens to those who read slowly; no sockets."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract import codec
from md_contract.signals import Alert
from md_contract.subjects import ALERTS, feature_subject, signal_subject
from senpai.md_consumer.stream import KINDS, Hub, Listener, Tap, TooManyListenersError, Wish

ALL = Wish(frozenset(KINDS), None)


def wish(*symbols: str, kinds: tuple[str, ...] = KINDS) -> Wish:
    return Wish(frozenset(kinds), frozenset(symbols))


def alert(symbol: str | None) -> bytes:
    return codec.encode(Alert("1", "stale", "firing", "warning", symbol, None, None, None, "x", 1))


def events(listener: Listener) -> list[tuple[str, str]]:
    """All that waits, as (event, data)."""
    text = ""
    while piece := listener.take():
        text += piece.decode()
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in text.split("\n\n") if block]
    return [(block["event"], block["data"]) for block in blocks]


def nothing() -> None:
    pass


def test_everybody_hears_what_belongs_to_the_wish() -> None:
    hub = Hub()
    everything, one, signals = (
        hub.join(wanted, nothing) for wanted in (ALL, wish("BTC/USD"), wish("BTC/USD", kinds=("signals",)))
    )
    for symbol in ("BTC/USD", "ETHUSDT"):
        hub.offer(feature_subject(symbol), b"f" + symbol.encode())
        hub.offer(signal_subject(symbol), b"s" + symbol.encode())
    for about in ("BTC/USD", "ETHUSDT", None):
        hub.offer(ALERTS, alert(about))
    assert len(events(everything)) == 7
    found = events(one)
    assert ("features", "fBTC/USD") in found
    assert ("signals", "sBTC/USD") in found
    assert [json.loads(data)["symbol"] for kind, data in found if kind == "alerts"] == ["BTC/USD", None]
    assert len(found) == 4
    assert events(signals) == [("signals", "sBTC/USD")]
    assert hub.sent == 12


def test_features_give_way_to_newer_ones_and_keep_their_place() -> None:
    hub = Hub()
    listener = hub.join(ALL, nothing)
    for number, symbol in enumerate(["A", "B", "A", "C", "A"]):
        hub.offer(feature_subject(symbol), b"%d" % number)
    assert events(listener) == [("features", "4"), ("features", "1"), ("features", "3")]
    assert hub.conflated == 2


def test_who_leaves_too_many_signals_waiting_gets_them_all_and_then_the_reason() -> None:
    hub = Hub(max_waiting=3)
    slow, quick = hub.join(ALL, nothing), hub.join(ALL, nothing)
    for number in range(5):
        hub.offer(signal_subject("A"), b"%d" % number)
        assert events(quick) == [("signals", str(number))]
    heard = events(slow)
    assert [data for _, data in heard[:3]] == ["0", "1", "2"]
    (last,) = heard[3:]
    assert last[0] == "closed"
    assert "too slow" in json.loads(last[1])["why"]
    assert (hub.too_slow, quick.over, slow.over) == (1, False, True)
    hub.offer(feature_subject("A"), b"6")
    assert events(slow) == []


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.booleans(), st.booleans()), max_size=60), st.integers(1, 5))
def test_no_signal_is_left_out_before_the_end_and_the_last_features_always_come(
    steps: list[tuple[str, bool, bool]], bound: int
) -> None:
    hub = Hub(max_waiting=bound)
    listener = hub.join(ALL, nothing)
    offered: list[str] = []
    last: dict[str, str] = {}
    heard: list[tuple[str, str]] = []
    for number, (symbol, is_signal, reads) in enumerate(steps):
        if is_signal:
            offered.append(str(number))
            hub.offer(signal_subject(symbol), b"%d" % number)
        elif not listener.over:
            last[symbol] = str(number)
            hub.offer(feature_subject(symbol), b"%d" % number)
        if reads:
            heard += events(listener)
    heard += events(listener)
    signals = [data for kind, data in heard if kind == "signals"]
    assert signals == offered[: len(signals)]
    assert listener.over or signals == offered
    assert listener.over == ("closed" in [kind for kind, _ in heard])
    assert set(last.values()) <= {data for kind, data in heard if kind == "features"}
    assert (
        len([kind for kind, _ in heard if kind == "features"]) + hub.conflated
        == len([step for step in steps if not step[1]])
        or listener.over
    )


def test_more_readers_than_the_limit_are_refused_until_one_leaves() -> None:
    hub = Hub(max_listeners=2)
    first = hub.join(ALL, nothing)
    hub.join(ALL, nothing)
    with pytest.raises(TooManyListenersError, match="2 readers"):
        hub.join(ALL, nothing)
    hub.leave(first)
    hub.leave(first)
    hub.join(ALL, nothing)
    assert (hub.refused, len(hub.listeners)) == (1, 2)


def test_a_piece_is_bounded_though_much_waits() -> None:
    hub = Hub()
    listener = hub.join(ALL, nothing)
    for number in range(200):
        hub.offer(feature_subject(f"S{number}"), b"x" * 1_000)
    assert len(listener.take()) < 80_000


class Link:
    def __init__(self) -> None:
        self.writable = True
        self.taken: list[str] = []

    def publish(self, subject: str, _payload: bytes) -> bool:
        if self.writable:
            self.taken.append(subject)
        return self.writable


@pytest.fixture
def tap() -> tuple[Tap, Link, Hub]:
    link, hub = Link(), Hub()
    return Tap(link, hub), link, hub


def test_the_tap_offers_what_nats_has_taken_and_nothing_else(tap: tuple[Tap, Link, Hub]) -> None:
    way, link, hub = tap
    listener = hub.join(ALL, nothing)
    assert way.publish(feature_subject("A"), b"1")
    link.writable = False
    assert not way.writable
    assert not way.publish(feature_subject("B"), b"2")
    assert events(listener) == [("features", "1")]


def test_while_nobody_listens_the_hub_is_not_asked(tap: tuple[Tap, Link, Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    way, link, hub = tap
    asked: list[str] = []
    listen: Callable[[str, bytes], None] = lambda subject, _: asked.append(subject)  # noqa: E731  # short
    monkeypatch.setattr(hub, "offer", listen)
    way.publish(feature_subject("A"), b"1")
    assert (link.taken, asked) == ([feature_subject("A")], [])
