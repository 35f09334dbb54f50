"""Books over real sockets: diff stream and REST snapshot brought together."""

from typing import Any

import pytest

from md_contract.events import BookL2


def depth(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    data = {"e": "depthUpdate", "E": 1700000000000 + last, "s": "BTCUSDT", "U": first, "u": last}
    return {"stream": "btcusdt@depth@100ms", "data": data | {"b": list(bids), "a": list(asks)}}


def snapshot(last: int) -> dict[str, Any]:
    return {"lastUpdateId": last, "bids": [["10.0", "1"], ["9.0", "1"]], "asks": [["11.0", "1"]]}


async def test_a_book_is_published_once_a_snapshot_and_the_updates_meet(venue: Any, run_feed: Any, until: Any) -> None:
    venue.rest["/api/v3/depth"] = lambda query: snapshot(102)
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(depth(101, 103, bids=[["10.0", "5"]]), depth(104, 105, asks=[["11.0", "0"], ["12.0", "2"]]))
        await until(lambda: running.of(BookL2))
        (book,) = running.of(BookL2)
        assert book.bids == [("10.0", "5"), ("9.0", "1")]
        assert book.asks == [("12.0", "2")]
        assert book.ts_event == 1_700_000_000_105_000_000
        assert venue.rest_calls.count("/api/v3/depth?symbol=BTCUSDT&limit=1000") == 1


async def test_of_a_burst_the_last_state_is_published(venue: Any, run_feed: Any, until: Any) -> None:
    venue.rest["/api/v3/depth"] = lambda query: snapshot(100)
    async with run_feed("BTCUSDT", book_rate_hz=50.0) as running:
        await until(lambda: running.feed.connected)
        venue.client.send(depth(101, 101))
        await until(lambda: running.of(BookL2))
        for number in range(102, 202):
            venue.client.send(depth(number, number, bids=[["10.0", str(number)]]))
        await until(lambda: running.of(BookL2)[-1].bids[0] == ("10.0", "201"))
        assert len(running.of(BookL2)) < 20


@pytest.mark.parametrize("fault", ["stale", "unreadable", "500", "gone"])
async def test_a_snapshot_that_will_not_do_is_fetched_again(venue: Any, run_feed: Any, until: Any, fault: str) -> None:
    answers = {
        "stale": lambda query: snapshot(50),
        "unreadable": lambda query: b"<html>",
        "500": venue.refuse(500),
        "gone": venue.refuse(404),
    }
    tries = 0

    def answer(query: Any) -> Any:
        nonlocal tries
        tries += 1
        return answers[fault](query) if tries < 3 else snapshot(101)

    venue.rest["/api/v3/depth"] = answer
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(depth(101, 101), depth(102, 102))
        await until(lambda: running.of(BookL2))
        assert tries == 3
        assert running.feed.counters.books.stale_snapshots == (2 if fault == "stale" else 0)
        assert running.feed.quarantined["snapshot"] == (2 if fault == "unreadable" else 0)
        assert running.feed.rest.errors == (2 if fault in {"500", "gone"} else 0)


async def test_after_a_lost_update_the_book_is_silent_until_it_is_taken_anew(
    venue: Any, run_feed: Any, until: Any
) -> None:
    last = 100
    venue.rest["/api/v3/depth"] = lambda query: snapshot(last)
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(depth(101, 101))
        await until(lambda: running.of(BookL2))
        last = 109
        venue.client.send(depth(103, 110, bids=[["10.0", "7"]]))
        await until(lambda: len(running.of(BookL2)) == 2)
        assert running.of(BookL2)[-1].bids[0] == ("10.0", "7")
        assert running.feed.book_resyncs == 1


async def test_a_new_connection_takes_every_book_anew(venue: Any, run_feed: Any, until: Any) -> None:
    venue.rest["/api/v3/depth"] = lambda query: snapshot(100)
    async with run_feed("BTCUSDT") as running:
        await until(lambda: running.feed.connected)
        venue.client.send(depth(101, 101))
        await until(lambda: running.of(BookL2))
        venue.drop_clients()
        await until(lambda: len(venue.clients) == 2 and running.feed.connected)
        venue.client.send(depth(99, 100), depth(101, 101, bids=[["10.0", "8"]]))
        await until(lambda: running.of(BookL2)[-1].bids[0] == ("10.0", "8"))
        assert len([call for call in venue.rest_calls if "depth" in call]) == 2
