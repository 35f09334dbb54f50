"""The whole path for the end-to-end tests: both services as processes, and an independent reader of all of NATS."""

import asyncio
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from nats_link.testing import free_port

REPOSITORY = Path(__file__).parents[2]
PRODUCER = REPOSITORY / "services" / "market-data-service"
CONSUMER = REPOSITORY / "services" / "senpai-md-consumer"
DEADLINE_S = 60.0


async def until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for `condition`, looking at it 50 times a second."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():  # noqa: ASYNC110 - the condition spans processes; no event of ours can tell
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"after {deadline_s} s still waiting for {what}")


class Process:
    """One service as a child process; its output is kept for the failure message."""

    def __init__(self, name: str, child: asyncio.subprocess.Process) -> None:
        self.name = name
        self.child = child
        self.lines: list[str] = []
        self._reader = asyncio.create_task(self._read(), name=f"output of {name}")

    async def _read(self) -> None:
        assert self.child.stdout is not None
        async for line in self.child.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())

    async def stop(self, deadline_s: float = 15.0) -> int:
        """Send SIGTERM and return the exit code."""
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self.child.wait(), deadline_s)
        except TimeoutError:
            self.child.kill()
            await self.child.wait()
            pytest.fail(f"{self.name} did not stop within {deadline_s} s; its last lines: {self.lines[-5:]}")
        await self._reader
        return code


class Reader:
    """Reads every message on NATS with its own client and plain json, independent of the project's codec."""

    def __init__(self) -> None:
        self.by_subject: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.in_order: list[tuple[str, dict[str, Any]]] = []

    async def take(self, message: Msg) -> None:
        body = json.loads(message.data)
        self.by_subject[message.subject].append(body)
        self.in_order.append((message.subject, body))

    def count(self, subject: str) -> int:
        return len(self.by_subject.get(subject, ()))

    async def until(self, subject: str, messages: int) -> None:
        """Wait until that many messages have come on `subject`."""
        await until(lambda: self.count(subject) >= messages, f"{messages} messages on {subject}")


class Stack:
    """Everything between an exchange and a signal, running."""

    def __init__(self, nats_url: str, stack: AsyncExitStack, http: aiohttp.ClientSession, folder: Path) -> None:
        """`folder`: where the services may keep files."""
        self.nats_url = nats_url
        self.reader = Reader()
        self.producer_url = ""
        self.consumer_url = ""
        self.processes: dict[str, Process] = {}
        self._stack = stack
        self._folder = folder
        self.http = http
        self.nats = Client()

    async def start_reader(self) -> None:
        client = self.nats
        await client.connect(self.nats_url)
        self._stack.push_async_callback(client.close)
        for subject in ("md.events.>", "senpai.>"):
            await client.subscribe(subject, cb=self.reader.take, pending_msgs_limit=-1, pending_bytes_limit=-1)
        for _ in range(2):  # nats-py's PING can overtake a SUB: only the second answer proves that the server knows it
            await client.flush()

    async def close_reader(self) -> None:
        await self.nats.close()

    async def start_consumer(self, **settings: str) -> Process:
        port = free_port()
        self.consumer_url = f"http://127.0.0.1:{port}"
        return await self._start("senpai-md-consumer", CONSUMER, ["-m", "senpai.md_consumer"], port, settings)

    async def start_producer(
        self, ws_url: str, rest_url: str, symbols: str, provider: str = "binance", **settings: str
    ) -> Process:
        """Start it; `provider` is reached at these URLs."""
        port = free_port()
        self.producer_url = f"http://127.0.0.1:{port}"
        command = ["-m", "app", "run", "--provider", provider, "--symbols", symbols]
        urls = {f"{provider.upper()}_WS_URL": ws_url, f"{provider.upper()}_REST_URL": rest_url}
        settings = {**urls, **settings}
        return await self._start("market-data-service", PRODUCER, command, port, settings)

    async def _start(self, name: str, folder: Path, command: list[str], port: int, settings: dict[str, str]) -> Process:
        environment = {
            **os.environ,
            "NATS_URL": self.nats_url,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
            "STORAGE_URL": "",
            "SPILL_DIR": str(self._folder / "spill"),
            **settings,
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        process = Process(name, child)
        self.processes[name] = process
        self._stack.push_async_callback(process.stop)
        return process

    async def get(self, url: str) -> tuple[int, Any]:
        """GET `url`: its status and JSON body; status 0 while nothing listens there."""
        try:
            async with self.http.get(url) as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientConnectionError:
            return 0, None

    async def until_http(
        self, url: str, accept: Callable[[int, Any], bool], what: str, deadline_s: float = DEADLINE_S
    ) -> Any:
        """Poll `url` until `accept(status, body)`; return that body."""
        status, body = 0, None
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    status, body = await self.get(url)
                    if accept(status, body):
                        return body
                    await asyncio.sleep(0.05)
        except TimeoutError:
            output = {name: process.lines[-8:] for name, process in self.processes.items()}
            pytest.fail(f"after {deadline_s} s still waiting for {what}: last answer {status} {body}; output: {output}")
