"""After a break the missed trades are asked for; what came of it is held against everything the venue traded."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.providers.bybit import Bybit
from md_contract.events import Status, Trade
from md_contract.units import NS_PER_MS, NS_PER_S


def ids(events: list[Any]) -> list[str]:
    return [event.trade_id for event in events if isinstance(event, Trade)]


def gaps(events: list[Any]) -> list[Any]:
    return [event.detail for event in events if isinstance(event, Status) and event.kind == "gap"]


def reconnect(dial: Any, provider: Bybit, now: int | None = None) -> Any:
    """A connection after a break, subscribed and quiet for a second."""
    line = dial(provider)
    line.now = now or line.now
    line.open("connection lost")
    line.serve()
    line.pass_time(1)
    return line


@pytest.fixture
def broken(dial: Any, bybit: Any) -> Any:
    """A second connection, subscribed, after a first one that saw the trades 1 and 2."""
    provider = Bybit()
    first = dial(provider)
    first.open()
    first.serve()
    first.hear(bybit.trades(bybit.trade("1", ms=1), bybit.trade("2", ms=2)))
    first.conversation.closed()
    assert first.fetches == []
    line = reconnect(dial, provider)
    line.events.clear()
    return line


def test_the_latest_trades_are_asked_for_where_the_stream_is_quiet_for_a_second(dial: Any, bybit: Any) -> None:
    for provider, category, limit in ((Bybit(), "spot", 60), (Bybit("linear"), "linear", 1000)):
        first = dial(provider)
        first.open()
        first.hear(bybit.trades(bybit.trade("1")))
        line = dial(provider)
        line.open("connection lost")
        line.pass_time(2)
        assert line.fetches == []
        line.serve(seconds=0.01)
        assert line.fetches == []
        line.pass_time(1)
        (fetch,) = line.fetches
        assert fetch.path == f"/v5/market/recent-trade?category={category}&symbol=BTCUSDT&limit={limit}"


def test_they_are_asked_for_as_soon_as_the_stream_resumes(dial: Any, bybit: Any) -> None:
    provider = Bybit()
    first = dial(provider)
    first.open()
    rows = [bybit.trade(str(number), ms=number) for number in range(6)]
    first.hear(bybit.trades(*rows[:2]))
    line = dial(provider)
    line.open("connection lost")
    line.hear(bybit.trades(rows[4]))
    assert len(line.fetches) == 1
    line.serve()
    line.pass_time(5)
    line.answer(bybit.recent(*rows))
    assert ids(line.events) == ["4", "2", "3", "5"]
    assert line.fetches == []


def test_nothing_is_asked_for_where_no_trade_was_ever_seen(dial: Any) -> None:
    line = dial(Bybit())
    line.open("connection lost")
    line.serve()
    assert line.fetches == []


def test_missed_trades_are_published_in_time_order_and_only_those(broken: Any, bybit: Any) -> None:
    rows = [bybit.trade(str(number), ms=number, side="Sell") for number in range(-3, 6)]
    events = broken.answer(bybit.recent(*rows))
    assert ids(events) == ["3", "4", "5"]
    assert events[0] == Trade(
        provider="bybit",
        symbol="BTCUSDT",
        ts_recv=broken.wall,
        price="98765.40",
        size="0.004",
        trade_id="3",
        side="sell",
        ts_event=bybit.t0_ns + 3 * NS_PER_MS,
        backfill=True,
    )
    assert gaps(broken.events) == []
    assert broken.provider.counters.backfilled_trades == 3


def test_a_list_that_does_not_reach_back_leaves_a_gap_that_is_told_first(broken: Any, bybit: Any) -> None:
    events = broken.answer(bybit.recent(bybit.trade("7", ms=7), bybit.trade("8", ms=8)))
    gap, *rest = events
    assert (gap.kind, gap.symbol) == ("gap", "BTCUSDT")
    assert gap.detail == {"from": "2", "to": "7", "missing": None, "backfilled": 2}
    assert ids(rest) == ["7", "8"]
    assert broken.provider.counters.gaps == 1


def test_a_gap_ends_where_the_stream_resumed_when_the_list_begins_later(broken: Any, bybit: Any) -> None:
    broken.hear(bybit.trades(bybit.trade("6", ms=6), bybit.trade("7", ms=7), bybit.trade("8", ms=8)))
    broken.answer(bybit.recent(bybit.trade("7", ms=7), bybit.trade("8", ms=8)))
    assert ids(broken.events) == ["6", "7", "8"]
    assert gaps(broken.events) == [{"from": "2", "to": "6", "missing": None, "backfilled": 0}]
    assert broken.fetches == []


def test_the_list_is_asked_for_again_when_the_stream_resumes_after_it(broken: Any, bybit: Any) -> None:
    rows = [bybit.trade(str(number), ms=number) for number in range(1, 8)]
    broken.answer(bybit.recent(*rows[:3]))
    assert broken.fetches == []
    broken.hear(bybit.trades(rows[5]))
    broken.answer(bybit.recent(*rows[:6]))
    assert ids(broken.events) == ["3", "6", "4", "5"]
    broken.hear(bybit.trades(rows[6]))
    assert broken.fetches == []
    assert gaps(broken.events) == []


def test_a_list_that_overlaps_the_stream_is_the_last(broken: Any, dial: Any, bybit: Any) -> None:
    rows = [bybit.trade(str(number), ms=number) for number in range(1, 6)]
    broken.answer(bybit.recent(*rows[:4]))
    broken.hear(bybit.trades(*rows[2:]))
    assert ids(broken.events) == ["3", "4", "5"]
    assert broken.fetches == []
    line = reconnect(dial, broken.provider)
    line.answer(bybit.recent(*rows[4:]))
    assert gaps(line.events) == []


def test_a_trade_from_before_the_break_that_comes_again_is_not_taken_for_the_stream(broken: Any, bybit: Any) -> None:
    rows = [bybit.trade(str(number), ms=number) for number in range(1, 9)]
    broken.hear(bybit.trades(*rows[:2]))
    broken.hear(bybit.trades(rows[6]))
    broken.answer(bybit.recent(*rows[:5]))
    assert len(broken.fetches) == 1
    broken.answer(bybit.recent(*rows[:7]))
    assert ids(broken.events) == ["7", "3", "4", "5", "6"]


def test_a_list_that_lags_behind_the_stream_is_asked_for_again_and_given_up_in_the_end(broken: Any, bybit: Any) -> None:
    broken.hear(bybit.trades(bybit.trade("9", ms=9)))
    for _ in range(5):
        assert len(broken.fetches) == 1
        broken.answer(bybit.recent(bybit.trade("2", ms=2), bybit.trade("3", ms=3)))
    assert broken.fetches == []
    assert ids(broken.events) == ["9", "3"]
    assert gaps(broken.events) == [{"from": "3", "to": "9", "missing": None, "backfilled": 0}]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}', b'{"retCode":0}']
)
def test_an_answer_that_is_no_list_is_asked_for_again(broken: Any, bybit: Any, body: bytes) -> None:
    broken.answer(body)
    assert broken.provider.quarantine.counts["wrong_shape"] == 1
    broken.answer(bybit.recent(bybit.trade("2", ms=2), bybit.trade("3", ms=3)))
    assert ids(broken.events) == ["3"]


def test_an_answer_that_never_comes_is_given_up_after_two_minutes(broken: Any) -> None:
    broken.pass_time(119)
    assert gaps(broken.events) == []
    wall = broken.wall
    broken.pass_time(2)
    assert gaps(broken.events) == [{"from": "2", "to": None, "missing": None, "backfilled": 0}]
    assert 0 < broken.events[-1].ts_recv - wall <= 2 * NS_PER_S


def test_what_is_owed_is_asked_for_on_the_next_connection_when_this_one_ends_first(
    broken: Any, dial: Any, bybit: Any
) -> None:
    broken.hear(bybit.trades(bybit.trade("5", ms=5)))
    broken.conversation.closed()
    line = reconnect(dial, broken.provider)
    line.answer(bybit.recent(*(bybit.trade(str(number), ms=number) for number in range(1, 8))))
    assert ids(line.events) == ["3", "4", "6", "7"]


def test_trades_of_hours_ago_are_not_published_again_for_a_quiet_symbol(dial: Any, bybit: Any) -> None:
    provider = Bybit()
    line = dial(provider)
    line.open()
    line.serve()
    rows = []
    for number in range(40):  # one every 10 minutes
        rows.append(bybit.trade(str(number), ms=(line.wall - bybit.t0_ns) // NS_PER_MS))
        line.hear(bybit.trades(rows[-1]))
        line.now += 600 * NS_PER_S
    other = reconnect(dial, provider, line.now)
    other.answer(bybit.recent(*rows))
    assert ids(other.events) == []
    assert gaps(other.events) == []


def test_no_trade_is_forgotten_while_something_is_owed(broken: Any, dial: Any, bybit: Any) -> None:
    rows = [bybit.trade("1", ms=1), bybit.trade("2", ms=2)]
    line = broken
    for connection in range(3):
        for number in range(100):  # one a second, and no answer to what was asked for
            line.pass_time(1)
            rows.append(bybit.trade(f"{connection} {number}", ms=(line.wall - bybit.t0_ns) // NS_PER_MS))
            line.hear(bybit.trades(rows[-1]))
        line.conversation.closed()
        line = reconnect(dial, line.provider, line.now)
    assert ids(line.answer(bybit.recent(*rows))) == []
    assert gaps(line.events) == []


def test_a_list_older_than_what_is_known_brings_back_nothing_of_a_quiet_symbol(dial: Any, bybit: Any) -> None:
    provider = Bybit()
    line = dial(provider)
    line.open()
    rows = []
    for number in range(8):  # one every 10 minutes
        line.now += 600 * NS_PER_S
        rows.append(bybit.trade(str(number), ms=(line.wall - bybit.t0_ns) // NS_PER_MS))
        if number < 7:
            line.hear(bybit.trades(rows[-1]))
    other = reconnect(dial, provider, line.now)
    other.answer(bybit.recent(*rows[:4]))
    other.hear(bybit.trades(rows[7]))
    other.answer(bybit.recent(*rows))
    assert ids(other.events) == ["7"]
    assert gaps(other.events) == []
    assert other.fetches == []


def test_a_list_that_goes_further_back_than_what_is_owed_leaves_no_gap(broken: Any, bybit: Any) -> None:
    broken.answer(bybit.recent(bybit.trade("1", ms=1), bybit.trade("3", ms=3)))
    assert ids(broken.events) == ["3"]
    assert gaps(broken.events) == []


def test_every_break_is_a_new_one(broken: Any, dial: Any, bybit: Any) -> None:
    rows = [bybit.trade(str(number), ms=number) for number in range(1, 10)]
    broken.hear(bybit.trades(rows[3]))
    broken.answer(bybit.recent(*rows[:4]))
    broken.conversation.closed()
    line = reconnect(dial, broken.provider)
    line.answer(bybit.recent(*rows[:5]))
    line.hear(bybit.trades(rows[7]))
    line.answer(bybit.recent(*rows[:8]))
    assert ids(line.events) == ["5", "8", "6", "7"]
    assert line.fetches == []
    (status,) = dial(broken.provider).open("and again")
    assert status.detail["last_trade_id"] == "8"


def test_an_unusable_row_is_set_aside_and_costs_no_other(broken: Any, bybit: Any) -> None:
    body = bybit.recent(*(bybit.trade(str(number), ms=number) for number in range(1, 9)))
    rows = body["result"]["list"]
    rows[0]["price"] = "NaN"
    rows[1]["symbol"] = "ETHUSDT"
    rows[2]["time"] = "soon"
    rows[3]["execId"] = "a\0b"
    broken.answer(body)
    assert ids(broken.events) == ["3", "4"]
    counts = broken.provider.quarantine.counts
    assert [counts[reason] for reason in ("price", "symbol", "wrong_shape", "trade_id")] == [1, 1, 1, 1]


def test_an_answer_nobody_waits_for_any_more_changes_nothing(broken: Any, bybit: Any) -> None:
    (fetch,) = broken.fetches
    broken.pass_time(130)
    assert ids(broken.answer(bybit.recent(bybit.trade("3", ms=3)), fetch)) == []


class Venue:
    """A market with its stream and its list of latest trades, of which either may run ahead of the other."""

    def __init__(self, dial: Any, bybit: Any, limit: int) -> None:
        self.bybit = bybit
        self.dial = dial
        self.limit = limit
        self.provider = Bybit()
        self.trades: list[Any] = []
        self.on_the_way: list[Any] = []
        self.published: list[str] = []
        self.gaps: list[Any] = []
        self.line: Any = None
        self.ms = 0

    def trade(self, steps: list[int]) -> None:
        for step in steps:
            self.ms += step
            self.trades.append(self.bybit.trade(str(len(self.trades)), ms=self.ms, seq=len(self.trades) // 3))
            if self.line:
                self.on_the_way.append(self.trades[-1])

    def deliver(self, count: int) -> None:
        """Let the oldest trades of the stream arrive."""
        if self.line and self.on_the_way:
            self.line.hear(self.bybit.trades(*self.on_the_way[:count]))
            del self.on_the_way[:count]

    def open(self, reason: str | None = "lost", repeated: int = 0) -> None:
        """Connect; the stream begins with a repetition of so many trades."""
        if not self.line:
            self.on_the_way += self.trades[len(self.trades) - repeated :] if repeated else []
            self.line = self.dial(self.provider)
            self.line.open(reason)
            self.line.serve()

    def drop(self) -> None:
        if self.line:
            self.line.conversation.closed()
            self.collect()
            self.line = None
            self.on_the_way.clear()

    def answer(self, lag: int) -> None:
        """Answer a fetch with the list as it was `lag` trades ago."""
        if self.line and self.line.fetches:
            rows = self.trades[: len(self.trades) - lag]
            self.line.answer(self.bybit.recent(*rows[-self.limit :]))

    def garble(self) -> None:
        if self.line and self.line.fetches:
            self.line.answer(b"<html>")

    def collect(self) -> None:
        self.published += ids(self.line.events)
        self.gaps += gaps(self.line.events)
        self.line.events.clear()

    def wait(self) -> None:
        if self.line:
            self.line.pass_time(1)

    def settle(self) -> None:
        self.open()
        self.wait()
        for _ in range(10):
            self.answer(0)
            self.trade([1])
            self.deliver(1_000)
        assert not self.line.fetches
        self.collect()


STEP = st.one_of(
    st.tuples(st.just("trade"), st.lists(st.integers(0, 2), min_size=1, max_size=6)),
    st.tuples(st.just("deliver"), st.integers(1, 6)),
    st.tuples(st.just("drop")),
    st.tuples(st.just("open"), st.just("lost"), st.integers(0, 4)),
    st.tuples(st.just("answer"), st.integers(0, 6)),
    st.tuples(st.just("garble")),
    st.tuples(st.just("wait")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(steps=st.lists(STEP, max_size=40), limit=st.integers(1, 30))
def test_every_trade_is_published_once_or_lies_in_a_gap_that_was_told(
    dial: Any, bybit: SimpleNamespace, steps: list[Any], limit: int
) -> None:
    venue = Venue(dial, bybit, limit)
    venue.open(None)
    venue.trade([1, 1])
    venue.deliver(2)
    for name, *arguments in steps:
        getattr(venue, name)(*arguments)
    venue.settle()
    published = [int(trade_id) for trade_id in venue.published]
    assert len(published) == len(set(published))
    reported: set[int] = set()
    for gap in venue.gaps:
        end = len(venue.trades) if gap["to"] is None else int(gap["to"])
        reported |= set(range(int(gap["from"]) + 1, end))
    missing = set(range(len(venue.trades))) - set(published)
    assert missing <= reported
    if limit > len(venue.trades) and not any(name in ("garble", "answer") for name, *_ in steps):
        assert not venue.gaps
        assert not missing


def test_the_list_is_read_in_time_order_however_it_is_sorted(broken: Any, bybit: Any) -> None:
    body = bybit.recent(*(bybit.trade(str(number), ms=number, seq=number) for number in range(1, 9)))
    body["result"]["list"].sort(key=lambda row: row["execId"])
    assert ids(broken.answer(json.dumps(body).encode())) == ["3", "4", "5", "6", "7", "8"]
