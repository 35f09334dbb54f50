"""The process around the recorder; the one around the service is `process`."""

from collections.abc import Sequence
from typing import Final

import structlog

from app.journal import Journal, JournalError
from app.loop import make_runner, stop_on_signals, warn_of_open_secrets
from app.record.messages import decode
from app.record.recorder import FromStream, Recorder, Retention
from app.settings import BadSettingsError, Settings
from app.storage.opening import open_store
from app.storage.rows import Storable
from app.uplink import make_link, stream_options

NAME: Final = "market-data-recorder"
FOLDER: Final = "recorder"  # of SPILL_DIR
BYTES_PER_MB: Final = 1 << 20

log: Final = structlog.get_logger("app")


def _open_journal(settings: Settings) -> Journal[Storable] | None:
    if not settings.spill_max_mb:
        return None
    try:
        return Journal(settings.spill_dir / FOLDER, settings.spill_max_mb * BYTES_PER_MB, decode=decode)
    except JournalError as error:
        raise BadSettingsError([f"SPILL_DIR: {error}"]) from None


async def _record(settings: Settings, subjects: Sequence[str], queue: str, durable: str) -> int:
    link = make_link(settings, NAME, replies=settings.use_jetstream)
    store = await open_store(settings.read_storage_url())
    try:
        journal = _open_journal(settings)
    except BaseException:
        await store.dispose()
        raise
    recorder = Recorder(
        link,
        store,
        journal,
        subjects=subjects,
        queue=queue,
        capacity=settings.bus_capacity,
        jetstream=FromStream(stream_options(settings), durable) if settings.use_jetstream else None,
        retention=Retention(settings.archive_dir, settings.retention_days) if settings.retention_days else None,
    )
    stop_on_signals(recorder)
    warn_of_open_secrets(settings.secret_files)
    log.info(
        "recording begins",
        subjects=",".join(subjects),
        queue=queue or "none",
        jetstream=durable if settings.use_jetstream else "off",
        nats=link.url,
        storage=store.shown,
        holes="not looked for, as others of the queue group hear the rest" if queue else "recorded in the table gap",
    )
    return await recorder.run()


def run_recorder(settings: Settings, subjects: Sequence[str], queue: str, durable: str) -> int:
    """Record until told to stop; return the exit code.

    It is 0 after an orderly stop, 1 after a failure, 2 when the settings ask for what NATS does not offer.

    Args:
        settings: of this run.
        subjects: what to record.
        queue: the queue group; empty for none.
        durable: in JetStream mode, the consumer that knows what was recorded.

    Raises:
        BadSettingsError: credentials, certificates or a spill folder that cannot be used, or a queue group in JetStream
            mode.
        StorageError: the store cannot be used as it is.
    """
    if queue and settings.use_jetstream:
        raise BadSettingsError(
            ["--queue: it shares what is heard, and with USE_JETSTREAM=true the stream is read: leave it out"]
        )
    with make_runner() as runner:
        return runner.run(_record(settings, subjects, queue, durable))
