"""Many events as the contents of several segments."""

from collections.abc import Iterable
from typing import Final

from app.bus import M
from app.journal.framing import frame
from md_contract.codec import encode

_UNENCODABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)


def cut_to_pieces(events: Iterable[M], max_bytes: int) -> tuple[list[tuple[bytes, list[M]]], list[M]]:
    """Pieces of at most `max_bytes` (one event may be longer) with the events in each; and those nobody can encode."""
    pieces: list[tuple[list[bytes], list[M]]] = []
    refused: list[M] = []
    room = 0  # in the last piece
    for event in events:
        try:
            record = frame(encode(event))
        except _UNENCODABLE:
            refused.append(event)
            continue
        if len(record) > room:
            pieces.append(([], []))
            room = max_bytes
        pieces[-1][0].append(record)
        pieces[-1][1].append(event)
        room -= len(record)
    return [(b"".join(records), held) for records, held in pieces], refused
