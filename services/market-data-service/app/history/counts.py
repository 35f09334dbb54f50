"""The counts behind the completeness report, asked of the store hour by hour."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Table, case, cast, func, select

from app.history.completeness import NUMBERED, HourCount, Report, SourceCount, assess, uptime
from app.history.times import HOUR_NS, floor_hour, show_time
from app.storage import schema
from app.storage.reader import Reader
from md_contract.subjects import SYSTEM

OF_ALL: Final[dict[str, Any]] = {"missing": None}  # what a gap of all symbols says of one of them
PLAIN_ID: Final = "^[0-9]{1,18}$"  # what fits into 64 bits
MARGIN_NS: Final = HOUR_NS // 12  # heartbeats just outside the hour tell about its edges


async def report(
    reader: Reader, symbols: Sequence[str], since_ns: int, until_ns: int, now_ns: int
) -> AsyncIterator[Report]:
    """The lines of the report, by hour, then symbol: from the first hour in which anything of these symbols is stored.

    Args:
        reader: the store.
        symbols: those to report on.
        since_ns: of the first hour, which is taken as a whole.
        until_ns: of the last one.
        now_ns: the present; an hour that is not over is judged by what has passed of it.
    """
    first = await _first(reader, symbols)
    if first is None or first >= until_ns:
        return
    start = floor_hour(max(since_ns, first))
    ever_beat = bool(await _beats(reader, 0, until_ns, limit=1))
    while start < min(until_ns, now_ns):
        stop = min(start + HOUR_NS, now_ns)
        beats = await _beats(reader, start - MARGIN_NS, stop + MARGIN_NS) if ever_beat else []
        ran = uptime(beats, start, stop) if ever_beat else None
        for symbol in symbols:
            yield assess(await _count(reader, symbol, start), ran, show_time(start)[:16] + "Z")
        start += HOUR_NS


async def _first(reader: Reader, symbols: Sequence[str]) -> int | None:
    """When the first trade or quote of any of the symbols was."""
    firsts = []
    for symbol in symbols:
        for table, time in ((schema.trade, schema.trade.c.ts), (schema.quote, schema.quote.c.ts_recv)):
            [(first,)] = await reader.rows(select(func.min(time)).where(table.c.symbol == symbol))
            if first is not None:
                firsts.append(first)
    return min(firsts, default=None)


async def _count(reader: Reader, symbol: str, start_ns: int) -> HourCount:
    gap = schema.gap.c
    gaps = await reader.rows(
        select(gap.symbol, gap.detail).where(
            gap.symbol.in_([symbol, SYSTEM]),
            gap.ts_recv >= start_ns,
            gap.ts_recv < start_ns + HOUR_NS,
            gap.kind.in_(("gap", "drop")),
        )
    )
    return HourCount(
        symbol,
        start_ns,
        await _sources(reader, symbol, start_ns),
        await _rows(reader, schema.quote, symbol, start_ns),
        await _rows(reader, schema.book, symbol, start_ns),
        [detail if whose == symbol else OF_ALL for whose, detail in gaps],
    )


async def _rows(reader: Reader, table: Table, symbol: str, start_ns: int) -> int:
    statement = (
        select(func.count())
        .select_from(table)
        .where(table.c.symbol == symbol, table.c.ts_recv >= start_ns, table.c.ts_recv < start_ns + HOUR_NS)
    )
    [(count,)] = await reader.rows(statement)
    return int(count)


async def _sources(reader: Reader, symbol: str, start_ns: int) -> list[SourceCount]:
    trade = schema.trade.c
    in_hour = (trade.symbol == symbol, trade.ts >= start_ns, trade.ts < start_ns + HOUR_NS)
    counts = await reader.rows(select(trade.provider, func.count()).where(*in_hour).group_by(trade.provider))
    return [
        await _numbered(reader, symbol, start_ns, provider) if provider in NUMBERED else SourceCount(provider, rows)
        for provider, rows in counts
    ]


async def _numbered(reader: Reader, symbol: str, start_ns: int, provider: str) -> SourceCount:
    """Rows and ids in one statement: what is written between two would seem to be missing.

    Another producer may use the provider's name and ids of its own, which cannot be counted.
    """
    trade = schema.trade.c
    is_number = trade.trade_id.regexp_match(PLAIN_ID)
    number = case((is_number, cast(trade.trade_id, BigInteger)))
    mine = (trade.symbol == symbol, trade.provider == provider)
    in_hour = select(func.count(), func.count(number), func.min(number), func.max(number)).where(
        *mine, trade.ts >= start_ns, trade.ts < start_ns + HOUR_NS
    )
    [(rows, numbers, first, last)] = await reader.rows(in_hour)
    if numbers < rows:
        return SourceCount(provider, rows)
    before = await reader.rows(
        select(number).where(*mine, trade.ts < start_ns, is_number).order_by(trade.ts.desc(), number.desc()).limit(1)
    )
    return SourceCount(provider, rows, first, last, before[0][0] if before else None)


async def _beats(reader: Reader, start_ns: int, stop_ns: int, limit: int | None = None) -> list[int]:
    beat = schema.heartbeat.c
    statement = (
        select(beat.ts_recv)
        .where(beat.symbol == SYSTEM, beat.ts_recv >= start_ns, beat.ts_recv < stop_ns, beat.status == "live")
        .order_by(beat.ts_recv)
        .limit(limit)
    )
    return [ts for (ts,) in await reader.rows(statement)]
