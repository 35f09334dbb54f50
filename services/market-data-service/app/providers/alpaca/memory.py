"""What one Alpaca provider knows for as long as the feed lives."""

from typing import Final

from app.providers.alpaca.credentials import Credentials
from app.providers.alpaca.decimals import Numbers
from app.providers.alpaca.feeds import FeedShape
from app.providers.alpaca.times import Times
from app.providers.alpaca.trade_ids import TradeIds
from app.providers.checks import DAY_NS, EARLIEST_NS, BadFieldError
from app.providers.provider import Counters
from app.providers.quarantine import Quarantine

NAME: Final = "alpaca"


class AlpacaCounters(Counters):
    """What is counted here beyond what every provider counts."""

    def __init__(self) -> None:
        super().__init__()
        self.ignored_messages = 0  # bars, trading statuses, price bands, imbalances
        self.corrections = 0  # trades corrected or cancelled afterwards
        self.one_sided_quotes = 0  # a side of the market was empty: nothing to publish
        self.turned_away = 0  # by the venue: logins while another one is open, and refusals that only people can lift


class Memory:
    """The settings, the counters and the trades so far."""

    def __init__(self, credentials: Credentials, feed: FeedShape) -> None:
        self.credentials = credentials
        self.feed = feed
        self.counters = AlpacaCounters()
        self.quarantine = Quarantine()
        self.numbers = Numbers()
        self.times = Times()
        self._trade_ids: dict[str, TradeIds] = {}

    def trade_ids(self, symbol: str) -> TradeIds:
        return self._trade_ids.setdefault(symbol, TradeIds())

    def ts_event(self, text: str, ts_recv: int) -> int:
        """The time of a message in ns; raises `BadFieldError` when it is none, or cannot be right."""
        ts_event = self.times.ns(text)
        if not EARLIEST_NS <= ts_event <= ts_recv + DAY_NS:
            raise BadFieldError("time")
        return ts_event
