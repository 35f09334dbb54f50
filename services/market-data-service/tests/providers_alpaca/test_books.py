"""Order books of crypto-currencies: begun by `r`, changed, doubted, and taken anew."""

from typing import Any

import pytest

from md_contract.events import BookL2

LEAVE = {"action": "unsubscribe", "orderbooks": ["BTC/USD"]}
JOIN = {"action": "subscribe", "orderbooks": ["BTC/USD"]}


@pytest.fixture
def line(dial: Any) -> Any:
    line = dial("crypto", ["BTC/USD", "ETH/USD"])
    line.log_in()
    return line


def listing(*books: str) -> list[dict[str, Any]]:
    both = ["BTC/USD", "ETH/USD"]
    return [{"T": "subscription", "trades": both, "quotes": both, "orderbooks": list(books)}]


def tops(line: Any) -> list[BookL2]:
    line.pass_time(0.2)
    return [event for event in line.events if isinstance(event, BookL2)]


def is_known(line: Any, alpaca: Any) -> bool:
    """Whether a harmless change of the book is published."""
    before = len(tops(line))
    line.hear([alpaca.book([(1, 1)])])
    return len(tops(line)) > before


def test_a_book_is_its_beginning_and_every_change_since(line: Any, alpaca: Any) -> None:
    line.hear([alpaca.book([(100.5, 1), (99, 2)], [(101, 3), (102, 1e-7)], r=True, t="2026-11-20T15:51:44.5Z")])
    line.hear([alpaca.book([(100.5, 0), (98, 5)], [(101, 0.25)], t="2026-11-20T15:51:44.75Z")])
    book = tops(line)[-1]
    assert book.bids == [("99", "2"), ("98", "5")]
    assert book.asks == [("101", "0.25"), ("102", "0.0000001")]
    assert (book.symbol, book.ts_event) == ("BTC/USD", alpaca.t0_ns + 750_000_000)


def test_a_later_beginning_replaces_everything(line: Any, alpaca: Any) -> None:
    line.hear([alpaca.book([(100, 1), (99, 2)], [(101, 3)], r=True)])
    line.hear([alpaca.book([(200, 1)], [(201, 3)], r=True)])
    assert (tops(line)[-1].bids, tops(line)[-1].asks) == ([("200", "1")], [("201", "3")])


def test_a_level_that_is_not_there_may_be_removed(line: Any, alpaca: Any) -> None:
    line.hear([alpaca.book([(100, 1)], [(101, 3)], r=True), alpaca.book([(50, 0)])])
    assert tops(line)[-1].bids == [("100", "1")]


def test_nothing_is_published_before_the_beginning(line: Any, alpaca: Any) -> None:
    line.hear([alpaca.book([(100, 1)], [(101, 3)])])
    assert tops(line) == []
    assert not is_known(line, alpaca)


def test_changes_without_a_beginning_have_the_book_taken_anew(line: Any, alpaca: Any) -> None:
    line.asked()
    for _ in range(7):
        line.hear([alpaca.book([(100, 1)])])
        line.pass_time(1)
    assert line.asked() == [LEAVE]


def test_publishing_keeps_the_pace_and_the_last_state(line: Any, alpaca: Any) -> None:
    line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True)])
    for size in range(2, 500):
        line.hear([alpaca.book([(100, size)])])
        line.pass_time(0.01)
    books = tops(line)
    assert 45 <= len(books) <= 55
    assert books[-1].bids == [("100", "499")]


def test_the_last_state_is_published_when_the_connection_ends(line: Any, alpaca: Any) -> None:
    line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True)], [alpaca.book([(100, 2)])])
    (last,) = line.conversation.closed()
    assert last.bids == [("100", "2")]


def test_no_book_outlives_its_connection(line: Any, alpaca: Any, dial: Any) -> None:
    line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True)])
    line.conversation.closed()
    again = dial(symbols=["BTC/USD", "ETH/USD"], provider=line.provider)
    again.log_in("lost")
    assert not is_known(again, alpaca)


DOUBTS = [
    {"T": "o", "S": "BTC/USD", "t": "2026-11-20T15:51:44Z", "b": [{"p": 5}]},
    {"T": "o", "S": "BTC/USD", "t": "2026-11-20T15:51:44Z", "b": [[5, 5]]},
    {"T": "o", "S": "BTC/USD", "t": "2026-11-20T15:51:44Z", "b": [{"p": 0, "s": 1}]},
    {"T": "o", "S": "BTC/USD", "t": "2026-11-20T15:51:44Z", "b": [{"p": 5, "s": -1}]},
    {"T": "o", "S": "BTC/USD", "t": "never", "b": []},
    {"T": "o", "b": 5},
]


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_change_that_cannot_be_read_ends_the_book_until_it_has_begun_anew(line: Any, alpaca: Any, doubt: Any) -> None:
    line.asked()
    line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True)])
    before = len(tops(line))
    line.hear([alpaca.coin_trade(1), doubt, alpaca.coin_trade(2)])
    assert line.provider.counters.books.resyncs == 1
    assert not is_known(line, alpaca)
    assert line.asked() == [LEAVE]
    line.hear(listing("ETH/USD"))
    assert line.asked() == [JOIN]
    line.hear(listing("ETH/USD", "BTC/USD"))
    assert not is_known(line, alpaca)
    line.hear([alpaca.book([(90, 1)], [(91, 1)], r=True)])
    assert len(tops(line)) > before
    assert is_known(line, alpaca)
    assert line.hang_ups == []


