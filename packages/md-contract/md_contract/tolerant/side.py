"""The side of a trade that fits the contract, where another of its fields tells it or says otherwise."""

import re
from typing import Final

from md_contract.codec import UnreadableError
from md_contract.events import Trade
from md_contract.tolerant.reading import Tolerated, read_event

OWN_END: Final = b',"v":1,"backfill":false}'  # how our own encoder ends a trade: cheaper to see than what is below
_TOLD: Final = re.compile(rb'aker|aggressor|"side"\s*:\s*"', re.IGNORECASE)  # is_buyer_maker, takerSide, Side
_CONTRADICTED: Final = re.compile(rb"maker", re.IGNORECASE)


def read_side(event: Trade, payload: bytes, subject: str, now_ns: int) -> Tolerated:
    """Return the trade as it is, or with the side that it tells in another way.

    Args:
        event: what `decode_event` made of the payload.
        payload: the message.
        subject: where it came from.
        now_ns: the UTC time of its reception, ns.

    Raises:
        UnreadableError: the side is told in no known way, or two fields contradict each other (`ambiguous`).
    """
    if payload.endswith(OWN_END):
        return Tolerated(event, ())
    if event.side is None and _TOLD.search(payload):
        return read_event(payload, subject, now_ns)
    if event.side is not None and _CONTRADICTED.search(payload):
        try:
            read_event(payload, subject, now_ns)
        except UnreadableError as error:
            if error.kind == "ambiguous":
                raise
    return Tolerated(event, ())
