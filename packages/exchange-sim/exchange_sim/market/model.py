"""Several symbols in one market, merged by time."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heapreplace
from typing import Final

from exchange_sim.book import Book
from exchange_sim.market.chance import generator
from exchange_sim.market.events import MarketEvent
from exchange_sim.market.fair_price import Move
from exchange_sim.market.instruments import Instrument, instrument
from exchange_sim.market.symbol_market import SymbolMarket

_NS_PER_S: Final = 1_000_000_000


class MarketModel:
    """An invented market that is the same for the same seed, symbols, rate and opening time.

    It reads no clock: `open` says when it begins, `until` lets it live up to a time, in steps of any size.

    Args:
        seed: of all randomness; each symbol's market depends on the seed and its own name only.
        symbols: venue names in upper case, such as BTCUSDT.
        rate: trades and changes of the best quote a second, of all symbols together, on average.
        moves: a script of price moves per symbol, times in seconds from the opening, in place of the recurring ones.
        wander: how much the price wanders between moves; 0 holds it still, 1 is usual.
    """

    def __init__(
        self,
        seed: int = 1,
        symbols: Iterable[str] = ("BTCUSDT", "ETHUSDT"),
        rate: float = 200.0,
        *,
        moves: Mapping[str, Iterable[Move]] | None = None,
        wander: float = 1.0,
    ) -> None:
        self.seed = seed
        self.symbols = tuple(dict.fromkeys(symbols))
        self.rate = rate
        self.instruments: dict[str, Instrument] = {symbol: instrument(symbol) for symbol in self.symbols}
        share = rate / max(1, len(self.symbols))
        self._markets = [
            SymbolMarket(
                self.instruments[symbol],
                generator(f"{seed}:{symbol}"),
                share,
                moves=None if moves is None else moves.get(symbol, ()),
                wander=wander,
            )
            for symbol in self.symbols
        ]
        self._due = [(market.next_s(), index) for index, market in enumerate(self._markets)]
        heapify(self._due)
        self._opened_ns = 0
        self._now_ns = 0  # up to which time the market was told to live
        self._bursts: deque[MarketEvent] = deque()

    def open(self, now_ns: int) -> None:
        """Say when the market opens; before the first `until`. A market opened later has higher ids."""
        self._opened_ns = self._now_ns = now_ns
        for market in self._markets:
            market.open(now_ns)

    def book(self, symbol: str) -> Book:
        """Return the live book of a symbol, to be read only."""
        return self._markets[self.symbols.index(symbol)].book

    def last_trade_id(self, symbol: str) -> int:
        """Return the id of the symbol's last trade, or the one before its first."""
        return self._markets[self.symbols.index(symbol)].trade_id

    def burst(self, symbol: str, count: int) -> None:
        """Let one order trade `count` times, next and at one instant, at the best price and without moving it.

        Raises:
            ValueError: there is no such symbol.
        """
        if symbol not in self.symbols:
            raise ValueError(f"expected a symbol of {', '.join(self.symbols)}, found {symbol!r}")
        self._bursts.append(self._markets[self.symbols.index(symbol)].burst(self._now_ns, count))

    def next_ns(self) -> int | None:
        """Return when something happens next; None without symbols."""
        if self._bursts:
            return self._now_ns
        return self._opened_ns + int(self._due[0][0] * _NS_PER_S) if self._due else None

    def until(self, now_ns: int) -> Iterator[MarketEvent]:
        """Yield, in order of time, everything that happens up to and including `now_ns`."""
        while self._bursts:
            yield self._bursts.popleft()
        self._now_ns = max(self._now_ns, now_ns)
        while self._due:
            next_s, index = self._due[0]
            if self._opened_ns + int(next_s * _NS_PER_S) > now_ns:
                return
            market = self._markets[index]
            yield from market.step()
            heapreplace(self._due, (market.next_s(), index))