def test_a_frame_that_cannot_be_read_at_all_casts_doubt_on_every_book(line: Any, alpaca: Any) -> None:
    both = [alpaca.book([(9, 1)], [(10, 1)], r=True, S=symbol) for symbol in ("BTC/USD", "ETH/USD")]
    line.hear(both)
    line.hear(b'[{"T":"o","S":"BTC/USD","b":[{"p":9')
    assert line.provider.counters.books.resyncs == 2
    line.pass_time(1)
    first = line.asked()
    line.hear(listing("ETH/USD"))
    assert [*first, *line.asked()][0] == LEAVE


def test_a_book_of_nobodys_symbol_casts_no_doubt_on_ours(line: Any, alpaca: Any) -> None:
    line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True), {"T": "o", "S": "XRP/USD", "b": 5}])
    assert is_known(line, alpaca)


def test_a_book_that_stays_crossed_is_taken_anew(line: Any, alpaca: Any) -> None:
    line.asked()
    line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True)])
    tops(line)
    line.hear([alpaca.book([(102, 1)])])
    before = len(tops(line))
    line.pass_time(0.5)
    line.hear([alpaca.book([(90, 1)])])
    assert len(tops(line)) == before, "a crossed book is not published"
    assert line.asked() == []
    line.pass_time(1)
    line.hear([alpaca.book([(91, 1)])])
    assert line.asked() == [LEAVE]


def test_a_book_that_was_crossed_for_a_moment_goes_on(line: Any, alpaca: Any) -> None:
    line.asked()
    line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True), alpaca.book([(102, 1)])])
    line.pass_time(0.5)
    line.hear([alpaca.book([(102, 0)])])
    line.pass_time(5)
    assert is_known(line, alpaca)
    assert line.asked() == []


def test_a_broken_book_is_taken_anew_no_more_than_every_ten_seconds(line: Any, alpaca: Any) -> None:
    line.asked()
    venue = alpaca.Venue()
    venue.listed = {channel: ["BTC/USD", "ETH/USD"] for channel in ("trades", "quotes", "orderbooks")}
    requests = []
    for _ in range(60):
        line.hear([alpaca.book([(100, 1)], [(101, 1)], r=True), {"T": "o", "S": "BTC/USD", "b": 5}])
        requests += line.serve(venue)
        line.pass_time(1)
    assert 5 <= requests.count(LEAVE) <= 7


def test_every_book_is_taken_anew_once_an_hour_one_after_the_other(line: Any, alpaca: Any) -> None:
    line.asked()
    line.hear([alpaca.book([(9, 1)], [(10, 1)], r=True, S=symbol) for symbol in ("BTC/USD", "ETH/USD")])
    line.pass_time(1799)
    assert line.asked() == []
    line.pass_time(2)
    assert line.asked() == [LEAVE]
    line.hear(listing("ETH/USD"))
    assert not is_known(line, alpaca)
    line.hear(listing("BTC/USD", "ETH/USD"))
    line.asked()
    line.hear([alpaca.book([(9, 1)], [(10, 1)], r=True)])
    assert is_known(line, alpaca)
    assert line.provider.counters.books.renewals == 1
    assert line.provider.counters.books.resyncs == 0
    line.pass_time(1800)
    assert line.asked() == [{"action": "unsubscribe", "orderbooks": ["ETH/USD"]}]


def test_a_book_that_is_refused_on_its_return_is_told_and_tried_again_at_its_next_turn(line: Any, alpaca: Any) -> None:
    line.asked()
    line.pass_time(1801)
    assert line.asked() == [LEAVE]
    line.hear(listing("ETH/USD"))
    assert line.asked() == [JOIN]
    line.fail(405, "symbol limit exceeded")
    assert [notice.fields["orderbooks"] for notice in line.notices] == ["BTC/USD"]
    venue = alpaca.Venue()
    venue.listed = {"trades": ["BTC/USD", "ETH/USD"], "quotes": ["BTC/USD", "ETH/USD"], "orderbooks": ["ETH/USD"]}
    line.pass_time(1800)
    line.serve(venue)
    line.pass_time(1800)
    assert line.asked() == [LEAVE]


def test_a_venue_that_does_not_know_the_book_we_leave_is_asked_for_it_all_the_same(line: Any, alpaca: Any) -> None:
    line.asked()
    line.pass_time(1801)
    assert line.asked() == [LEAVE]
    line.fail(400, "invalid syntax")
    assert line.asked() == [JOIN]
