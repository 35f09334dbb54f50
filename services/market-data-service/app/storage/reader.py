"""Reading what is stored, beside whoever writes it: nothing here can change a row."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from sqlalchemy import Executable, Row, Table, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.storage.address import Address, parse
from app.storage.migrate import check
from app.storage.sqlite import reading_engine
from app.storage.store import StorageAwayError, StorageError

BATCH: Final = 10_000

AnyRow: TypeAlias = Row[*tuple[Any, ...]]


class Reader:
    """Answers from one store; see `open_reader`."""

    def __init__(self, engine: AsyncEngine, shown: str) -> None:
        self.engine = engine
        self.shown = shown

    async def symbols(self, table: Table) -> list[str]:
        """The symbols in a table, sorted; one step down its key for each."""
        found: list[str] = []
        async with self.engine.connect() as connection:
            smallest = select(func.min(table.c.symbol))
            symbol = (await connection.execute(smallest)).scalar()
            while symbol is not None:
                found.append(symbol)
                symbol = (await connection.execute(smallest.where(table.c.symbol > symbol))).scalar()
        return sorted(found)

    async def rows(self, statement: Executable) -> Sequence[AnyRow]:
        """All rows of a small answer."""
        async with self.engine.connect() as connection:
            found: Sequence[AnyRow] = (await connection.execute(statement)).all()
            return found

    async def batches(self, statement: Executable, size: int = BATCH) -> AsyncGenerator[Sequence[AnyRow], None]:
        """The rows of an answer of any size, up to `size` at a time, all of one moment."""
        async with self.engine.connect() as connection:
            result = await connection.stream(statement.execution_options(yield_per=size))
            async for batch in result.partitions():
                yield batch


@asynccontextmanager
async def open_reader(url: str) -> AsyncIterator[Reader]:
    """Open the store at `url`, written as in STORAGE_URL.

    Raises:
        BadStorageUrlError: no store is at such a URL.
        StorageError: there is none, it cannot be reached, its schema is not the one of this version, or, also while it
            is being read, it cannot answer.
    """
    address = parse(url)
    engine = _engine(address)
    try:
        try:
            async with engine.connect() as connection:
                state = await connection.run_sync(check)
        except OSError as error:  # a timeout is one, too
            raise StorageAwayError(f"cannot read {address}: {_why(error)}; is it running?") from None
        if not state.is_usable:
            raise StorageError(f"cannot read {address}: {state.why}")
        yield Reader(engine, address.shown)
    except SQLAlchemyError as error:
        raise StorageAwayError(f"cannot read {address}: {_why(error)}") from None
    finally:
        await engine.dispose()


def _why(error: Exception) -> str:
    return " ".join(str(getattr(error, "orig", None) or error).split())[:200] or type(error).__name__


def _engine(address: Address) -> AsyncEngine:
    if address.kind == "postgresql":
        from app.storage.postgresql import make_engine

        return make_engine(address, {"timezone": "UTC", "default_transaction_read_only": "on"}, pool_size=2)
    path = Path(address.path)
    if not path.is_file():
        raise StorageError(f"cannot read {address}: there is no such file; next: run the service with this STORAGE_URL")
    return reading_engine(path)
