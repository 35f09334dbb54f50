"""The process around the service: its event loop, its port, its store and its exit code."""

import socket
from typing import Final

import structlog

from app.http import listen
from app.loop import make_runner, stop_on_signals, warn_of_open_secrets
from app.service import Service
from app.settings import Settings

log: Final = structlog.get_logger("app")


async def _serve(settings: Settings, listener: socket.socket) -> int:
    store = None
    if url := settings.read_storage_url():
        from app.storage.opening import open_store  # only here: the database libraries take a second to import

        store = await open_store(url)
    try:
        service = Service(settings, listener, store)
    except BaseException:
        if store is not None:
            await store.dispose()
        raise

    stop_on_signals(service)
    warn_of_open_secrets(settings.secret_files)
    host, port = listener.getsockname()[:2]
    log.info(
        "started",
        provider=settings.provider,
        backup=settings.backup,
        symbols=",".join(settings.symbols),
        http=f"http://{host}:{port}/health",
        nats=service.nats_url if settings.nats_enabled else "off: events are discarded",
        storage="off" if store is None else store.shown,
        epoch=service.epoch,
    )
    return await service.run()


def run_service(settings: Settings) -> int:
    """Run the service until it is told to stop; return the exit code.

    It is 0 after an orderly stop, 1 after a failure, 2 when the settings ask for what NATS does not offer.

    Raises:
        BadHostError: the HTTP host is none of this machine.
        PortTakenError: the HTTP port cannot be used.
        UnknownProviderError, BadSettingsError: see `Service`.
        StorageError: the store cannot be used as it is.
    """
    with listen(settings.http_host, settings.http_port) as listener, make_runner() as runner:
        return runner.run(_serve(settings, listener))
