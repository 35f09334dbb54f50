"""What is subscribed is what the venue lists, compared with what was wanted."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def open_line(dial: Any, alpaca: Any, symbols: list[str], feed: str = "iex") -> Any:
    line = dial(feed, symbols)
    line.open()
    line.hear(alpaca.connected)
    line.asked()
    line.hear(alpaca.authenticated)
    return line


def refused(line: Any) -> dict[str, list[str]]:
    """By channel, the symbols that were told to be refused."""
    told: dict[str, list[str]] = {}
    for notice in line.notices:
        if notice.event == "subscription refused":
            for channel in ("trades", "quotes", "orderbooks"):
                told.setdefault(channel, []).extend(filter(None, notice.fields.get(channel, "").split(",")))
    return {channel: sorted(symbols) for channel, symbols in told.items() if symbols}


def test_many_symbols_are_asked_for_in_several_requests(dial: Any, alpaca: Any) -> None:
    symbols = [f"A{number}" for number in range(450)]
    line = open_line(dial, alpaca, symbols)
    venue = alpaca.Venue()
    requests = line.serve(venue)
    assert [len(request["trades"]) for request in requests] == [200, 200, 50]
    assert venue.listed == {"trades": symbols, "quotes": symbols}
    assert line.conversation.subscribed()


def test_a_symbol_that_the_list_lacks_is_asked_for_again_once(dial: Any, alpaca: Any) -> None:
    line = open_line(dial, alpaca, ["AAPL", "MSFT", "SPY"])
    venue = alpaca.Venue(forgets=lambda channel, symbol, times: symbol == "MSFT" and times == 1)
    requests = line.serve(venue)
    assert requests[1:] == [{"action": "subscribe", "trades": ["MSFT"], "quotes": ["MSFT"]}]
    assert set(venue.listed["quotes"]) == {"AAPL", "MSFT", "SPY"}
    assert line.conversation.subscribed()
    assert line.notices == []


def test_a_symbol_that_is_never_listed_is_reported_as_refused(dial: Any, alpaca: Any) -> None:
    line = open_line(dial, alpaca, ["AAPL", "MSFT"])
    requests = line.serve(alpaca.Venue(forgets=lambda channel, symbol, times: (channel, symbol) == ("quotes", "MSFT")))
    assert requests[1:] == [{"action": "subscribe", "quotes": ["MSFT"]}]
    assert refused(line) == {"quotes": ["MSFT"]}
    assert line.conversation.refused == {"MSFT": "quotes: not in the venue's list of what is subscribed"}
    assert line.provider.counters.subscriptions_refused == 1
    assert line.conversation.subscribed()


def test_a_list_without_the_keys_of_empty_channels_is_understood(dial: Any, alpaca: Any) -> None:
    line = open_line(dial, alpaca, ["FAKEPACA"], "test")
    line.hear('[{"T":"subscription","trades":null,"quotes":["FAKEPACA"],"bars":["FAKEPACA"]}]')
    assert line.asked()[-1] == {"action": "subscribe", "trades": ["FAKEPACA"]}


def test_a_topic_that_vanishes_from_the_list_is_asked_for_again(dial: Any, alpaca: Any) -> None:
    line = dial("iex", ["AAPL", "MSFT"])
    line.log_in()
    line.hear([{"T": "subscription", "trades": ["AAPL"], "quotes": ["AAPL", "MSFT"]}])
    assert line.asked() == [{"action": "subscribe", "trades": ["MSFT"]}]
    line.hear([{"T": "subscription", "trades": ["AAPL"], "quotes": ["AAPL", "MSFT"]}])
    assert refused(line) == {"trades": ["MSFT"]}
    assert line.asked() == []


def test_no_answer_ends_the_connection(dial: Any, alpaca: Any) -> None:
    line = open_line(dial, alpaca, ["AAPL"])
    line.pass_time(9.9)
    assert line.hang_ups == []
    line.pass_time(60)
    assert [hang_up.reason for hang_up in line.hang_ups] == ["no answer to a subscription request within 10 s"]


@settings(max_examples=60, deadline=None)
@given(bad=st.sets(st.integers(0, 39), max_size=5), feed=st.sampled_from(["iex", "crypto"]))
def test_malformed_symbols_are_found_by_halving_and_cost_nobody_else(
    dial: Any, alpaca: Any, bad: Any, feed: str
) -> None:
    symbols = [f"A{number}/USD" if feed == "crypto" else f"A{number}" for number in range(40)]
    malformed = {symbols[number] for number in bad}
    line = open_line(dial, alpaca, symbols, feed)
    venue = alpaca.Venue(malformed=malformed)
    requests = line.serve(venue)
    assert all(set(listed) == set(symbols) - malformed for listed in venue.listed.values())
    assert all(set(told) == malformed for told in refused(line).values())
    assert line.conversation.subscribed()
    assert line.hang_ups == []
    assert len(requests) <= 1 + 20 * len(malformed)


@pytest.mark.parametrize("limit", [1, 7, 30, 49])
def test_a_symbol_limit_is_filled_and_the_rest_refused_in_few_requests(dial: Any, alpaca: Any, limit: int) -> None:
    symbols = [f"A{number}" for number in range(50)]
    line = open_line(dial, alpaca, symbols)
    venue = alpaca.Venue(limit=limit)
    requests = line.serve(venue)
    assert venue.listed == {"trades": symbols[:limit], "quotes": symbols[:limit]}
    assert refused(line) == {channel: sorted(symbols[limit:]) for channel in ("trades", "quotes")}
    why = "trades, quotes: error 405: symbol limit exceeded"
    assert line.conversation.refused == dict.fromkeys(symbols[limit:], why)
    assert line.provider.counters.subscriptions_refused == 2 * (50 - limit)
    assert len(requests) <= 25
    assert all("follow fewer symbols" in notice.fields["do"] for notice in line.notices)
    assert line.conversation.subscribed()
    assert line.hang_ups == []


@pytest.mark.parametrize("venue", [{"limit": 0}, {"malformed": ["A", "B"]}, {"forgets": lambda *_: True}])
def test_a_connection_on_which_everything_was_refused_is_left_for_long(dial: Any, alpaca: Any, venue: Any) -> None:
    line = open_line(dial, alpaca, ["A", "B"])
    line.serve(alpaca.Venue(**venue))
    assert [hang_up.reason for hang_up in line.hang_ups] == ["every subscription was refused"]
    assert 300 <= line.hang_ups[0].wait_s <= 900
    assert not line.conversation.subscribed()
    assert refused(line) == {"trades": ["A", "B"], "quotes": ["A", "B"]}


def test_data_that_comes_before_the_list_is_published(dial: Any, alpaca: Any) -> None:
    line = open_line(dial, alpaca, ["AAPL"])
    assert len(line.hear([alpaca.share_trade()])) == 1
