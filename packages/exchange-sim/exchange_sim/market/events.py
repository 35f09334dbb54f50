"""What happens in the invented market, in no venue's words."""

from typing import NamedTuple, TypeAlias

from msgspec import Struct

from exchange_sim.book import Change, Top


class Fill(NamedTuple):
    """One trade of an order; price and size in 10^-8."""

    trade_id: int
    price: int
    size: int


class Execution(Struct, frozen=True, gc=False):
    """One aggressive order and the trades it made, all at one instant with consecutive ids."""

    symbol: str
    ts_ns: int
    buyer_is_maker: bool  # true: the seller was the aggressor
    fills: list[Fill]


class BookUpdate(Struct, frozen=True, gc=False):
    """Levels that changed together. Each changed level takes one update id, so ids are contiguous."""

    symbol: str
    ts_ns: int
    first_id: int
    last_id: int
    changes: list[Change]
    top: Top | None  # best bid and offer, when this update changed it


MarketEvent: TypeAlias = Execution | BookUpdate
