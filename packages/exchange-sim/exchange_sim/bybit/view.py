"""What REST calls and new subscribers see of a market, wherever it comes from."""

from collections.abc import Mapping
from typing import Protocol

from exchange_sim.bybit.shown import ShownBook
from exchange_sim.bybit.text import BookView, TradeRow
from exchange_sim.bybit.topics import BookTopic


class View(Protocol):
    """The market as it is now."""

    @property
    def now_ms(self) -> int:
        """Time of the last that was told, ms since the epoch; 0 before anything was."""
        ...

    @property
    def shown(self) -> Mapping[str, ShownBook]:
        """The books whose messages are made here, by stream."""
        ...

    def book(self, topic: BookTopic) -> BookView | None:
        """Return a topic's book as its subscribers have it; None when there is none yet."""
        ...

    def trades(self, category: str, symbol: str, limit: int) -> list[TradeRow]:
        """Return up to `limit` latest trades, the latest first."""
        ...


class EmptyView:
    """A market of which nothing is known, as of a script."""

    now_ms = 0

    def __init__(self) -> None:
        self.shown: dict[str, ShownBook] = {}

    def book(self, _topic: BookTopic) -> BookView | None:
        return None

    def trades(self, _category: str, _symbol: str, _limit: int) -> list[TradeRow]:
        return []
