"""One event of any producer, read in the contract's own form."""

from typing import NamedTuple

import msgspec

from md_contract.codec import UnreadableError, decode_event, encode
from md_contract.events import Event
from md_contract.tolerant.fields import Fields, parse
from md_contract.tolerant.shapes import translate


class Tolerated(NamedTuple):
    """An event, and what had to be tolerated to read it: some of TOLERANCES, each once."""

    event: Event
    tolerances: tuple[str, ...]


def read_event(payload: bytes, subject: str, now_ns: int) -> Tolerated:
    """Read one event of any producer.

    Args:
        payload: the message.
        subject: where it came from; of `md.events.{type}.{symbol}` it tells the type and the symbol, of others nothing.
        now_ns: the UTC time of its reception, ns.

    Raises:
        UnreadableError: as `decode_event`; also `ambiguous` (it can be read in two ways, or says two things) and
            `bad_time` (a time that is none, or of no year that it can be of).
    """
    try:
        fields = Fields(parse(payload), subject, now_ns)
        event = decode_event(encode(translate(fields)))
    except (RecursionError, UnicodeError, msgspec.MsgspecError) as error:
        raise UnreadableError("not_json", str(error)) from None
    return Tolerated(event, tuple(fields.tolerances))
