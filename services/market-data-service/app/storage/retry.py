"""What to do about a failed write: a table of the databases' own error codes. Pure.

    verdict     what failed                          what the writer does
    TRANSIENT   a lock, a deadlock: passes by itself the same batch again, soon; goes on taking rows meanwhile
    POISON      a row the database will never take   halves the batch until the row is found, and sets it aside
    AWAY        server gone, disk full, read-only    takes nothing more, so the bus keeps and spills; tries again

Every write can be repeated: the keys make a second delivery harmless. An error that is in no table counts as POISON:
a row is set aside in the same database, so if the trouble is the database after all, that write fails as well, which
then counts as AWAY, and the row is kept.
"""

from enum import Enum
from typing import Final


class Verdict(Enum):
    TRANSIENT = "transient"
    POISON = "poison"
    AWAY = "away"


SQLITE: Final[dict[int, Verdict]] = {  # primary result codes, https://sqlite.org/rescode.html
    3: Verdict.AWAY,  # PERM
    4: Verdict.TRANSIENT,  # ABORT
    5: Verdict.TRANSIENT,  # BUSY
    6: Verdict.TRANSIENT,  # LOCKED
    7: Verdict.AWAY,  # NOMEM
    8: Verdict.AWAY,  # READONLY
    9: Verdict.TRANSIENT,  # INTERRUPT
    10: Verdict.AWAY,  # IOERR
    11: Verdict.AWAY,  # CORRUPT
    13: Verdict.AWAY,  # FULL
    14: Verdict.AWAY,  # CANTOPEN
    15: Verdict.TRANSIENT,  # PROTOCOL: locking
    17: Verdict.TRANSIENT,  # SCHEMA changed
    18: Verdict.POISON,  # TOOBIG
    19: Verdict.POISON,  # CONSTRAINT
    20: Verdict.POISON,  # MISMATCH
    22: Verdict.AWAY,  # NOLFS
    23: Verdict.AWAY,  # AUTH
    25: Verdict.POISON,  # RANGE
    26: Verdict.AWAY,  # NOTADB
}

POSTGRESQL: Final[dict[str, Verdict]] = {  # SQLSTATE, the longest prefix wins
    "08": Verdict.AWAY,  # connection
    "0A": Verdict.AWAY,  # feature not supported: not this server
    "21": Verdict.POISON,  # cardinality
    "22": Verdict.POISON,  # data
    "23": Verdict.POISON,  # integrity constraint
    "25": Verdict.AWAY,  # transaction state; 25006: read-only
    "28": Verdict.AWAY,  # who we are
    "3D": Verdict.AWAY,  # no such database
    "3F": Verdict.AWAY,  # no such schema
    "40": Verdict.TRANSIENT,  # serialisation, deadlock
    "42": Verdict.AWAY,  # tables or rights are missing
    "42804": Verdict.POISON,  # type of a value
    "53": Verdict.AWAY,  # disk full, memory, connections
    "54": Verdict.POISON,  # too large, nested too deep
    "55": Verdict.TRANSIENT,  # in use, lock not available
    "57": Verdict.AWAY,  # operator: shutdown, crash, not ready yet
    "57014": Verdict.TRANSIENT,  # cancelled
    "58": Verdict.AWAY,  # I/O
    "F0": Verdict.AWAY,  # configuration file
    "XX": Verdict.AWAY,  # internal, corrupted
}

BASE_S: Final = 0.02
CAP_S: Final[dict[Verdict, float]] = {Verdict.TRANSIENT: 0.5, Verdict.AWAY: 2.0}


def of_sqlite(code: int | None) -> Verdict:
    """The verdict on an (extended) SQLite result code; None: an error that has none."""
    return Verdict.POISON if code is None else SQLITE.get(code & 0xFF, Verdict.POISON)


def of_postgresql(sqlstate: str | None) -> Verdict:
    """The verdict on an SQLSTATE; None: an error that has none."""
    if sqlstate is None:
        return Verdict.POISON
    for length in (5, 3, 2):
        if (verdict := POSTGRESQL.get(sqlstate[:length])) is not None:
            return verdict
    return Verdict.POISON
