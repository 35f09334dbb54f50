"""Trade ids of one symbol: gaps told with their range, repeats dropped, across connections."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from md_contract.events import Trade


def ids(events: Any) -> list[str]:
    return [event.trade_id if isinstance(event, Trade) else event.kind for event in events]


def test_the_trade_that_shows_a_jump_goes_out_at_once(talk: Any) -> None:
    talk.trade(t=100)
    assert ids(talk.trade(t=105)) == ["105"]
    assert talk.provider.errands.pending == 1


def test_a_repeat_is_dropped_and_a_missing_one_that_comes_late_is_kept(talk: Any) -> None:
    for number in (100, 105):
        talk.trade(t=number)
    assert talk.trade(t=105) == ()
    assert ids(talk.trade(t=103)) == ["103"]
    assert talk.trade(t=103) == ()
    assert (talk.provider.counters.duplicate_trades, talk.provider.counters.late_trades) == (2, 1)


def test_a_numbering_that_begins_anew_is_told_and_followed(talk: Any) -> None:
    talk.trade(t=100)
    talk.trade(t=102)
    old, gap, trade = talk.trade(t=1, T=1795350000122)
    assert (old.detail["from"], old.detail["to"]) == (101, 101), "nobody can ask for it any more"
    assert gap.detail["missing"] is None
    assert trade.trade_id == "1"
    assert ids(talk.trade(t=2, T=1795350000122)) == ["2"]


def test_what_was_lost_between_two_connections_is_known_exactly(talk: Any, make_talk: Any) -> None:
    talk.trade(t=100)
    after = make_talk("BTCUSDT", provider=talk.provider)
    (status,) = after.conversation.opened(5, "closed by the server with 1001")
    assert (status.kind, status.symbol) == ("reconnect", "BTCUSDT")
    assert status.detail == {"reason": "closed by the server with 1001", "last_trade_id": "100"}
    assert after.trade(t=100) == ()
    assert ids(after.trade(t=103)) == ["103"]
    (gap,) = talk.provider.errands.closed(0)
    assert (gap.kind, gap.symbol) == ("gap", "BTCUSDT")
    assert gap.detail == {"from": 101, "to": 102, "missing": 2, "backfilled": 0}


def test_symbols_have_numberings_of_their_own(make_talk: Any) -> None:
    talk = make_talk("BTCUSDT", "ETHUSDT")
    talk.trade(t=100)
    data = {"s": "ETHUSDT", "t": 7, "p": "1", "q": "1", "T": 1795350000121, "m": True}
    assert ids(talk.read({"stream": "ethusdt@trade", "data": data})) == ["7"]
    assert ids(talk.trade(t=101)) == ["101"]


@pytest.mark.parametrize("connections", [1, 2])
@given(stream=st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_no_trade_is_published_twice_and_the_gaps_told_are_those_that_are(
    make_talk: Any, connections: int, stream: list[int]
) -> None:
    """Also when two connections carry the same symbol, as during a change from one to the other."""
    first = make_talk("BTCUSDT")
    talks = [first] + [make_talk("BTCUSDT", provider=first.provider) for _ in range(connections - 1)]
    published: list[int] = []
    for turn, number in enumerate(stream):
        events = talks[turn % connections].trade(t=number, T=1795350000000 + number)
        published += [int(event.trade_id) for event in events]
    gaps = [(gap.detail["from"], gap.detail["to"]) for gap in first.provider.errands.closed(0)]
    missing = {number for start, end in gaps for number in range(start, end + 1)}
    assert not missing & set(published)
    assert len(published) == len(set(published))
    expected = set(range(stream[0], max(stream) + 1))
    assert set(published) | missing == expected
    assert set(published) == {number for number in stream if number >= stream[0]}
