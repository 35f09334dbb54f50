"""`python -m senpai.md_consumer` as people and supervisors meet it: signals, exit codes, messages."""

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from md_contract import codec


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order_with_exit_0_and_the_ledger_as_its_last_line(
    nats_server: Any, bus: Any, wait: Any, start: Any, number: signal.Signals
) -> None:
    process = start(NATS_URL=nats_server.url, FEATURES_PUB_RATE_HZ="0.2")
    await asyncio.to_thread(process.read_until, "connected to NATS")
    await bus.send(*(bus.trade(second=second / 10, price=str(100 + second)) for second in range(50)))
    await wait(lambda: bus.on("senpai.features.BTCUSDT"), "features")
    await bus.send(bus.quote(second=5, bid="7", ask="9"))
    await bus.client.flush()
    process.signal(number)
    assert await asyncio.to_thread(process.wait) == 0
    last = process.lines[-1]
    assert last["event"] == "stopped"
    assert last["difference"] == 0
    assert last["trade"] == "50 received = 50 delivered + 0 conflated + 0 dropped + 0 spilled + 0 queued"
    await bus.client.flush()
    await wait(lambda: len(bus.on("senpai.features.BTCUSDT")) >= 2, "the last features")
    assert codec.decode_features(bus.on("senpai.features.BTCUSDT")[-1]).features["trade_count_10s"] == 50


async def test_a_second_signal_ends_it_at_once(nats_server: Any, start: Any) -> None:
    process = start(NATS_URL=nats_server.url)
    await asyncio.to_thread(process.read_until, "connected to NATS")
    nats_server.pause()
    try:
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(process.read_until, "stopping")
        process.signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait) == 128 + signal.SIGTERM
    finally:
        nats_server.resume()
    assert process.lines[-1]["event"] == "stopped_at_once"


async def test_a_taken_port_is_one_clear_line_that_names_it(start: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(HTTP_PORT=str(port))
        assert await asyncio.to_thread(process.wait) == 1
    (line,) = process.stderr.splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "HTTP_PORT" in line


async def test_a_setting_that_cannot_be_used_is_one_clear_line_and_exit_2(start: Any) -> None:
    process = start(JETSTREAM_DURABLE="a b", HTTP_PORT="70000")
    assert await asyncio.to_thread(process.wait) == 2
    (line,) = process.stderr.splitlines()
    assert "JETSTREAM_DURABLE: " in line
    assert "HTTP_PORT: " in line


async def test_missing_nats_is_said_once_without_its_password(start: Any) -> None:
    process = start(NATS_URL="nats://user:geheim@127.0.0.1:1")
    url = (await asyncio.to_thread(process.read_until, "started"))["http"]
    await asyncio.to_thread(process.read_until, "NATS cannot be reached")
    shown: dict[str, Any] = {"nats": {"errors": 0}}
    async with aiohttp.ClientSession() as session:
        while shown["nats"]["errors"] < 3:
            async with session.get(f"{url}/stats") as response:
                shown = await response.json()
        async with session.get(f"{url}/health") as response:
            health = await response.text()
    process.signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0
    assert sum("cannot be reached" in line["event"] for line in process.lines) == 1
    assert "geheim" not in f"{process.stderr}{process.lines}{shown}{health}"


async def test_settings_come_from_the_env_file_of_the_folder_and_the_environment_wins(
    start: Any, tmp_path: Path
) -> None:
    text = "HTTP_PORT=1\nHTTP_HOST=nowhere.invalid\nUNKNOWN_TO_US=1\nLOG_LEVEL=\nSIGNAL_TRESHOLD=5\n"
    (tmp_path / ".env").write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start(folder=tmp_path, HTTP_PORT=port, HTTP_HOST="127.0.0.1")
        assert await asyncio.to_thread(process.wait) == 1
    (warning,) = process.lines
    assert (warning["event"], warning["level"], warning["name"]) == ("unknown_setting", "warning", "SIGNAL_TRESHOLD")
    assert "SIGNAL_RETURN_THRESHOLD" in warning["next"]
    assert f"127.0.0.1:{port}" in process.stderr


async def test_a_host_that_is_none_is_one_clear_line_and_exit_2(start: Any) -> None:
    process = start(HTTP_HOST="nohost.invalid")
    assert await asyncio.to_thread(process.wait) == 2
    (line,) = process.stderr.splitlines()
    assert "HTTP_HOST: expected an address of this machine" in line
    assert "'nohost.invalid'" in line
