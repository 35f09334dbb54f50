"""The service as a process of its own, with everything it needs from outside given by the test."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import nats
import pytest
from recorded import Publisher, made
from stored import Rows

from app.record.recorder import Recorder
from nats_link.testing import NatsServer

SERVICE = Path(__file__).resolve().parents[2]


class Process:
    """`python -m app ...` with its log as it comes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.log: list[dict[str, Any]] = []
        self._changed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            line = raw.decode().rstrip("\n")
            self.lines.append(line)
            if line.startswith("{"):
                self.log.append(json.loads(line))
            self._changed.set()
        self._changed.set()

    async def said(self, event: str, timeout_s: float = 50) -> dict[str, Any]:
        """Wait for a log line with this event name."""
        async with asyncio.timeout(timeout_s):
            while True:
                found = [entry for entry in self.log if entry["event"] == event]
                if found:
                    return found[0]
                assert not self._reading.done(), f"the service ended without saying {event!r}: {self.lines}"
                self._changed.clear()
                await self._changed.wait()

    async def get(self, path: str) -> tuple[int, Any]:
        base = (await self.said("started"))["http"].removesuffix("/health")
        async with aiohttp.ClientSession() as client, client.get(base + path) as answer:
            return answer.status, await (answer.json() if answer.content_type == "application/json" else answer.text())

    async def health(self, status: str, timeout_s: float = 50) -> dict[str, Any]:
        """Wait until /health says so."""
        body: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while body.get("status") != status:
                    await asyncio.sleep(0.02)
                    _, body = await self.get("/health")
        except TimeoutError:
            raise AssertionError(f"never {status!r}, last: {body}") from None
        return body

    async def queued(self, event_type: str, at_least: int, timeout_s: float = 50) -> None:
        """Wait until /bus-stats says so."""
        async with asyncio.timeout(timeout_s):
            while True:
                _, stats = await self.get("/bus-stats")
                if stats["sinks"]["nats"]["types"][event_type]["queued"] >= at_least:
                    return
                await asyncio.sleep(0.02)

    async def spilled(self, at_least: int, timeout_s: float = 50) -> dict[str, Any]:
        """Wait until /bus-stats says so of all types together; return it."""
        async with asyncio.timeout(timeout_s):
            while True:
                _, stats = await self.get("/bus-stats")
                if stats["sinks"]["nats"]["total"]["spilled"] >= at_least:
                    return dict(stats)
                await asyncio.sleep(0.02)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ended(self, timeout_s: float = 50) -> int:
        """Wait for the end; return the exit code."""
        async with asyncio.timeout(timeout_s):
            code = await self.process.wait()
            await self._reading
        return code


@pytest.fixture(autouse=True)
def _files_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPILL_DIR", str(tmp_path / "spill"))


@pytest.fixture
def service(tmp_path: Path) -> Callable[..., Any]:
    """`async with service("run", NATS_URL=...) as process:`; killed at the end if it still runs."""

    @asynccontextmanager
    async def start(*arguments: str, **variables: object) -> AsyncIterator[Process]:
        env = dict(line.split("=", 1) for line in (SERVICE / ".env.example").read_text().splitlines() if "=" in line)
        env |= {"HTTP_PORT": "0", "LOG_FORMAT": "json", "NATS_ENABLED": "true", "SPILL_DIR": str(tmp_path / "spill")}
        env |= {"STORAGE_URL": ""}  # tests about storage give one
        env |= {name: str(value) for name, value in variables.items()}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", *arguments,
            cwd=SERVICE, env=os.environ | env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        running = Process(process)
        try:
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await running.ended()
            assert process.stdout is not None
            await process.stdout.read()

    return start


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """The SQLite store of the test."""
    return Rows(tmp_path / "data" / "market.db")


@pytest.fixture
async def publisher(nats_server: NatsServer) -> AsyncIterator[Publisher]:
    client = await nats.connect(nats_server.url)
    yield Publisher(client)
    await client.close()


@pytest.fixture
def recording(nats_server: NatsServer, rows: Rows) -> Callable[..., Any]:
    """`async with recording() as recorder:` records in this process, and stops in order at the end."""

    @asynccontextmanager
    async def start(*subjects: str, into: Rows = rows, capacity: int = 1_000) -> AsyncIterator[Recorder]:
        recorder = await made(nats_server.url, into, *subjects, capacity=capacity)
        running = asyncio.create_task(recorder.run())
        try:
            yield recorder
        finally:
            recorder.request_stop()
            assert await running == 0

    return start


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it asks the server every few seconds is asked at once."""
    monkeypatch.setattr("app.record.stream.LOOK_EVERY_S", 0.1)
