"""A consumer's lock: one process has it, for as long as its connection lives."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nats_link import Link
from nats_link.jetstream import StreamError, StreamOptions, ensure_stream
from nats_link.jetstream.lock import ConsumerLock, HeldError
from nats_link.testing import NatsServer

STREAM = "MD_EVENTS"
DENIED = """authorization { users = [
  { user: all, password: all }
  { user: some, password: some, permissions: { publish: { deny: ["$JS.API.CONSUMER.CREATE.>"] } } }
] }"""


class Process:
    """A link with a lock, as a process has them."""

    def __init__(self, url: str, holder: str, start_link: Callable[..., Link]) -> None:
        # the fixture runs its link at once, and a lock is made before: the link starts with the first step of its task
        self.link = start_link(url, replies=True)
        self.lock = ConsumerLock(self.link, STREAM, "ours", called="--name", holder=holder)


@pytest.fixture
async def process(start_link: Callable[..., Link], until: Callable[..., Any]) -> Callable[..., Any]:
    """`await process(url, holder)`: connected, with the stream there."""

    async def start(url: str, holder: str) -> Process:
        made = Process(url, holder, start_link)
        await until(lambda: made.link.connected)
        await ensure_stream(made.link, StreamOptions())
        return made

    return start


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nats_link.jetstream.lock.PATIENCE_S", 0.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nats_link.jetstream.lock.PATIENCE_S", 60.0)


@pytest.mark.usefixtures("impatient")
async def test_the_second_is_refused_and_told_who_has_it_and_what_to_do(
    nats_server: NatsServer, process: Callable[..., Any]
) -> None:
    one, two = await process(nats_server.url, "the first"), await process(nats_server.url, "the second")
    await one.lock.acquire()
    with pytest.raises(HeldError) as refused:
        await two.lock.acquire()
    text = str(refused.value)
    assert "the consumer ours of the stream MD_EVENTS is being read by the first (since 2" in text
    assert text.endswith("stop that one, or give this one another --name")
    assert not await two.lock.is_ours()
    assert await one.lock.is_ours(), "to look changes nothing"
    await one.lock.acquire()


@pytest.mark.usefixtures("patient")
async def test_it_ends_with_the_connection_of_its_holder(nats_server: NatsServer, process: Callable[..., Any]) -> None:
    one, two = await process(nats_server.url, "the first"), await process(nats_server.url, "the second")
    await one.lock.acquire()
    waiting = asyncio.create_task(two.lock.acquire())
    assert await one.lock.is_ours()
    await one.link.close(1)
    await waiting
    assert await two.lock.is_ours()


@pytest.mark.usefixtures("patient")
async def test_only_one_of_many_that_wait_gets_it(nats_server: NatsServer, process: Callable[..., Any]) -> None:
    one, *others = [await process(nats_server.url, f"number {number}") for number in range(5)]
    await one.lock.acquire()
    waiting = [asyncio.create_task(other.lock.acquire()) for other in others]
    await one.link.close(1)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [await other.lock.is_ours() for other in others].count(True) == 1
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


@pytest.mark.usefixtures("impatient")
async def test_its_holder_has_it_again_after_a_restart_of_the_server(
    nats_server: NatsServer, process: Callable[..., Any], until: Callable[..., Any]
) -> None:
    one = await process(nats_server.url, "the first")
    await one.lock.acquire()
    nats_server.kill()
    nats_server.restart()
    await until(lambda: one.link.reconnects == 1 and one.link.connected, 60)
    await one.lock.acquire()
    two = await process(nats_server.url, "the second")
    assert not await two.lock.is_ours()


@pytest.mark.usefixtures("impatient")
async def test_its_holder_has_it_at_once_when_it_is_connected_anew(
    nats_server: NatsServer, process: Callable[..., Any], proxy: Callable[..., Any], until: Callable[..., Any]
) -> None:
    between = await proxy(nats_server.port)
    one = await process(between.url, "the first")
    await one.lock.acquire()
    between.cut()
    await until(lambda: one.link.reconnects == 1 and one.link.connected, 60)
    await one.lock.acquire()


@pytest.mark.usefixtures("impatient")
async def test_events_go_on_although_it_is_there(nats_server: NatsServer, process: Callable[..., Any]) -> None:
    one = await process(nats_server.url, "the first")
    await one.lock.acquire()
    before = one.link.received
    assert one.link.publish("md.events.trade.A", b"{}")
    assert await one.link.flush(30)
    assert await one.lock.is_ours()
    assert one.link.received == before + 1, "the answer, and no event"


async def test_without_the_right_to_it_the_text_says_what_for(process: Callable[..., Any]) -> None:
    with NatsServer(DENIED) as server:
        await process(f"nats://all:all@127.0.0.1:{server.port}", "one who may")
        one = await process(f"nats://some:some@127.0.0.1:{server.port}", "one who may not")
        with pytest.raises(StreamError, match="see that nobody else reads with the consumer ours: grant it"):
            await one.lock.acquire()
