"""Subscriptions: every message to its handler, whatever handlers do, over all reconnects."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from nats_link import Link
from nats_link.testing import NatsServer

Start: TypeAlias = Callable[..., Link]
Until: TypeAlias = Callable[..., Awaitable[None]]
Listen: TypeAlias = Callable[[str, str], Awaitable[list[tuple[str, bytes]]]]


async def test_a_handler_that_raises_is_counted_and_reading_goes_on(
    nats_server: NatsServer, start_link: Start, until: Until, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good: list[bytes] = []
    bad: list[bytes] = []

    def fail(subject: str, payload: bytes) -> None:
        bad.append(payload)
        raise ValueError(payload)

    link = start_link(nats_server.url, [("t", "", fail), ("t", "", lambda _, payload: good.append(payload))])
    await until(lambda: link.connected)
    expected = [b"%d" % number for number in range(100)]
    assert all(link.publish("t", payload) for payload in expected)
    await until(lambda: len(good) == len(bad) == 100)
    assert good == bad == expected
    assert (link.received, link.handler_errors, link.errors) == (200, 100, 100)
    assert capsys.readouterr().out.count("ValueError") == 1


async def test_a_queue_group_shares_the_messages(
    nats_server: NatsServer, start_link: Start, until: Until, path: str
) -> None:
    one: list[bytes] = []
    two: list[bytes] = []
    first = start_link(nats_server.url, [("t.>", "group", lambda _, payload: one.append(payload))])
    second = start_link(nats_server.url, [("t.>", "group", lambda _, payload: two.append(payload))])
    await until(lambda: first.connected and second.connected)
    assert all(first.publish("t.x", b"%d" % number) for number in range(1000))
    await until(lambda: len(one) + len(two) >= 1000)
    assert sorted(map(int, one + two)) == list(range(1000))
    assert one
    assert two


async def test_subscriptions_survive_reconnects(
    nats_server: NatsServer, start_link: Start, listen: Listen, until: Until, path: str
) -> None:
    seen: list[tuple[str, bytes]] = []
    link = start_link(nats_server.url, [("t.*", "q", lambda subject, payload: seen.append((subject, payload)))])
    for number in range(3):
        await until(lambda number=number: link.connected and link.reconnects == number)
        assert link.publish("t.x", b"%d" % number)
        await until(lambda number=number: len(seen) == number + 1)
        nats_server.kill()
        await until(lambda: not link.connected)
        nats_server.start()
    assert seen == [("t.x", b"0"), ("t.x", b"1"), ("t.x", b"2")]


async def test_more_messages_at_once_than_may_wait_are_delivered_or_counted(
    nats_server: NatsServer, start_link: Start, until: Until, path: str
) -> None:
    seen: list[bytes] = []
    link = start_link(nats_server.url, [("t", "", lambda _, payload: seen.append(payload))], max_waiting_messages=10)
    await until(lambda: link.connected)
    assert all(link.publish("t", b"%d" % number) for number in range(1000))
    await until(lambda: link.received + link.slow_consumer_drops == 1000)
    assert (link.slow_consumer_drops > 0) == (path == "plain")  # the fast way has no queue to overflow
    assert len(seen) == link.received


async def test_subscribing_to_a_running_link_is_an_error(
    nats_server: NatsServer, start_link: Start, until: Until, path: str
) -> None:
    link: Link = start_link(nats_server.url)
    await until(lambda: link.connected)
    with pytest.raises(RuntimeError, match="before"):
        link.subscribe("t", "", lambda _subject, _payload: None)
    with pytest.raises(RuntimeError, match="already"):
        await link.run()
