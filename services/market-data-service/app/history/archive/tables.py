"""Which tables are archived, and how their rows are asked for."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, Table, and_, func, select

from app.storage import schema


@dataclass(frozen=True, slots=True)
class Archived:
    """How one table is archived."""

    table: Table
    time: Column[Any]  # what its hours go by, and its rows are sorted by, within a symbol

    def rows(self, symbol: str, start_ns: int, stop_ns: int) -> Select[Any]:
        """The rows of one symbol with `start_ns <= time < stop_ns`, in the order of the key."""
        return select(*self.table.c).where(self._is_in(symbol, start_ns, stop_ns)).order_by(*self.table.primary_key)

    def count(self, symbol: str, start_ns: int, stop_ns: int) -> Select[Any]:
        """How many they are."""
        return select(func.count()).select_from(self.table).where(self._is_in(symbol, start_ns, stop_ns))

    def first(self, symbol: str, start_ns: int, stop_ns: int) -> Select[Any]:
        """The time of the first of them."""
        return select(func.min(self.time)).where(self._is_in(symbol, start_ns, stop_ns))

    def _is_in(self, symbol: str, start_ns: int, stop_ns: int) -> ColumnElement[bool]:
        return and_(self.table.c.symbol == symbol, self.time >= start_ns, self.time < stop_ns)


ARCHIVED: Final[dict[str, Archived]] = {
    str(table.name): Archived(table, table.c[time])
    for table, time in (
        (schema.trade, "ts"),
        (schema.quote, "ts_recv"),
        (schema.book, "ts_recv"),
        (schema.heartbeat, "ts_recv"),
        (schema.gap, "ts_recv"),
        (schema.feature, "ts_emit"),
        (schema.signal, "ts"),
    )
}
