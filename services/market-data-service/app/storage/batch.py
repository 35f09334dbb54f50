"""Messages on their way into the store in one transaction, and the rows they become. Pure."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from app.storage import bulk
from app.storage.rows import TABLES, PoisonError, Row, Storable, Values, make_row, quarantine_row

Tables: TypeAlias = Mapping[str, Sequence[Values]]  # the rows of a batch, by the table's name

_first_column: Final = itemgetter(0)


class Batch:
    """Its rows are made in steps, since the event loop has other things to do as well."""

    __slots__ = ("_made", "_now_ns", "_tables", "messages")

    def __init__(self, messages: Sequence[Storable], now_ns: int) -> None:
        self.messages = messages
        self._now_ns = now_ns  # when what cannot be stored is set aside
        self._made = 0
        self._tables: dict[str, list[Values]] = {}

    def __len__(self) -> int:
        return len(self.messages)

    def make_rows(self, limit: int) -> bool:
        """Make the rows of the next `limit` messages; whether there are messages left."""
        part = self.messages[self._made : self._made + limit]
        self._made += len(part)
        for kind, messages in _by_kind(part).items():
            values = bulk.make_rows(kind, messages)
            if values is not None:
                self._tables.setdefault(TABLES[kind], []).extend(values)
                continue
            for message in messages:
                self._add(self._row(message))
        return self._made < len(self.messages)

    def tables(self) -> Tables:
        """The rows, symbol by symbol: what belongs together in the store arrives together, which is a fifth faster."""
        while self.make_rows(len(self.messages)):
            pass
        for rows in self._tables.values():
            rows.sort(key=_first_column)
        return self._tables

    def halves(self) -> tuple["Batch", "Batch"]:
        """To find out which of the messages it is that a database refuses."""
        half = len(self.messages) // 2
        return Batch(self.messages[:half], self._now_ns), Batch(self.messages[half:], self._now_ns)

    def set_aside(self, reason: str) -> None:
        """Make every message a row of the table `quarantine`, whatever it was before."""
        self._made = len(self.messages)
        self._tables = {}
        for message in self.messages:
            self._add(quarantine_row(message, reason, self._now_ns))

    @property
    def is_set_aside(self) -> bool:
        """All of it is for the table `quarantine`."""
        return set(self.tables()) == {"quarantine"}

    def restart(self) -> None:
        """Make the rows anew."""
        self._made = 0
        self._tables = {}

    def _add(self, row: Row) -> None:
        self._tables.setdefault(row.table, []).append(row.values)

    def _row(self, message: Storable) -> Row:
        try:
            return make_row(message)
        except PoisonError as error:
            return quarantine_row(message, str(error), self._now_ns)


def _by_kind(messages: Sequence[Storable]) -> dict[type[Storable], list[Storable]]:
    groups: dict[type[Storable], list[Storable]] = {}
    for message in messages:
        kind = message.__class__
        if kind in groups:
            groups[kind].append(message)
        else:
            groups[kind] = [message]
    return groups
