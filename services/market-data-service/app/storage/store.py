"""What the writer asks of a database, whichever it is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.storage.batch import Tables
from app.storage.retry import Verdict

if TYPE_CHECKING:  # a service without a store does without the library, which takes a second to import
    from sqlalchemy import Table


class StorageError(RuntimeError):
    """The store cannot be used as it is; one line for people, without a secret."""


class StorageAwayError(StorageError):
    """Nothing is wrong with the settings: the store cannot be reached now."""


class WriteError(Exception):
    """One transaction failed and left nothing behind, as far as anybody can tell."""

    def __init__(self, verdict: Verdict, why: str) -> None:
        self.verdict = verdict
        self.why = why
        super().__init__(why)


class Written(NamedTuple):
    """What one transaction did."""

    stored: int
    duplicates: int
    quarantined: int


class Store(Protocol):
    """One database with the tables of `schema`, and the one connection that writes to it."""

    shown: str  # where it is, fit to be shown

    async def prepare(self) -> None:
        """Connect and see that the tables are those of this version; `insert` does it by itself when it is due.

        Raises:
            StorageError: this database cannot be used until somebody does something about it.
            WriteError: it cannot be reached now.
        """
        ...

    async def migrate(self) -> str:
        """Bring the tables to this version; return what was done, for people.

        Raises:
            StorageError: its schema cannot be brought to this version.
            WriteError: it cannot be reached now.
        """
        ...

    async def insert(self, tables: Tables) -> Written:
        """Write the rows of all tables in one transaction; those whose key is there already stay as they are.

        Raises:
            WriteError: see the verdict.
        """
        ...

    async def delete_exactly(self, table: "Table", symbol: str, since_ns: int, until_ns: int, expected: int) -> int:
        """Delete the rows of a symbol whose time is in [since_ns, until_ns), if there are exactly as many as expected.

        Returns how many are gone: `expected`, or 0 when there were more or fewer.

        Raises:
            WriteError: see the verdict.
        """
        ...

    async def dispose(self) -> None:
        """Close every connection; the store cannot be used any more."""
        ...


def count_written(new: Mapping[str, int], tables: Tables) -> Written:
    """Tell stored rows, quarantined ones and duplicates apart; `new` holds the new rows of each table."""
    rows = sum(map(len, tables.values()))
    quarantined = new.get("quarantine", 0)
    stored = sum(new.values()) - quarantined
    return Written(stored, rows - stored - quarantined, quarantined)
