"""Books of one connection: fetched, kept, published at a pace."""

from typing import Any

import pytest

from app.books.pace import NEVER
from app.providers.provider import Fetch, UnreadableListingError
from md_contract.events import BookL2
from md_contract.units import NS_PER_MS, NS_PER_S


def live(talk: Any) -> Any:
    talk.depth()
    (fetch,) = talk.fetches()
    talk.snapshot(fetch)
    return talk


def test_the_first_update_asks_for_a_snapshot_once(talk: Any) -> None:
    assert talk.depth() == ()
    assert talk.conversation.due == 0
    assert talk.fetches() == [Fetch("/api/v3/depth?symbol=BTCUSDT&limit=1000", "BTCUSDT", 50)]
    talk.depth(U=71234567931, u=71234567940)
    assert talk.fetches() == []


def test_a_synchronised_book_is_published_as_a_snapshot_with_the_time_of_its_last_update(talk: Any) -> None:
    events, _ = live(talk).turn(0)
    assert events == [
        BookL2(
            provider="binance",
            symbol="BTCUSDT",
            ts_recv=1_795_350_001_000_000_000,
            bids=[("98765.00000000", "1.00000000")],
            asks=[("98765.43000000", "0.52000000"), ("98766.00000000", "1.25000000")],
            ts_event=1_795_350_000_200_000_000,
        )
    ]


def test_at_most_ten_a_second_leave_and_the_last_state_always_does(talk: Any) -> None:
    live(talk).turn(0)
    first, books = 71234567931, []
    for step in range(1, 8):
        talk.depth(U=first, u=first, b=[["98765.00000000", f"{step}.0"]], a=[])
        first += 1
        events, _ = talk.turn(step * 30 * NS_PER_MS)
        books += [(step * 30, event.bids[0][1]) for event in events]
    assert books == [(120, "4.0")]
    assert talk.conversation.due == 220 * NS_PER_MS
    events, _ = talk.turn(220 * NS_PER_MS)
    assert [event.bids[0][1] for event in events] == ["7.0"]
    assert talk.conversation.due == NEVER


def test_depth_and_rate_are_options(make_talk: Any) -> None:
    talk = live(make_talk("BTCUSDT", depth=1, rate_hz=2.0))
    events, _ = talk.turn(0)
    assert [len(events[0].asks), len(events[0].bids)] == [1, 1]
    talk.depth(U=71234567931, u=71234567931)
    assert talk.turn(1)[0] == []
    assert talk.conversation.due == NS_PER_S // 2


@pytest.mark.parametrize(("depth", "limit", "weight"), [(1, 100, 5), (10, 500, 25), (20, 1000, 50), (1000, 5000, 250)])
def test_the_snapshot_is_as_deep_as_the_published_depth_needs(
    make_talk: Any, depth: int, limit: int, weight: int
) -> None:
    talk = make_talk("BTCUSDT", depth=depth)
    talk.depth()
    assert talk.fetches() == [Fetch(f"/api/v3/depth?symbol=BTCUSDT&limit={limit}", "BTCUSDT", weight)]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"lastUpdateId":1,"bids":[["NaN","1"]],"asks":[]}', b"[" * 100_000])
def test_a_snapshot_that_cannot_be_read_is_set_aside_and_asked_for_again(talk: Any, body: bytes) -> None:
    talk.depth()
    (fetch,) = talk.fetches()
    assert talk.conversation.fetched(fetch, body, 0) == ()
    assert talk.aside == {"snapshot": 1}
    assert talk.fetches() == [fetch]


def test_a_snapshot_that_is_too_old_is_asked_for_again(talk: Any) -> None:
    talk.depth()
    (fetch,) = talk.fetches()
    talk.snapshot(fetch, lastUpdateId=71234567900)
    assert talk.fetches() == [fetch]
    assert talk.provider.counters.books.stale_snapshots == 1
    talk.snapshot(fetch)
    assert len(talk.turn(NS_PER_S)[0]) == 1


@pytest.mark.parametrize("fault", [{"b": [["-1", "1"]]}, {"b": None}, {"U": 71234567940, "u": 71234567941}])
def test_after_a_lost_or_unreadable_update_nothing_is_published_until_the_book_is_taken_anew(
    talk: Any, fault: dict[str, Any]
) -> None:
    live(talk).turn(0)
    talk.depth(U=71234567931, u=71234567931)
    talk.depth(**({"U": 71234567932, "u": 71234567932} | fault))
    assert talk.turn(NS_PER_S)[0] == [], "also what had been held back"
    talk.depth(U=71234567942, u=71234567950)
    assert talk.provider.counters.books.resyncs == 1
    events, wants = talk.turn(2 * NS_PER_S)
    assert events == []
    fetch = next((want for want in wants if isinstance(want, Fetch)), Fetch("", "BTCUSDT", 0))
    talk.snapshot(fetch, lastUpdateId=71234567945)
    assert len(talk.turn(3 * NS_PER_S)[0]) == 1


def test_what_was_held_back_leaves_when_the_connection_ends(talk: Any) -> None:
    live(talk).turn(0)
    talk.depth(U=71234567931, u=71234567931, b=[["98765.00000000", "8"]])
    talk.turn(1)
    (event,) = talk.conversation.closed()
    assert event.bids == [("98765.00000000", "8")]
    assert talk.conversation.due == NEVER


def test_a_listing_tells_which_symbols_are_unknown(talk: Any) -> None:
    body = (
        b'{"timezone":"UTC","symbols":[{"symbol":"BTCUSDT","status":"TRADING"},{"symbol":"ABCUSDT","status":"BREAK"}]}'
    )
    assert talk.provider.unlisted(body, ["BTCUSDT", "ABCUSDT", "XYZUSDT"]) == {"XYZUSDT": "not listed by Binance"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"code":-1121,"msg":"Invalid symbol."}', b"<html>", b"{" * 100_000]
)
def test_what_is_no_listing_says_so(talk: Any, body: bytes) -> None:
    with pytest.raises(UnreadableListingError, match="exchangeInfo"):
        talk.provider.unlisted(body, ["BTCUSDT"])
