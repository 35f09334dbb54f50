"""What a buffer does with each kind of event, by how full its memory is.

NATS, where old quotes are worth nothing and trades are worth everything:

    fill        trade, status   quote, book_l2                              heartbeat
    < 80 %      kept            kept                                        kept
    >= 80 %     kept            kept                                        dropped
    >= 90 %     kept            conflated: only the latest per symbol kept  dropped
    >= 100 %    to disk         conflated                                   dropped

STORAGE, where every event is worth the same:

    fill        every kind
    < 100 %     kept
    >= 100 %    to disk

What should go to disk and cannot, because the journal is full, off or failing, is kept in memory all the same, and the
buffer is `saturated` until no more than 50 % of the memory is in use. For NATS, whoever feeds the bus has to stop
reading meanwhile; what was already read from the sockets is not lost between the word "stop" and its effect. A database
that is away for so long does not end the live feed: meanwhile the bus drops what comes for STORAGE, with a count.

Memory stays below the capacity, plus one quote and one book per symbol, plus what was read already.
"""

from dataclasses import dataclass
from typing import Final, Generic

from app.bus.item import M
from md_contract.events import TYPE_OF, BookL2, Event, Quote, Status, Trade

DROPPED_PERCENT: Final = 80
CONFLATED_PERCENT: Final = 90
LOW_WATER_PERCENT: Final = 50


@dataclass(frozen=True)
class Policy(Generic[M]):
    """All kinds, those that go to disk, and those that are conflated; the others are dropped first.

    `holds_sockets`: the sockets are not read while a buffer with this policy is saturated.
    """

    kinds: tuple[type[M], ...]
    spilling: frozenset[type[M]]
    conflated: frozenset[type[M]]
    holds_sockets: bool = True


_EVENTS: Final = tuple(TYPE_OF)

NATS: Final[Policy[Event]] = Policy(_EVENTS, spilling=frozenset({Trade, Status}), conflated=frozenset({Quote, BookL2}))
STORAGE: Final[Policy[Event]] = Policy(_EVENTS, spilling=frozenset(_EVENTS), conflated=frozenset(), holds_sockets=False)
