"""Both engines, for real: what is written is what is read, and no event is stored twice or unaccounted for."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from app.history.completeness import Report
from app.history.counts import report
from app.storage import schema
from app.storage.bulk import make_rows
from app.storage.queue import BATCH_ROWS, BatchQueue
from app.storage.reader import open_reader
from app.storage.store import StorageError
from md_contract.codec import Message
from md_contract.events import BookL2, Event, Quote, Status, Trade
from md_contract.signals import FeatureVector, Signal


async def test_every_kind_of_message_is_read_back_to_the_last_digit(
    place: Any, writing: Any, one_of_each: list[Message]
) -> None:
    async with writing(place) as w:
        await w.put(*one_of_each)
        await w.settled()
        assert w.writer.account.stored == len(one_of_each)
    by_type = {type(message): message for message in one_of_each}
    trade, quote, book, status = (by_type[cls] for cls in (Trade, Quote, BookL2, Status))
    assert isinstance(trade, Trade)
    assert isinstance(quote, Quote)
    assert isinstance(book, BookL2)
    assert isinstance(status, Status)
    async with open_reader(place.url) as reader:
        [row] = await reader.rows(select(schema.trade))
        assert (row.price, row.size, row.ts, row.ts_event, row.side) == (
            trade.price,
            trade.size,
            trade.ts_recv,
            None,
            None,
        )
        assert row.backfill is False
        [row] = await reader.rows(select(schema.quote))
        assert (row.bid, row.bid_size, row.ask, row.ask_size) == (quote.bid, quote.bid_size, quote.ask, quote.ask_size)
        [row] = await reader.rows(select(schema.book))
        assert [tuple(level) for level in row.asks] == book.asks
        [row] = await reader.rows(select(schema.gap))
        assert (row.kind, row.detail) == (status.kind, status.detail)
        [row] = await reader.rows(select(schema.feature))
        features = by_type[FeatureVector]
        assert isinstance(features, FeatureVector)
        assert (row.features, row.trust) == (features.features, msgspec.to_builtins(features.trust))
        [row] = await reader.rows(select(schema.signal))
        assert msgspec.convert(row.body, Signal) == by_type[Signal]
        [row] = await reader.rows(select(schema.alert))
        assert row.body["message"] == "slow"


AWKWARD = [
    "", "null", "None", "\\N", "\\.", "tab\t", "line\n", "return\r", "\r\n", 'quote"', "\\", '\\"', "\\n", "],[",
    "a]\n[b", ",", "\x01\x7f", "\u00e4\u20ac\U0001f600", "'; DROP TABLE trade; --",
]  # fmt: skip


@pytest.mark.parametrize("column", ["trade_id", "provider"])
@pytest.mark.parametrize("together", [True, False])
async def test_a_text_is_read_back_as_it_was_alone_and_among_others(
    place: Any, writing: Any, trades: Any, together: bool, column: str
) -> None:
    awkward = [text for text in AWKWARD if text or column != "trade_id"]  # an empty id is made into one
    events = [trades(1, first=i, **{column: text})[0] for i, text in enumerate(awkward)]
    async with writing(place) as w:
        for event in events:
            await w.put(event)
            if not together:
                await w.settled()
        await w.settled()
        assert w.writer.account.stored == len(events)
    assert [text for (text,) in await place.ask(f"SELECT {column} FROM trade ORDER BY ts")] == awkward


async def test_ids_that_are_no_numbers_break_no_report(place: Any, writing: Any, trades: Any) -> None:
    events = [trades(1, first=i, trade_id=text)[0] for i, text in enumerate(["7", "9", "abc", "", "9" * 19])]
    async with writing(place) as w:
        await w.put(*events[:2])
        await w.settled()
        counted = await hours_of(place.url)
        await w.put(*events[2:])
        await w.settled()
    assert [(hour.trades, hour.missing, hour.basis) for hour in counted] == [(2, 1, "ids")]
    assert [(hour.trades, hour.missing, hour.basis) for hour in await hours_of(place.url)] == [(5, 0, "gaps")]


async def hours_of(url: str) -> list[Report]:
    async with open_reader(url) as reader:
        [(first,)] = await reader.rows(select(func.min(schema.trade.c.ts)))
        return [entry async for entry in report(reader, ["BTCUSDT"], first, first + 1, first + 10**12)]


async def test_a_second_delivery_changes_nothing_and_is_counted(
    place: Any, writing: Any, one_of_each: list[Message], trades: Any
) -> None:
    events = [*one_of_each, *trades(1_500)]
    async with writing(place) as w:
        await w.put(*events)
        await w.settled()
        await w.put(*events, *trades(10, first=2_000))
        await w.settled()
        account = w.writer.account
        assert (account.stored, account.duplicates, account.quarantined) == (len(events) + 10, len(events), 0)
    assert await place.count("trade") == 1_511


async def test_trades_of_one_moment_without_an_id_are_not_taken_for_each_other(
    place: Any, writing: Any, trades: Any
) -> None:
    first = trades(1)[0]
    others: list[dict[str, Any]] = [
        {"price": "2.5"},
        {"size": "7"},
        {"side": "sell" if first.side == "buy" else "buy"},
        {"ts_recv": 99},
    ]
    nameless = [msgspec.structs.replace(first, trade_id="", **change) for change in ({}, *others)]
    async with writing(place) as w:
        await w.put(*nameless, *trades(5, first=10))
        await w.settled()
        await w.put(*nameless)
        await w.settled()
        account = w.writer.account
        assert (account.stored, account.duplicates) == (10, 5)
    ids = {text for (text,) in await place.ask("SELECT trade_id FROM trade WHERE trade_id LIKE '~%'")}
    assert sorted(map(len, ids)) == [17] * 5


async def test_a_duplicate_within_one_batch_is_stored_once(place: Any, writing: Any, trades: Any) -> None:
    async with writing(place) as w:
        await w.put(*trades(5), *trades(5))
        await w.settled()
        assert (w.writer.account.stored, w.writer.account.duplicates) == (5, 5)


async def test_poison_costs_its_neighbours_nothing_and_is_kept_for_people(
    place: Any, writing: Any, poison: list[Event], trades: Any
) -> None:
    good = trades(len(poison) * 3)
    async with writing(place) as w:
        for i, event in enumerate(poison):
            await w.put(*good[i * 3 : i * 3 + 3], event)
        await w.settled()
        account = w.writer.account
        assert (account.stored, account.quarantined) == (len(good), len(poison))
        await w.put(*poison)
        await w.settled()
        assert account.duplicates == len(poison)
    assert await place.count("trade") == len(good)
    reasons = {reason for (reason,) in await place.ask("SELECT reason FROM quarantine")}
    assert "a text holds a NUL character" in reasons
    assert "a whole number does not fit into 64 bits" in reasons


async def test_a_row_only_the_database_refuses_is_found_among_a_thousand(
    place: Any, writing: Any, trades: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(kind: type[Message], messages: list[Trade]) -> Any:
        rows = make_rows(kind, messages)
        assert rows is not None
        return [(*row[:5], None, *row[6:]) if row[2] in bad else row for row in rows]

    events = trades(BATCH_ROWS)
    bad = [events[17].trade_id, events[500].trade_id, events[-1].trade_id]
    monkeypatch.setattr("app.storage.bulk.make_rows", careless)
    async with writing(place) as w:
        await w.put(*events)
        await w.settled()
        assert (w.writer.account.stored, w.writer.account.quarantined) == (BATCH_ROWS - 3, 3)
    assert sorted(await place.ask("SELECT type FROM quarantine")) == [("trade",)] * 3


async def test_a_full_queue_refuses_and_says_when_there_is_room(place: Any, writing: Any, trades: Any) -> None:
    async with writing(place, BatchQueue(max_rows=100)) as w:
        taken = [w.writer.take(trade) for trade in trades(150)]
        assert taken == [True] * 100 + [False] * 50
        async with asyncio.timeout(20):
            await w.writer.writable()
        assert w.writer.take(trades(1, first=900)[0])


async def test_closing_writes_what_was_taken(place: Any, writing: Any, trades: Any) -> None:
    async with writing(place) as w:
        for trade in trades(2_500):
            assert w.writer.take(trade)
        assert await w.writer.close(20) == []
        assert w.writer.account.stored == 2_500
        assert not w.writer.take(trades(1, first=9_000)[0])
    assert await place.count("trade") == 2_500


async def test_what_surrenders_comes_back_in_order_and_is_accounted_for(place: Any, writing: Any, trades: Any) -> None:
    async with writing(place) as w:
        events = trades(1_700)
        for trade in events:
            assert w.writer.take(trade)
        await w.until(lambda writer: writer.account.stored > 0)
        left = w.writer.surrender()
        account = w.writer.account
        assert left == events[account.stored :]
        assert (account.given_back, account.pending, account.difference) == (len(left), 0, 0)


async def test_a_reader_answers_beside_the_writer_and_can_change_nothing(place: Any, writing: Any, trades: Any) -> None:
    async with writing(place) as w:
        await w.put(*trades(1_000), *trades(500, symbol="ETHUSDT"), *trades(3, symbol="AAPL"))
        await w.settled()
        async with open_reader(place.url) as reader:
            assert await reader.symbols(schema.trade) == ["AAPL", "BTCUSDT", "ETHUSDT"]
            batches = [len(rows) async for rows in reader.batches(select(schema.trade), size=400)]
            assert sum(batches) == 1_503
            assert max(batches) == 400
            vwap = select(
                func.sum(schema.number(schema.trade.c.price) * schema.number(schema.trade.c.size))
                / func.sum(schema.number(schema.trade.c.size))
            )
            [(value,)] = await reader.rows(vwap)
            assert value == pytest.approx(64_000.10, rel=1e-12, abs=0)
            with pytest.raises(Exception, match=r"(?i)read-?\s?only"):
                await reader.rows(schema.trade.delete())


async def test_deleting_needs_the_exact_number_and_leaves_all_else(place: Any, writing: Any, trades: Any) -> None:
    async with writing(place) as w:
        events = trades(100)
        await w.put(*events, *trades(100, symbol="ETHUSDT"))
        await w.settled()
        since, until = events[10].ts_event, events[30].ts_event
        assert await w.writer.delete_exactly(schema.trade, "BTCUSDT", since, until, 19) == 0
        assert await place.count("trade") == 200
        assert await w.writer.delete_exactly(schema.trade, "BTCUSDT", since, until, 20) == 20
        await w.put(*trades(5, first=1_000))
        await w.settled()
    assert await place.count("trade") == 185


async def test_reading_what_is_not_there_says_so(tmp_path: Any) -> None:
    with pytest.raises(StorageError, match="no such file"):
        async with open_reader(f"sqlite+aiosqlite:///{tmp_path}/none.db"):
            pass
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(StorageError, match="cannot read"):
        async with open_reader("postgresql+asyncpg://me:canary@127.0.0.1:1/none") as _:
            pass
