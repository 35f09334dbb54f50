"""The real server that tests use."""

import asyncio
import os
from pathlib import Path

import pytest

from nats_link.testing import NatsServer, ServerError


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_keeps_its_port_over_restarts_and_leaves_nothing_behind() -> None:
    with NatsServer() as server:
        port, first = server.port, server.pid
        server.restart()
        second = server.pid
        server.kill()
        assert not server.running
        server.start()
        third = server.pid
        assert server.port == port
        assert len({first, second, third}) == 3
        server.pause()
    assert not any(alive(pid) for pid in (first, second, third))
    server.stop()


def test_a_bad_configuration_says_why() -> None:
    with pytest.raises(ServerError, match="nonsense"), NatsServer("nonsense: true"):
        pass


def test_a_taken_port_says_so() -> None:
    with NatsServer() as first, pytest.raises(ServerError, match="address already in use"), NatsServer(port=first.port):
        pass


async def test_jetstream_keeps_its_store_over_a_crash(nats_server: NatsServer) -> None:
    import nats

    client = await nats.connect(nats_server.url)
    stream = client.jetstream()
    await stream.add_stream(name="S", subjects=["s"])
    await stream.publish("s", b"x")
    await client.close()
    await asyncio.to_thread(nats_server.restart)
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().stream_info("S")).state.messages == 1
    await client.close()


def test_recordings_are_a_folder_or_the_test_is_skipped(recordings: Path) -> None:
    assert recordings.is_dir()
