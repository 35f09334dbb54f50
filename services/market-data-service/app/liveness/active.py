"""Between the feeds and the bus: of several providers, only the events of the active one go on.

The others are on standby: their events are counted and let go, so that a switch costs nothing but opening another door.
It happens between two events, so the one that is left loses no event it has published and the next one starts with
none published twice.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from md_contract.events import BookL2, Event, Quote, Status, Trade
from md_contract.subjects import SYSTEM

_STATES: Final = (Quote, BookL2)  # the latest one says all there is; the order is that in which they are told


class Door:
    """The way of one provider's events to the bus. `publish` is called by its feed, once per event and in order."""

    def __init__(self, provider: str, pass_on: Callable[[Event], None], *, is_open: bool) -> None:
        self.provider = provider
        self.is_open = is_open
        self.held = 0  # events let go on standby
        # The latest event of each type and symbol: signs of life, and what a reader has to know after a switch.
        self.latest: dict[type[Event], dict[str, Event]] = {Trade: {}, Quote: {}, BookL2: {}}
        self._pass_on = pass_on

    def publish(self, event: Event) -> None:
        """Pass an event on, or count it; what a standby says about itself as a whole is passed on as well."""
        latest = self.latest.get(event.__class__)
        if latest is not None:
            latest[event.symbol] = event
            if self.is_open:
                self._pass_on(event)
            else:
                self.held += 1
        elif self.is_open or event.symbol == SYSTEM:
            self._pass_on(event)
        else:
            self.held += 1
            if isinstance(event, Status) and event.kind == "reconnect":  # what came before it says nothing any more
                for kind in _STATES:
                    self.latest[kind].pop(event.symbol, None)

    def states(self, symbol: str) -> list[Event]:
        """The quote and the book that a reader of this provider alone would hold, as far as they are not out yet."""
        return [event for kind in _STATES if (event := self.latest[kind].get(symbol)) is not None]

    def close(self) -> None:
        """Let nothing pass from here on; what has passed need not be told again."""
        self.is_open = False
        for kind in _STATES:
            self.latest[kind].clear()


class Doors:
    """One door for each provider, exactly one of them open."""

    def __init__(self, providers: Sequence[str], symbols: Sequence[str], publish: Callable[[Event], None]) -> None:
        """Open the door of the first provider.

        Args:
            providers: names, the primary first.
            symbols: every symbol that readers follow.
            publish: the way to the bus.
        """
        self.symbols = tuple(symbols)
        self.active = providers[0]
        self.switches: dict[tuple[str, str], int] = {}  # (from, to) -> number
        self.last_switch: dict[str, str] | None = None  # from, to, reason
        self._publish = publish
        self._doors = {name: Door(name, publish, is_open=name == self.active) for name in providers}

    def __getitem__(self, provider: str) -> Door:
        return self._doors[provider]

    def switch(self, to: str, reason: str, wall_ns: int, also: Iterable[Status] = ()) -> None:
        """Make another provider the active one.

        Every symbol is told of it before the first event of the new source. Then come `also`, what there is to be said
        about the new source, and its latest quotes and books.
        """
        left, taken = self._doors[self.active], self._doors[to]
        left.close()
        detail = {"from": left.provider, "to": to, "reason": reason}
        for symbol in self.symbols:
            self._publish(Status(to, symbol, wall_ns, "source_switch", detail))
        for status in also:
            self._publish(status)
        for symbol in self.symbols:
            for event in taken.states(symbol):
                self._publish(event)
        self.active = to
        taken.is_open = True
        self.last_switch = detail
        key = (left.provider, to)
        self.switches[key] = self.switches.get(key, 0) + 1
