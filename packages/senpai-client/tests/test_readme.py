"""The README's code is run as it stands, against a real nats-server."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from md_contract.signals import Condition

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.fixture
async def start(nats_server: Any, tmp_path: Path) -> AsyncIterator[Any]:
    started: list[asyncio.subprocess.Process] = []

    async def start(number: int) -> asyncio.subprocess.Process:
        code = BLOCKS[number].replace('"nats://127.0.0.1:4222"', repr(nats_server.url))
        code = code.replace("Client()", f"Client({nats_server.url!r})")
        assert nats_server.url in code
        (tmp_path / "example.py").write_text(code)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(tmp_path / "example.py"), stdout=asyncio.subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        await process.communicate()


async def line_with(process: asyncio.subprocess.Process, text: str) -> str:
    """Send on and read on until a line has the text."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, "the example ended"
    return line


async def test_the_first_example_prints_a_signal_with_its_reason(publisher: Any, start: Any) -> None:
    process = await start(0)
    await line_with(process, "connected to NATS")
    signal = publisher.signal(lasts_s=30)
    signal.reason = [Condition("return_10s", 0.0034, ">", 0.003)]
    await publisher.send(publisher.signal(trusted=False), signal)
    line = await line_with(process, "long")
    assert re.fullmatch(r"long BTCUSDT for (29\.\d|30\.0) s: return_10s 0\.0034 > 0\.003\n", line)


async def test_the_second_example_shows_features_alerts_and_status_events(publisher: Any, start: Any) -> None:
    process = await start(1)
    for _ in range(3):
        await line_with(process, "connected to NATS")
    await publisher.send(publisher.features(), publisher.alert())
    status = b'{"type":"status","provider":"x","symbol":"A","ts_recv":1,"kind":"gap","detail":{}}'
    await publisher.send_raw("md.events.status.A", status)
    lines = {(await line_with(process, "(")).partition("(")[0] for _ in range(3)}
    assert lines == {"FeatureVector", "Alert", "Status"}
