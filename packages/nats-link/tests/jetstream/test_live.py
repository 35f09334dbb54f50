"""A durable consumer as it is read: in order, no further than there is room, and nothing left out unnoticed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from nats_link import Link, LinkOptions
from nats_link.jetstream import StreamError, StreamOptions, api_request, ensure_stream
from nats_link.jetstream.consumers import (
    DurableOptions,
    find_durable,
    make_durable,
    next_message,
    remove_consumer,
    stream_state,
)
from nats_link.jetstream.live import Live
from nats_link.jetstream.pull import ACK
from nats_link.testing import NatsServer

STREAM, OURS = "MD_EVENTS", DurableOptions("ours", called="--name")


class Desk:
    """Takes messages, and works them off when it is told to."""

    def __init__(self, url: str) -> None:
        self.most = 20
        self.taken: list[int] = []
        self.times: list[int] = []
        self.worked_off = 0
        self.last = ""
        self.irregular: list[str] = []
        self.link = Link(LinkOptions(url=url, name="test", replies=True))
        self.live = Live(self.link, self, self.note, stream=STREAM, durable="ours", on_irregular=self.irregular.append)

    @property
    def room(self) -> int:
        return self.most - len(self.taken) + self.worked_off

    def take(self, _subject: str, seq: int, ts_ns: int, _payload: bytes, _newest: bool) -> None:
        self.taken.append(seq)
        self.times.append(ts_ns)

    def note(self, reply: str) -> None:
        self.last = reply

    def work_off(self) -> None:
        self.worked_off = len(self.taken)
        self.link.post(self.last, ACK)
        self.live.refill()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - a counter wakes nobody
                await asyncio.sleep(0.005)


@pytest.fixture
async def desk(nats_server: NatsServer) -> AsyncIterator[Desk]:
    made = Desk(nats_server.url)
    running = asyncio.create_task(made.link.run())
    await made.until(lambda: made.link.connected)
    await ensure_stream(made.link, StreamOptions())
    yield made
    await made.link.close(1)
    await running


@pytest.fixture
def publish(desk: Desk) -> Callable[[int], Awaitable[None]]:
    async def send(count: int) -> None:
        for _ in range(count):
            desk.link.publish("md.events.trade.A", b"{}")
        assert await desk.link.flush(5)

    return send


async def test_messages_come_in_order_and_no_further_than_there_is_room(desk: Desk, publish: Any) -> None:
    await publish(50)
    desk.live.begin(await make_durable(desk.link, OURS, 1))
    await desk.until(lambda: len(desk.taken) == 20)
    found = await find_durable(desk.link, OURS)
    assert found is not None
    assert (found.delivered, found.floor, desk.live.open) == (20, 0, 0)
    while len(desk.taken) < 50:
        before = len(desk.taken)
        desk.work_off()
        await desk.until(lambda: len(desk.taken) > before)  # noqa: B023 - it is called before that changes
        assert len(desk.taken) - desk.worked_off <= 20
    assert desk.taken == list(range(1, 51))
    assert desk.irregular == []


async def test_a_consumer_that_goes_away_is_told_once(desk: Desk, publish: Any) -> None:
    desk.live.begin(await make_durable(desk.link, OURS, 1))
    await publish(1)
    await desk.until(lambda: desk.taken == [1])
    await remove_consumer(desk.link, STREAM, "ours")
    await desk.until(lambda: bool(desk.irregular))
    assert ("Consumer Deleted" in desk.irregular[0], len(desk.irregular)) == (True, 1)
    assert not desk.live.running


async def test_what_a_stream_still_has_is_found_behind_what_was_deleted(desk: Desk, publish: Any) -> None:
    await publish(4)
    for seq in (2, 3):
        await api_request(desk.link, f"STREAM.MSG.DELETE.{STREAM}", {"seq": seq})
    assert [await next_message(desk.link, STREAM, seq) for seq in (1, 2, 3, 4, 5)] == [1, 4, 4, 4, None]
    state = await stream_state(desk.link, STREAM)
    assert (state.first_seq, state.last_seq) == (1, 4)


async def test_a_consumer_made_for_something_else_says_where_to_choose_another_name(desk: Desk) -> None:
    config = {"name": "ours", "durable_name": "ours", "ack_policy": "explicit", "deliver_policy": "all"}
    body = {"stream_name": STREAM, "config": config, "action": "create"}
    await api_request(desk.link, f"CONSUMER.CREATE.{STREAM}.ours", body)
    with pytest.raises(StreamError, match="set --name to another name"):
        await find_durable(desk.link, OURS)
