"""A list of what to send when: for tests that need exact frames, broken ones, or faults at exact times."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from exchange_sim.frame import Frame, Raw
from exchange_sim.venue import Action, Output

_NS_PER_S: Final = 1_000_000_000
_BATCH: Final = 256
VENUES: Final = ("binance", "bybit", "alpaca")
Item: TypeAlias = Frame | Raw | Action | str | bytes


class Script:
    """Items with their times in seconds from the start, which is when somebody has subscribed.

    A `Frame` goes to the subscribers of its stream. Text or bytes go to every client as they are, well-formed or not;
    `Raw(data, binary=True)` goes as a binary message. A function is called with the `ExchangeSim`.

    Args:
        items: `(at_s, item)` in any order; items with the same time keep their order.
        symbols: what `exchangeInfo` and `instruments-info` list.
        depths: the `GET /api/v3/depth` answer of a symbol, as JSON text; without one its book is empty.
        venues: which venues there are, of binance, bybit and alpaca.
    """

    waits = True
    paced = True

    def __init__(
        self,
        items: Iterable[tuple[float, Item]],
        *,
        symbols: Iterable[str] = ("BTCUSDT", "ETHUSDT"),
        depths: Mapping[str, bytes] | None = None,
        venues: Collection[str] = ("binance",),
    ) -> None:
        if not venues or not set(venues) <= set(VENUES):
            raise ValueError(f"expected venues of {', '.join(VENUES)}, found {venues!r}")
        self.symbols = tuple(symbols)
        self.venues = tuple(venues)
        self.depths = dict(depths or {})
        self._items = sorted(((at_s, _output(item)) for at_s, item in items), key=lambda pair: pair[0])
        self._position = 0
        self._start_ns = 0

    def start(self, now_ns: int) -> None:
        """Begin."""
        self._start_ns = now_ns

    def next_ns(self) -> int | None:
        """Return when the next item is due."""
        if self._position == len(self._items):
            return None
        return self._start_ns + int(self._items[self._position][0] * _NS_PER_S)

    def take(self, now_ns: int) -> list[Output]:
        """Return what is due, a batch at a time."""
        items: list[Output] = []
        while (due_ns := self.next_ns()) is not None and due_ns <= now_ns and len(items) < _BATCH:
            items.append(self._items[self._position][1])
            self._position += 1
        return items


def _output(item: Item) -> Output:
    if isinstance(item, str):
        return Raw(item.encode())
    return Raw(item) if isinstance(item, bytes) else item
