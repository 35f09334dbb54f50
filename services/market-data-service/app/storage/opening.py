"""From a storage URL to a store that can be written to."""

from pathlib import Path

import structlog

from app.storage.address import parse
from app.storage.retry import Verdict
from app.storage.sqlite import SqliteStore
from app.storage.store import StorageError, Store, WriteError

log = structlog.get_logger("app.storage")


def make_store(url: str) -> Store:
    """The store at `url`; nothing is connected yet, but an SQLite file is taken for this process alone to write.

    Raises:
        BadStorageUrlError: no store is at such a URL.
        StorageError: another process writes to it, or its file cannot be made.
    """
    address = parse(url)
    if address.kind == "sqlite":
        return SqliteStore(Path(address.path))
    from app.storage.postgresql import PostgresqlStore  # only here: most have no server, and its driver takes time

    return PostgresqlStore(address)


async def open_store(url: str) -> Store:
    """The store at `url`, its tables seen to be those of this version.

    A server that cannot be reached is no reason not to begin: what is taken meanwhile is kept for it.

    Raises:
        BadStorageUrlError: no store is at such a URL.
        StorageError: it cannot be used as it is.
    """
    store = make_store(url)
    try:
        await store.prepare()
    except WriteError as error:
        if isinstance(store, SqliteStore) and error.verdict is not Verdict.TRANSIENT:
            await store.dispose()
            raise StorageError(f"{store.shown}: {error.why}") from None
        log.warning("storage cannot be reached yet", store=store.shown, why=error.why, next="it keeps trying")
    except StorageError:
        await store.dispose()
        raise
    return store


async def migrate_store(url: str) -> str:
    """Bring the tables of the store at `url` to this version; return what was done, for people.

    Raises:
        BadStorageUrlError: no store is at such a URL.
        StorageError: it cannot be reached, or its schema is one that cannot be brought to this version.
    """
    store = make_store(url)
    try:
        return await store.migrate()
    except WriteError as error:
        raise StorageError(f"{store.shown}: {error.why}") from None
    finally:
        await store.dispose()
