"""What one Bybit provider knows for as long as the feed lives, shared by its connections."""

from app.providers.bybit.trade_log import TradeLog
from app.providers.decimals import Decimals
from app.providers.provider import Counters
from app.providers.quarantine import Quarantine
from md_contract.events import Status


class Memory:
    """The settings, the counters and the trades so far."""

    def __init__(self, name: str, category: str, depth: int) -> None:
        self.name = name
        self.category = category
        self.depth = depth  # levels a side of the topic that books are kept from
        self.counters = Counters()
        self.quarantine = Quarantine()
        self.decimals = Decimals()
        self._trade_logs: dict[str, TradeLog] = {}

    def trade_log(self, symbol: str) -> TradeLog:
        return self._trade_logs.setdefault(symbol, TradeLog())

    def gap(self, symbol: str, ts_recv: int, hole: tuple[str, str | None], backfilled: int) -> Status:
        """Trades may be missing between the two ids of `hole`; how many cannot be known."""
        self.counters.gaps += 1
        detail = {"from": hole[0], "to": hole[1], "missing": None, "backfilled": backfilled}
        return Status(self.name, symbol, ts_recv, "gap", detail)
