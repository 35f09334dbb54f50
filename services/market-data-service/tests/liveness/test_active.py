"""The doors: whose events go on, and what a switch looks like on the bus."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.liveness.active import Doors
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def doors() -> tuple[Doors, list[Event]]:
    published: list[Event] = []
    return Doors(["binance", "bybit"], SYMBOLS, published.append), published


def trade(provider: str, number: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade(provider, symbol, number, "1", "1", str(number))


def quote(provider: str, number: int, symbol: str = "BTCUSDT") -> Quote:
    return Quote(provider, symbol, number, "1", "1", "2", "1")


def book(provider: str, number: int, symbol: str = "BTCUSDT") -> BookL2:
    return BookL2(provider, symbol, number, [("1", "1")], [("2", "1")])


def status(provider: str, kind: str, symbol: str) -> Status:
    return Status(provider, symbol, 1, kind, {})


def seen(published: list[Event]) -> list[Any]:
    return [(type(event).__name__, event.provider, event.symbol, event.ts_recv) for event in published]


def test_only_the_active_providers_events_pass_and_the_others_are_counted() -> None:
    gate, published = doors()
    for event in (trade("bybit", 1), quote("bybit", 2), status("bybit", "gap", "BTCUSDT")):
        gate["bybit"].publish(event)
    assert published == []
    assert (gate["bybit"].held, gate["binance"].held) == (3, 0)
    gate["binance"].publish(trade("binance", 1))
    assert seen(published) == [("Trade", "binance", "BTCUSDT", 1)]


def test_what_a_standby_says_about_itself_as_a_whole_passes() -> None:
    gate, published = doors()
    gate["bybit"].publish(status("bybit", "stale", "__system__"))
    gate["bybit"].publish(Heartbeat("bybit", "__system__", 1, "silent", 1, True))
    assert [type(event) for event in published] == [Status, Heartbeat]
    assert gate["bybit"].held == 0


def test_a_switch_tells_every_symbol_first_and_then_gives_the_new_sources_state() -> None:
    gate, published = doors()
    gate["binance"].publish(quote("binance", 1))
    for event in (
        quote("bybit", 2), trade("bybit", 3), quote("bybit", 4), book("bybit", 5), book("bybit", 6, "ETHUSDT"),
    ):  # fmt: skip
        gate["bybit"].publish(event)
    published.clear()
    gate.switch("bybit", "because", 9, [status("bybit", "stale", "ETHUSDT")])
    gate["bybit"].publish(trade("bybit", 10))
    gate["binance"].publish(trade("binance", 11))
    assert seen(published) == [
        ("Status", "bybit", "BTCUSDT", 9),
        ("Status", "bybit", "ETHUSDT", 9),
        ("Status", "bybit", "ETHUSDT", 1),
        ("Quote", "bybit", "BTCUSDT", 4),
        ("BookL2", "bybit", "BTCUSDT", 5),
        ("BookL2", "bybit", "ETHUSDT", 6),
        ("Trade", "bybit", "BTCUSDT", 10),
    ]
    first = published[0]
    assert isinstance(first, Status)
    assert (first.kind, first.detail) == ("source_switch", {"from": "binance", "to": "bybit", "reason": "because"})
    assert gate.last_switch == first.detail
    assert gate.switches == {("binance", "bybit"): 1}


def test_state_that_was_published_before_is_not_published_again_on_the_way_back() -> None:
    gate, published = doors()
    gate["binance"].publish(quote("binance", 1))
    gate["binance"].publish(book("binance", 2))
    gate.switch("bybit", "", 3)
    gate["binance"].publish(quote("binance", 4, "ETHUSDT"))
    published.clear()
    gate.switch("binance", "", 5)
    assert [one for one in seen(published) if one[0] != "Status"] == [("Quote", "binance", "ETHUSDT", 4)]


def test_state_from_before_a_reconnect_is_forgotten() -> None:
    gate, published = doors()
    gate["bybit"].publish(quote("bybit", 1))
    gate["bybit"].publish(quote("bybit", 2, "ETHUSDT"))
    gate["bybit"].publish(status("bybit", "reconnect", "BTCUSDT"))
    gate["bybit"].publish(status("bybit", "gap", "ETHUSDT"))  # of trades: the quote is as good as before
    gate["bybit"].publish(trade("bybit", 2, "ETHUSDT"))
    gate.switch("bybit", "", 3)
    assert [one for one in seen(published) if one[0] == "Quote"] == [("Quote", "bybit", "ETHUSDT", 2)]


STEPS = st.lists(st.sampled_from(["binance", "bybit", "switch"]), max_size=100)


@given(STEPS)
def test_no_trade_of_the_active_provider_is_lost_or_doubled_and_none_comes_before_its_switch(steps: list[str]) -> None:
    gate, published = doors()
    expected: list[tuple[str, int]] = []
    for number, step in enumerate(steps):
        if step == "switch":
            gate.switch("bybit" if gate.active == "binance" else "binance", "", number)
            continue
        gate[step].publish(trade(step, number))
        if step == gate.active:
            expected.append((step, number))
    assert [(event.provider, event.ts_recv) for event in published if isinstance(event, Trade)] == expected
    source = "binance"
    for event in published:
        if isinstance(event, Status):
            source = event.detail["to"]
        assert event.provider == source
    assert len(expected) + gate["binance"].held + gate["bybit"].held == sum(step != "switch" for step in steps)
