"""Fills the holes that the trade ids show: what the stream has missed is fetched, and what cannot be had is said.

A hole shows in a jump of the ids, after a reconnect as well as within a connection. The trade that shows it is
published at once; the missing ones follow as soon as the venue has given them, in the order of their ids and marked as
backfilled. When the stream does not fill the hole by itself within a moment, a status `backfill` says what is missing.
What follows is either another one, with nothing missing any more, or a `gap` for every range that remains.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from app.books.pace import NEVER
from app.providers.binance.history import ask, read, trade_of
from app.providers.binance.holes import DEADLINE_NS, GRACE_NS, Hole
from app.providers.binance.memory import Memory
from app.providers.binance.wire import PastTrade
from app.providers.checks import UNREADABLE
from app.providers.provider import Fetch, Notice, Want
from md_contract.events import Event, Status, Trade
from md_contract.units import NS_PER_S

MAX_IDS: Final = 10_000  # of one hole, the youngest; older ones are lost
MAX_HOLES: Final = 64  # that are being filled, per symbol; beyond it the oldest is given up
MAX_OPEN: Final = 4  # requests under way
NOT_OFFERED: Final = frozenset({400, 403, 404})  # what an endpoint answers that does not list single trades
ASK_AGAIN_NS: Final = 600 * NS_PER_S  # how long we believe that


class Backfill:
    """All holes of one provider. It outlives connections; `due`, `wants` and `on_wake` are as in `Errands`."""

    def __init__(self, memory: Memory, name: str) -> None:
        self.due = NEVER
        self.wants: list[Want] = []
        self.on_wake: Callable[[], None] = _nobody_sleeps
        self._memory = memory
        self._name = name
        self._holes: dict[str, list[Hole]] = {}  # in the order of their ids
        self._asked: dict[str, Hole] = {}  # requests under way, by symbol
        self._aggregates_until = 0  # single trades are not offered

    def jumped(self, symbol: str, first: int, last: int, after_ts: int, ts_recv: int) -> Sequence[Event]:
        """The ids from `first` to `last` were jumped over, after a trade of the time `after_ts`."""
        events: list[Event] = []
        if last - first >= MAX_IDS:
            events.append(self._gap(symbol, (first, last - MAX_IDS), 0, ts_recv))
            first = last - MAX_IDS + 1
        holes = self._holes.setdefault(symbol, [])
        if len(holes) >= MAX_HOLES:
            events += self._settle(symbol, holes[0], ts_recv)
        holes.append(Hole(first, last, after_ts))
        self._wake()
        return events

    def came(self, symbol: str, trade_id: int) -> None:
        """The stream has brought a missing trade after all."""
        if any(hole.take(trade_id) and not hole.missing for hole in self._holes.get(symbol, ())):
            self._wake()

    def renumbered(self, symbol: str, ts_recv: int) -> list[Event]:
        """The venue's numbering has begun anew: what is missing of the old one cannot be asked for any more."""
        return [event for hole in list(self._holes.get(symbol, ())) for event in self._settle(symbol, hole, ts_recv)]

    def on_time(self, now: int, ts_recv: int) -> Sequence[Event]:
        events: list[Event] = []
        self.due = NEVER
        for symbol, holes in list(self._holes.items()):
            for hole in list(holes):
                events += self._look(symbol, hole, now, ts_recv)
            if not holes:
                del self._holes[symbol]
            elif symbol not in self._asked and holes[0].told:
                self._ask(symbol, holes[0], now)
        return events

    def fetched(self, fetch: Fetch, body: bytes, now: int, ts_recv: int) -> Sequence[Event]:
        symbol = fetch.topic
        asked = self._asked.pop(symbol)
        self.due = 0
        try:
            page = read(body, aggregates=asked.aggregates)
        except UNREADABLE:
            self._set_aside("wrong_shape", body)
            asked.postpone(now)
            return ()
        if page.reach < 0 or (page.reach < asked.next_id and page.next_aggregate == asked.next_aggregate):
            asked.postpone(now)  # nothing, or nothing new
            return ()
        asked.next_aggregate = page.next_aggregate
        holes = self._holes.get(symbol, [])
        events: list[Event] = []
        for row in page.trades:
            for hole in holes:
                if hole.first <= row.id <= hole.last:
                    events += self._take(symbol, hole, row, ts_recv)
        for hole in holes:
            hole.reached(page.reach)
        return events

    def failed(self, fetch: Fetch, status: int | None, now: int) -> None:
        hole = self._asked.pop(fetch.topic)
        self.due = 0
        if status not in NOT_OFFERED:
            hole.postpone(now)
        elif hole.aggregates:
            hole.reached(hole.last)
        else:
            hole.aggregates = True
            if now >= self._aggregates_until:
                self.wants.append(Notice("single past trades are not offered; using aggregates", {"status": status}))
            self._aggregates_until = now + ASK_AGAIN_NS

    def closed(self, ts_recv: int) -> Sequence[Event]:
        return [event for symbol in list(self._holes) for event in self.renumbered(symbol, ts_recv)]

    @property
    def pending(self) -> int:
        """Holes that are neither filled nor given up."""
        return sum(map(len, self._holes.values()))

    def _look(self, symbol: str, hole: Hole, now: int, ts_recv: int) -> Sequence[Event]:
        if hole.found_at is None:
            hole.found_at = now
            hole.aggregates = now < self._aggregates_until
        if hole.is_over(now):
            return self._settle(symbol, hole, ts_recv)
        speak_at = hole.found_at + GRACE_NS
        self.due = min(self.due, hole.found_at + DEADLINE_NS if hole.told else speak_at)
        if hole.told or now < speak_at:
            return ()
        hole.told = True
        return (self._status("backfill", symbol, hole, ts_recv),)

    def _ask(self, symbol: str, hole: Hole, now: int) -> None:
        if now < hole.retry_at:
            self.due = min(self.due, hole.retry_at)
        elif len(self._asked) < MAX_OPEN:
            self._asked[symbol] = hole
            self.wants.append(ask(symbol, hole))

    def _take(self, symbol: str, hole: Hole, row: PastTrade, ts_recv: int) -> Sequence[Trade]:
        trade = trade_of(row, symbol, self._memory, self._name, ts_recv)
        if isinstance(trade, str):
            self._set_aside(trade, msgspec.json.encode(row))
            return ()
        if not hole.take(row.id):
            return ()
        self._memory.sequence(symbol).fill(row.id)
        hole.backfilled += 1
        self._memory.counters.backfilled_trades += 1
        return (trade,)

    def _settle(self, symbol: str, hole: Hole, ts_recv: int) -> list[Event]:
        """Forget a hole, and say how it ended."""
        self._holes[symbol].remove(hole)
        if hole.missing:
            return [self._gap(symbol, missing, hole.backfilled, ts_recv) for missing in hole.missing]
        return [self._status("backfill", symbol, hole, ts_recv)] if hole.told else []

    def _status(self, kind: str, symbol: str, hole: Hole, ts_recv: int) -> Status:
        detail = {"from": hole.first, "to": hole.last, "missing": hole.count, "backfilled": hole.backfilled}
        return Status(self._name, symbol, ts_recv, kind, detail)

    def _gap(self, symbol: str, missing: tuple[int, int], backfilled: int, ts_recv: int) -> Status:
        first, last = missing
        self._memory.counters.gaps += 1
        self._memory.counters.missing_trades += last - first + 1
        detail = {"from": first, "to": last, "missing": last - first + 1, "backfilled": backfilled}
        return Status(self._name, symbol, ts_recv, "gap", detail)

    def _set_aside(self, reason: str, sample: bytes) -> None:
        if self._memory.quarantine.add(reason, sample):
            self.wants.append(Notice("frame set aside", {"reason": reason, "sample": sample[:240]}))

    def _wake(self) -> None:
        self.due = 0
        self.on_wake()


def _nobody_sleeps() -> None:
    """`on_wake` before anybody has set it."""
