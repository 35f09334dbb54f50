"""Past trades as Binance lists them: trade by trade, or in aggregates where that list is not offered.

`GET /api/v3/historicalTrades?symbol=&fromId=&limit=` gives every trade. `GET /api/v3/aggTrades` joins the trades of one
order at one price: its rows say how many there were and what they come to, not what each one was. A row of a single
trade is that trade, exactly; from any other nothing can be published that the venue has said.
"""

from collections.abc import Callable
from typing import Final

from app.providers.binance.holes import Hole
from app.providers.binance.memory import Memory
from app.providers.binance.wire import Aggregate, PastTrade, read_aggregates, read_history
from app.providers.checks import DAY_NS, EARLIEST_NS, MAX_ID
from app.providers.provider import Fetch
from md_contract.events import Side, Trade
from md_contract.units import NS_PER_MS

PAGE: Final = 1_000  # rows, the most that the venue gives at once
HISTORY_WEIGHT: Final = 25
AGGREGATES_WEIGHT: Final = 4


class Page:
    """One answer: the single trades in it, in the order of their ids, and up to where it tells all there is."""

    def __init__(self, trades: list[PastTrade], reach: int, next_aggregate: int | None) -> None:
        self.trades = trades
        self.reach = reach  # -1 when it is empty
        self.next_aggregate = next_aggregate


def ask(symbol: str, hole: Hole) -> Fetch:
    """The page that begins where the hole has not been asked for yet."""
    if not hole.aggregates:
        limit = min(PAGE, hole.last - hole.next_id + 1)
        path = f"/api/v3/historicalTrades?symbol={symbol}&fromId={hole.next_id}&limit={limit}"
        return Fetch(path, symbol, HISTORY_WEIGHT, paced=True, optional=True)
    start = f"startTime={hole.after_ts // NS_PER_MS}"
    if hole.next_aggregate is not None:
        start = f"fromId={hole.next_aggregate}"
    return Fetch(f"/api/v3/aggTrades?symbol={symbol}&{start}&limit={PAGE}", symbol, AGGREGATES_WEIGHT, paced=True)


def read(body: bytes, *, aggregates: bool) -> Page:
    """Read a page. Raises one of `UNREADABLE`."""
    if not aggregates:
        trades = sorted(read_history(body), key=lambda row: row.id)
        return Page(trades, trades[-1].id if trades else -1, None)
    rows = sorted(read_aggregates(body), key=lambda row: row.l)
    if not rows:
        return Page([], -1, None)
    return Page([_single(row) for row in rows if row.f == row.l], rows[-1].l, max(row.a for row in rows) + 1)


def trade_of(row: PastTrade, symbol: str, memory: Memory, name: str, ts_recv: int) -> Trade | str:
    """The trade of a row, or what is wrong with it: a reason of the quarantine."""
    decimals = memory.decimals
    ts_event = row.time * NS_PER_MS
    checks: tuple[tuple[str, Callable[[], bool]], ...] = (
        ("price", lambda: decimals[row.price] > 0.0),
        ("size", lambda: decimals[row.qty] >= 0.0),
        ("time", lambda: EARLIEST_NS <= ts_event <= ts_recv + DAY_NS),
        ("trade_id", lambda: 0 <= row.id <= MAX_ID),
    )
    for reason, holds in checks:
        if not holds():
            return reason
    side: Side = "sell" if row.isBuyerMaker else "buy"
    return Trade(name, symbol, ts_recv, row.price, row.qty, str(row.id), side, ts_event, backfill=True)


def _single(row: Aggregate) -> PastTrade:
    return PastTrade(row.f, row.p, row.q, row.T, row.m)
