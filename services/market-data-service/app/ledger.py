"""The ledger as the last words of a run: one log line for each sink."""

from collections.abc import Iterable
from typing import Any, Final

import structlog

from app.bus import Account, Buffer
from app.sinks.storage import StorageSink
from app.storage.rows import NAMES

log: Final = structlog.get_logger("app")


def log_ledger(buffers: Iterable[Buffer[Any]], storage: StorageSink[Any] | None = None) -> None:
    """Say what became of every event; for those that the storage took, what became of them there."""
    for buffer in buffers:
        rows = {
            NAMES[cls]: account for cls, account in buffer.accounts.items() if account.received or account.recovered
        }
        log.info(
            "ledger",
            sink=buffer.name,
            difference=sum(account.difference for account in rows.values()),
            **{name: _as_text(account) for name, account in rows.items()},
            **_corrupt(buffer),
            **_rows(buffer, storage),
        )


def _as_text(account: Account) -> str:
    recovered = f" + {account.recovered} recovered" if account.recovered else ""
    return (
        f"{account.received} received{recovered} = {account.delivered} delivered + {account.conflated} conflated"
        f" + {account.dropped} dropped + {account.spilled} spilled + {account.queued} queued"
    )


def _corrupt(buffer: Buffer[Any]) -> dict[str, str]:
    """What was damaged on disk; an earlier run's is in no account, since nobody can tell its kind any more."""
    journal = buffer.journal
    if journal is None or not journal.corrupt:
        return {}
    before = journal.corrupt_before
    return {"corrupt": f"{journal.corrupt - before} of this run, in dropped + {before} of an earlier one"}


def _rows(buffer: Buffer[Any], storage: StorageSink[Any] | None) -> dict[str, str]:
    return {} if storage is None or buffer.name != storage.name else {"rows": storage.writer.account.as_text()}
