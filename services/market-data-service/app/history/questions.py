"""The two questions that everybody asks, as SQL for both engines."""

from typing import Any

from sqlalchemy import Select, func, select

from app.storage import schema
from md_contract.units import NS_PER_S

MINUTE_NS = 60 * NS_PER_S


def trades(symbol: str, since_ns: int, until_ns: int, provider: str | None = None) -> Select[Any]:
    """The trades of a symbol with `since_ns <= ts < until_ns`, in the order of their times.

    Columns: ts (ns), price, size (decimal text), side, trade_id, provider, backfill.
    """
    trade = schema.trade.c
    statement = (
        select(trade.ts, trade.price, trade.size, trade.side, trade.trade_id, trade.provider, trade.backfill)
        .where(trade.symbol == symbol, trade.ts >= since_ns, trade.ts < until_ns)
        .order_by(trade.symbol, trade.ts, trade.trade_id, trade.provider)
    )
    return statement if provider is None else statement.where(trade.provider == provider)


def vwap(symbol: str, since_ns: int, until_ns: int, provider: str | None = None) -> Select[Any]:
    """Volume-weighted average price of each minute that has trades.

    Columns: minute (ns, its beginning), provider, vwap, volume, trades, low, high. Providers are not mixed.
    """
    trade = schema.trade.c
    price, size = schema.number(trade.price), schema.number(trade.size)
    minute = (trade.ts - trade.ts % MINUTE_NS).label("minute")
    statement = (
        select(
            minute,
            trade.provider,
            (func.sum(price * size) / func.sum(size)).label("vwap"),
            func.sum(size).label("volume"),
            func.count().label("trades"),
            func.min(price).label("low"),
            func.max(price).label("high"),
        )
        .where(trade.symbol == symbol, trade.ts >= since_ns, trade.ts < until_ns)
        .group_by(minute, trade.provider)
        .having(func.sum(size) > 0)
        .order_by(minute, trade.provider)
    )
    return statement if provider is None else statement.where(trade.provider == provider)
