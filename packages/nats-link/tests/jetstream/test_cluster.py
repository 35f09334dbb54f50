"""Publishing with acknowledgement to three servers with a copy each, of which the one that leads the stream dies."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import pytest

from nats_link.jetstream import StreamOptions
from nats_link.testing import NatsServer, free_port

Until: TypeAlias = Callable[..., Awaitable[None]]
SERVERS = 3
ELECTION_S = 60.0  # some seconds where nothing else goes on


@pytest.fixture
def cluster() -> Iterator[list[NatsServer]]:
    ports = [free_port() for _ in range(SERVERS)]
    routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in ports)
    with ExitStack() as running:
        yield [
            running.enter_context(
                NatsServer(
                    f"server_name: n{number}\ncluster {{ name: md, host: 127.0.0.1, port: {port}, routes: [{routes}] }}"
                )
            )
            for number, port in enumerate(ports)
        ]


@pytest.mark.skipif(
    "NATS_CLUSTER" not in os.environ, reason="three servers and an election want a quiet machine: NATS_CLUSTER=1"
)
@pytest.mark.one_loop
async def test_a_stream_whose_leader_dies_has_every_message_once_and_in_order(
    cluster: list[NatsServer], line: Any, stored: Any, until: Until, edit_stream: Any
) -> None:
    url = ",".join(server.url for server in cluster)
    out = line(url, StreamOptions(max_bytes=64 << 20, replicas=SERVERS))
    await until(lambda: out.window.is_open, ELECTION_S)
    flowing = True

    async def flow() -> None:
        while flowing:
            for _ in range(10):
                out.publish(size=200)
            await asyncio.sleep(0.005)

    flow_task = asyncio.create_task(flow())
    await until(lambda: out.window.acked > 500)
    async with edit_stream(cluster[0].url) as jetstream:
        leader = (await jetstream.stream_info("MD_EVENTS")).cluster.leader
    acked = out.window.acked
    for _ in range(200):  # which nobody will acknowledge now
        out.publish(size=200)
    cluster[int(leader[1:])].kill()
    left = [server for server in cluster if server.running]
    await until(lambda: out.window.is_open and out.window.acked > acked + 500, ELECTION_S)
    flowing = False
    await flow_task
    assert await out.publisher.settle(20)
    assert out.accounts_close()
    assert out.window.resent > 0, "else this test shows nothing"
    assert len(left) == SERVERS - 1
    assert await stored(left[0].url) == list(range(out.next))
