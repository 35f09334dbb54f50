"""Missing trades: asked for, published in order and marked, and what cannot be had is said to the last id."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.books.pace import NEVER
from app.providers.binance import backfill as module
from app.providers.provider import Fetch
from md_contract.events import Status, Trade
from md_contract.units import NS_PER_MS, NS_PER_S

TIME_MS = 1_795_350_000_000


class Venue:
    """What the venue remembers, and one provider that has jumped over some of it. Time is virtual."""

    def __init__(self, talk: Any, *, aggregates: Callable[[int], int] = lambda number: number) -> None:
        self.talk = talk
        self.errands = talk.provider.errands
        self.now = 1_000 * NS_PER_S
        self.known = range(10**9)  # ids that the venue lists
        self.order_of = aggregates  # trade id -> id of its aggregate
        self.status: dict[str, int] = {}  # path -> what it answers instead
        self.calls: list[str] = []
        self.events: list[Any] = []

    def trade(self, number: int) -> None:
        self.events += self.talk.trade(t=number, p=f"{number}.5", q="2", T=TIME_MS + number, m=number % 2 == 0)

    def step(self) -> None:
        """Go on to what is due next, and answer what is asked."""
        self.now = max(self.now, self.errands.due)
        self.events += self.errands.on_time(self.now, self.talk.ts_recv)
        wants, self.errands.wants[:] = list(self.errands.wants), []
        for want in wants:
            if isinstance(want, Fetch):
                self.answer(want)

    def settle(self) -> None:
        while self.errands.due != NEVER:
            self.step()

    def answer(self, fetch: Fetch) -> None:
        self.calls.append(fetch.path)
        url = urlsplit(fetch.path)
        if url.path in self.status:
            self.errands.failed(fetch, self.status[url.path], self.now)
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        rows = self.history(query) if url.path.endswith("historicalTrades") else self.aggregated(query)
        self.events += self.errands.fetched(fetch, json.dumps(rows).encode(), self.now, self.talk.ts_recv)

    def history(self, query: dict[str, str]) -> list[dict[str, Any]]:
        first = max(int(query["fromId"]), self.known.start)
        return [
            {"id": n, "price": f"{n}.5", "qty": "2", "time": TIME_MS + n, "isBuyerMaker": n % 2 == 0}
            for n in range(first, min(first + int(query["limit"]), self.known.stop))
        ]

    def aggregated(self, query: dict[str, str]) -> list[dict[str, Any]]:
        rows: dict[int, dict[str, Any]] = {}
        for n in range(max(self.known.start, 1), self.known.stop):
            row = rows.setdefault(
                self.order_of(n), {"a": self.order_of(n), "p": f"{n}.5", "f": n, "T": TIME_MS + n, "m": n % 2 == 0}
            )
            row |= {"l": n, "q": "2"}
        start, first = int(query.get("startTime", 0)), int(query.get("fromId", 0))
        return [row for row in rows.values() if row["T"] >= start and row["a"] >= first][: int(query["limit"])]

    @property
    def filled(self) -> list[int]:
        return [int(event.trade_id) for event in self.events if isinstance(event, Trade) and event.backfill]

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event.detail for event in self.events if isinstance(event, Status) and event.kind == kind]


@pytest.fixture
def venue(talk: Any) -> Venue:
    return Venue(talk)


def test_missing_trades_follow_the_one_that_shows_the_jump_in_order_and_marked(venue: Venue) -> None:
    venue.trade(100)
    venue.trade(104)
    venue.settle()
    live, shows, asked, *filled, whole = venue.events
    assert [live.trade_id, shows.trade_id] == ["100", "104"]
    assert not live.backfill
    assert asked.detail == {"from": 101, "to": 103, "missing": 3, "backfilled": 0}
    assert filled == [
        Trade(
            provider="binance",
            symbol="BTCUSDT",
            ts_recv=venue.talk.ts_recv,
            price=f"{number}.5",
            size="2",
            trade_id=str(number),
            side="buy" if number % 2 else "sell",
            ts_event=(TIME_MS + number) * NS_PER_MS,
            backfill=True,
        )
        for number in (101, 102, 103)
    ]
    assert (whole.kind, whole.detail) == ("backfill", {"from": 101, "to": 103, "missing": 0, "backfilled": 3})
    assert venue.calls == ["/api/v3/historicalTrades?symbol=BTCUSDT&fromId=101&limit=3"]
    counters = venue.talk.provider.counters
    assert (counters.backfilled_trades, counters.gaps, counters.missing_trades) == (3, 0, 0)


def test_a_hole_that_the_stream_fills_by_itself_within_a_moment_is_none(venue: Venue) -> None:
    for number in (100, 103, 101, 102):
        venue.trade(number)
    venue.settle()
    assert [int(event.trade_id) for event in venue.events] == [100, 103, 101, 102]
    assert venue.calls == []


def test_nothing_is_asked_before_that_moment_is_over(venue: Venue) -> None:
    venue.trade(100)
    venue.trade(102)
    venue.step()
    assert venue.errands.due == venue.now + 100 * NS_PER_MS
    assert venue.calls == []


def test_whoever_sleeps_is_woken_by_a_jump(venue: Venue) -> None:
    woken: list[int] = []
    venue.errands.on_wake = lambda: woken.append(venue.errands.due)
    venue.trade(100)
    assert woken == []
    venue.trade(102)
    assert woken == [0]


def test_a_trade_that_comes_both_ways_goes_out_once(venue: Venue) -> None:
    venue.trade(100)
    venue.trade(104)
    venue.step()
    venue.now = venue.errands.due
    venue.events += venue.errands.on_time(venue.now, 0)
    (fetch,) = venue.errands.wants
    venue.errands.wants.clear()
    venue.trade(102)  # while the request is under way
    venue.answer(fetch)
    venue.trade(103)  # after it
    venue.settle()
    assert venue.filled == [101, 103]
    assert venue.told("backfill")[-1] == {"from": 101, "to": 104 - 1, "missing": 0, "backfilled": 2}


def test_a_long_hole_is_asked_for_page_by_page_and_costs_what_it_costs(venue: Venue) -> None:
    venue.trade(100)
    venue.trade(2_601)
    venue.settle()
    assert venue.filled == list(range(101, 2_601))
    assert [call.partition("&")[2] for call in venue.calls] == [
        "fromId=101&limit=1000",
        "fromId=1101&limit=1000",
        "fromId=2101&limit=500",
    ]


def test_of_a_hole_beyond_all_bounds_the_youngest_part_is_fetched_and_the_rest_is_lost(venue: Venue) -> None:
    venue.trade(100)
    venue.trade(20_101)
    assert venue.told("gap") == [{"from": 101, "to": 10_100, "missing": 10_000, "backfilled": 0}]
    venue.settle()
    assert venue.filled == list(range(10_101, 20_101))
    assert venue.talk.provider.counters.missing_trades == 10_000


def test_what_the_venue_has_forgotten_is_told_exactly(venue: Venue) -> None:
    venue.known = range(103, 10**9)
    venue.trade(100)
    venue.trade(106)
    venue.settle()
    assert venue.filled == [103, 104, 105]
    assert venue.told("gap") == [{"from": 101, "to": 102, "missing": 2, "backfilled": 3}]
    assert [detail["missing"] for detail in venue.told("backfill")] == [5]


def test_what_the_venue_does_not_list_yet_is_asked_for_ever_more_slowly_for_a_minute(venue: Venue) -> None:
    venue.known = range(103)
    venue.trade(100)
    venue.trade(106)
    begun = venue.now
    venue.settle()
    assert venue.filled == [101, 102]
    assert venue.told("gap") == [{"from": 103, "to": 105, "missing": 3, "backfilled": 2}]
    assert venue.now - begun == 60 * NS_PER_S
    assert len(venue.calls) == 7


def test_late_listing_still_fills_the_hole(venue: Venue) -> None:
    venue.known = range(103)
    venue.trade(100)
    venue.trade(106)
    for _ in range(3):
        venue.step()
    venue.known = range(10**9)
    venue.settle()
    assert venue.filled == [101, 102, 103, 104, 105]
    assert venue.told("gap") == []


@pytest.mark.parametrize("status", [500, 429, None])
def test_a_venue_in_trouble_is_asked_again(venue: Venue, status: int | None) -> None:
    venue.status["/api/v3/historicalTrades"] = status  # type: ignore[assignment]  # None: no answer at all
    venue.trade(100)
    venue.trade(103)
    for _ in range(4):
        venue.step()
    venue.status.clear()
    venue.settle()
    assert venue.filled == [101, 102]
    assert venue.told("gap") == []


@pytest.mark.parametrize("body", [b"", b"{}", b'{"code":-1}', b"[" * 100_000, b'[{"id":101}]'])
def test_an_answer_that_cannot_be_read_is_set_aside_and_asked_for_again(venue: Venue, body: bytes) -> None:
    venue.trade(100)
    venue.trade(103)
    venue.step()
    venue.now = venue.errands.due
    venue.errands.on_time(venue.now, 0)
    (fetch,) = venue.errands.wants
    venue.errands.wants.clear()
    assert venue.errands.fetched(fetch, body, venue.now, 0) == ()
    assert venue.talk.aside == {"wrong_shape": 1}
    venue.settle()
    assert venue.filled == [101, 102]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"price": "NaN"}, "price"), ({"price": "0"}, "price"), ({"qty": "-1"}, "size"), ({"time": 5}, "time")],
)
def test_a_bad_row_costs_no_other(venue: Venue, fault: dict[str, Any], reason: str) -> None:
    good = venue.history
    venue.history = lambda query: [  # type: ignore[method-assign]  # the venue's answer is what is tested
        row | (fault if row["id"] == 102 else {}) for row in good(query)
    ]
    venue.trade(100)
    venue.trade(104)
    venue.settle()
    assert venue.filled == [101, 103]
    assert venue.told("gap") == [{"from": 102, "to": 102, "missing": 1, "backfilled": 2}]
    assert venue.talk.aside == {reason: 1}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_where_single_trades_are_not_offered_an_aggregate_of_one_is_that_trade_and_no_other_is(
    talk: Any, status: int
) -> None:
    venue = Venue(talk, aggregates=lambda n: 102 if n in (102, 103) else n)
    venue.known = range(90, 200)
    venue.status["/api/v3/historicalTrades"] = status
    venue.trade(100)
    venue.trade(106)
    venue.settle()
    assert venue.filled == [101, 104, 105]
    assert venue.told("gap") == [{"from": 102, "to": 103, "missing": 2, "backfilled": 3}]
    trade = next(event for event in venue.events if isinstance(event, Trade) and event.trade_id == "104")
    assert (trade.price, trade.size, trade.side, trade.ts_event) == (
        "104.5", "2", "sell", (TIME_MS + 104) * NS_PER_MS
    )  # fmt: skip
    assert venue.calls[1] == f"/api/v3/aggTrades?symbol=BTCUSDT&startTime={TIME_MS + 100}&limit=1000"
    venue.trade(108)
    venue.settle()
    assert venue.filled == [101, 104, 105, 107]
    assert len(venue.calls) == 3, "what was refused is not asked for again for a while"


def test_aggregates_are_asked_for_page_by_page(talk: Any) -> None:
    venue = Venue(talk)
    venue.known = range(90, 3_000)
    venue.status["/api/v3/historicalTrades"] = 404
    venue.trade(100)
    venue.trade(2_500)
    venue.settle()
    assert venue.filled == list(range(101, 2_500))
    assert [call.split("&")[1] for call in venue.calls[2:]] == ["fromId=1100", "fromId=2100"]


def test_where_neither_is_offered_everything_is_lost_at_once(venue: Venue) -> None:
    venue.status |= {"/api/v3/historicalTrades": 404, "/api/v3/aggTrades": 404}
    venue.trade(100)
    venue.trade(103)
    venue.settle()
    assert venue.told("gap") == [{"from": 101, "to": 102, "missing": 2, "backfilled": 0}]
    assert len(venue.calls) == 2


def test_no_more_holes_are_kept_than_can_be_and_the_oldest_is_given_up_first(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_HOLES", 3)
    for number in range(0, 12, 2):
        venue.trade(number)
    assert [(detail["from"], detail["to"]) for detail in venue.told("gap")] == [(1, 1), (3, 3)]
    venue.settle()
    assert venue.filled == [5, 7, 9]


def test_of_many_symbols_only_a_few_are_asked_for_at_a_time(make_talk: Any) -> None:
    symbols = [f"S{number}USDT" for number in range(10)]
    talk = make_talk(*symbols)
    for number in (1, 3):
        for symbol in symbols:
            data = {"s": symbol, "t": number, "p": "1", "q": "1", "T": TIME_MS + number, "m": True}
            talk.read({"stream": f"{symbol.lower()}@trade", "data": data})
    errands = talk.provider.errands
    errands.on_time(0, 0)
    errands.on_time(100 * NS_PER_MS, 0)
    assert len(errands.wants) == module.MAX_OPEN
    answered = 0
    while errands.wants:
        fetch = errands.wants.pop(0)
        errands.failed(fetch, 404, 100 * NS_PER_MS)
        errands.wants[:] = [want for want in errands.wants if isinstance(want, Fetch)]
        errands.on_time(100 * NS_PER_MS, 0)
        answered += 1
    assert answered == 2 * len(symbols)
    assert errands.pending == 0


@given(
    stream=st.lists(st.integers(0, 40), min_size=2, max_size=60),
    known=st.tuples(st.integers(0, 20), st.integers(20, 60)),
    looks=st.lists(st.integers(0, 59), max_size=10),
    aggregates=st.booleans(),
)
def test_every_trade_is_published_once_or_told_to_be_lost_never_both(
    make_talk: Any, stream: list[int], known: tuple[int, int], looks: list[int], aggregates: bool
) -> None:
    """Whatever comes in whatever order, and whatever the venue still lists."""
    venue = Venue(make_talk("BTCUSDT"), aggregates=lambda n: n // 2)
    venue.known = range(*known)
    if aggregates:
        venue.status["/api/v3/historicalTrades"] = 403
    for turn, number in enumerate(stream):
        venue.trade(number)
        if turn in looks:
            venue.settle()
    venue.settle()
    published = [int(event.trade_id) for event in venue.events if isinstance(event, Trade)]
    lost = [n for gap in venue.told("gap") for n in range(gap["from"], gap["to"] + 1)]
    assert len(published) == len(set(published))
    assert len(lost) == len(set(lost))
    expected = set(range(stream[0], max(stream) + 1))
    assert set(published) | set(lost) == expected
    assert set(published) & set(lost) <= set(stream), "only what the stream brought after it was given up"
    if not aggregates:
        assert set(lost) <= {n for n in expected if n not in venue.known}
    counters = venue.talk.provider.counters
    assert (counters.missing_trades, counters.gaps) == (len(lost), len(venue.told("gap")))
    begun = [hole for hole in venue.told("backfill") if hole["missing"]]
    whole = [hole for hole in venue.told("backfill") if not hole["missing"]]
    assert len(whole) <= len(begun)
    assert {n for hole in whole for n in range(hole["from"], hole["to"] + 1)} <= set(published)
