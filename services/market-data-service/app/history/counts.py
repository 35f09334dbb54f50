"""The counts behind the completeness report, asked of the store hour by hour, where there is anything to count."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Column, case, cast, func, select

from app.history.completeness import NUMBERED, HourCount, Report, SourceCount, assess, uptime
from app.history.times import HOUR_NS, floor_hour, show_time
from app.storage import schema
from app.storage.reader import Reader
from md_contract.subjects import SYSTEM

OF_ALL: Final[dict[str, Any]] = {"missing": None}  # what a gap of all symbols says of one of them
PLAIN_ID: Final = "^[0-9]{1,18}$"  # what fits into 64 bits
MARGIN_NS: Final = HOUR_NS // 12  # heartbeats just outside the hour tell about its edges
NEVER: Final = 1 << 63  # beyond every time


class _Ahead:
    """Where the next row of one symbol in one table is: of the time before it nothing needs to be asked."""

    def __init__(self, reader: Reader, time: Column[Any], symbol: str) -> None:
        self._reader = reader
        self._time = time
        self._symbol = symbol
        self._next = -NEVER

    async def is_any(self, start_ns: int, stop_ns: int) -> bool:
        """Whether there are rows with `start_ns <= time < stop_ns`; no `start_ns` is below the one before."""
        if self._next < start_ns:
            mine = (self._time.table.c.symbol == self._symbol, self._time >= start_ns)
            [(found,)] = await self._reader.rows(select(func.min(self._time)).where(*mine))
            self._next = NEVER if found is None else found
        return self._next < stop_ns


class _Symbol:
    """What lies ahead of one symbol."""

    def __init__(self, reader: Reader, symbol: str) -> None:
        self.name = symbol
        self.trades = _Ahead(reader, schema.trade.c.ts, symbol)
        self.quotes = _Ahead(reader, schema.quote.c.ts_recv, symbol)
        self.books = _Ahead(reader, schema.book.c.ts_recv, symbol)
        self.gaps = _Ahead(reader, schema.gap.c.ts_recv, symbol)


async def report(
    reader: Reader,
    symbols: Sequence[str],
    since_ns: int,
    until_ns: int,
    now_ns: int,
    on_hour: Callable[[int, int], None] = lambda _done, _of: None,
) -> AsyncIterator[Report]:
    """The lines of the report, by hour, then symbol: from the first hour in which anything of these symbols is stored.

    Args:
        reader: the store.
        symbols: those to report on.
        since_ns: of the first hour, which is taken as a whole.
        until_ns: of the last one.
        now_ns: the present; an hour that is not over is judged by what has passed of it.
        on_hour: told of every hour that has been looked at: how many are, and of how many.
    """
    first = await _first(reader, symbols)
    if first is None or first >= until_ns:
        return
    start = floor_hour(max(since_ns, first))
    ever_beat = bool(await _beats(reader, 0, until_ns, limit=1))
    starts = range(start, min(until_ns, now_ns), HOUR_NS)
    ahead = [_Symbol(reader, symbol) for symbol in symbols]
    gaps_of_all = _Ahead(reader, schema.gap.c.ts_recv, SYSTEM)
    heartbeats = _Ahead(reader, schema.heartbeat.c.ts_recv, SYSTEM)
    for done, start in enumerate(starts, start=1):
        stop = min(start + HOUR_NS, now_ns)
        around = start - MARGIN_NS, stop + MARGIN_NS
        beats = await _beats(reader, *around) if ever_beat and await heartbeats.is_any(*around) else []
        ran = uptime(beats, start, stop) if ever_beat else None
        for symbol in ahead:
            yield assess(await _count(reader, symbol, gaps_of_all, start), ran, show_time(start)[:16] + "Z")
        on_hour(done, len(starts))


async def _first(reader: Reader, symbols: Sequence[str]) -> int | None:
    """When the first trade or quote of any of the symbols was."""
    firsts = []
    for symbol in symbols:
        for table, time in ((schema.trade, schema.trade.c.ts), (schema.quote, schema.quote.c.ts_recv)):
            [(first,)] = await reader.rows(select(func.min(time)).where(table.c.symbol == symbol))
            if first is not None:
                firsts.append(first)
    return min(firsts, default=None)


async def _count(reader: Reader, symbol: _Symbol, gaps_of_all: _Ahead, start_ns: int) -> HourCount:
    name, hour = symbol.name, (start_ns, start_ns + HOUR_NS)
    is_gap = await symbol.gaps.is_any(*hour) or await gaps_of_all.is_any(*hour)
    return HourCount(
        name,
        start_ns,
        await _sources(reader, name, start_ns) if await symbol.trades.is_any(*hour) else [],
        await _rows(reader, schema.quote.c.ts_recv, name, start_ns) if await symbol.quotes.is_any(*hour) else 0,
        await _rows(reader, schema.book.c.ts_recv, name, start_ns) if await symbol.books.is_any(*hour) else 0,
        await _gaps(reader, name, start_ns) if is_gap else [],
    )


async def _gaps(reader: Reader, symbol: str, start_ns: int) -> list[Any]:
    gap = schema.gap.c
    gaps = await reader.rows(
        select(gap.symbol, gap.detail).where(
            gap.symbol.in_([symbol, SYSTEM]),
            gap.ts_recv >= start_ns,
            gap.ts_recv < start_ns + HOUR_NS,
            gap.kind.in_(("gap", "drop")),
        )
    )
    return [detail if whose == symbol else OF_ALL for whose, detail in gaps]


async def _rows(reader: Reader, time: Column[Any], symbol: str, start_ns: int) -> int:
    statement = (
        select(func.count())
        .select_from(time.table)
        .where(time.table.c.symbol == symbol, time >= start_ns, time < start_ns + HOUR_NS)
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
