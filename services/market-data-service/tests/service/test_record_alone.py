"""One recorder at a time on one durable consumer; whoever else reads with it is noticed, and costs nothing but time."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.errors import Error as NatsError
from recorded import CONSUMER, STREAM, Publisher, holds, locked, made, until
from stored import Rows
from structlog.testing import capture_logs

from nats_link.jetstream import consumers
from nats_link.jetstream.consumers import Durable
from nats_link.testing import NatsServer

OTHERS = "another process reads with this consumer"
QUICK_TO_GIVE_UP = 'ping_interval: "2s"\nping_max: 2'


@pytest.fixture
def others(tmp_path: Path) -> Rows:
    """The store of another recorder."""
    return Rows(tmp_path / "other" / "market.db")


async def test_a_second_one_is_refused_and_says_what_to_do_while_the_first_goes_on(
    recording: Callable[..., Any],
    nats_server: NatsServer,
    publisher: Publisher,
    rows: Rows,
    others: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nats_link.jetstream.lock.PATIENCE_S", 0.5)
    with capture_logs() as log:
        async with recording() as one:
            await until(log, "reading the stream")
            await publisher.send(1, 10)
            other = await made(nats_server.url, others)
            assert await other.run() == 1, "as when a port is taken: later it may work"
            await publisher.send(11, 20)
            await rows.until("quote", 20)
    [error] = [entry["why"] for entry in log if entry["log_level"] == "error"]
    assert error.startswith(f"the consumer {CONSUMER} of the stream {STREAM} is being read by the recorder on ")
    assert error.endswith("stop that one, or give this one another --durable")
    assert (rows.trades(), others.count("trade"), one.reader.counts()["repeated"]) == (list(range(1, 21)), 0, 0)
    assert len([entry for entry in log if entry["event"] == "reading the stream"]) == 1, "the first noticed nothing"


@pytest.fixture
async def sharing(
    nats_server: NatsServer, rows: Rows, others: Rows, service: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Any, Publisher, str]]:
    """A recorder in a process of its own, on a server that soon gives up who does not answer."""
    monkeypatch.setattr("nats_link.jetstream.lock.PATIENCE_S", 60.0)
    with NatsServer(QUICK_TO_GIVE_UP) as server:
        client = await nats.connect(server.url)
        given = {"NATS_URL": server.url, "STORAGE_URL": rows.url, "USE_JETSTREAM": "true"}
        async with service("record", "--from-nats", **given) as process:
            await process.said("reading the stream", 90)
            yield process, Publisher(client), server.url
        await client.close()


@pytest.mark.usefixtures("looks_often")
async def test_one_that_was_stopped_for_so_long_that_another_took_over_ends_when_it_goes_on(
    sharing: tuple[Any, Publisher, str], rows: Rows, others: Rows
) -> None:
    process, publisher, url = sharing
    await publisher.send(1, 10)
    await rows.until("quote", 10)
    async with asyncio.timeout(60):
        while (await publisher.reading()).ack_floor.stream_seq < 20:  # noqa: ASYNC110 - the server wakes nobody
            await asyncio.sleep(0.05)
    process.signal(signal.SIGSTOP)
    await publisher.send(11, 20)
    with capture_logs() as log:
        other = await made(url, others)
        running = asyncio.create_task(other.run())
        await holds(lambda: others.path.exists() and others.trades() == list(range(11, 21)))
        process.signal(signal.SIGCONT)
        assert await process.ended(60) == 1
        await publisher.send(21, 30)
        await holds(lambda: others.trades() == list(range(11, 31)))
        other.request_stop()
        assert await running == 0
    why = [entry["why"] for entry in process.log if entry["event"] == "recorder cannot work"]
    assert len(why) == 1
    assert "--durable" in why[0]
    assert rows.trades() in (list(range(1, 11)), list(range(1, 21))), (
        "it may have been given some before it was stopped"
    )
    assert len([entry for entry in log if entry["event"] == "reading the stream"]) == 1, "the other noticed nothing"
    assert (await publisher.reading()).ack_floor.stream_seq == 60


@pytest.mark.usefixtures("looks_often")
async def test_one_whose_lock_was_deleted_ends_when_another_has_taken_it(
    nats_server: NatsServer, publisher: Publisher, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nats_link.jetstream.lock.PATIENCE_S", 0.5)
    name, inbox = f"{CONSUMER}:lock", publisher.client.new_inbox()
    await publisher.client.subscribe(inbox)
    with capture_logs() as log:
        running = asyncio.create_task((await made(nats_server.url, rows)).run())
        await until(log, "reading the stream")
        taken = False
        async with asyncio.timeout(60):
            while not taken:  # the recorder makes it anew as soon as it sees that it is gone
                with contextlib.suppress(NatsError):
                    await publisher.jetstream.delete_consumer(STREAM, name)
                    await publisher.jetstream.add_consumer(STREAM, name=name, deliver_subject=inbox)
                    taken = True
            assert await running == 1
    [error] = [entry["why"] for entry in log if entry["log_level"] == "error"]
    assert "is being read by another process (since 2" in error


async def test_connected_anew_it_acknowledges_nothing_before_it_has_found_the_consumer_its_own(
    recording: Callable[..., Any],
    nats_server: NatsServer,
    publisher: Publisher,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, may_ask, ask = asyncio.Event(), asyncio.Event(), consumers.find_durable

    async def later(*arguments: Any) -> Durable | None:
        asked.set()
        await may_ask.wait()
        return await ask(*arguments)

    with capture_logs() as log:
        async with recording() as recorder:
            await until(log, "reading the stream")
            with locked(rows):
                await publisher.send(1, 10)
                await holds(lambda: recorder.reader.counts()["unacknowledged"] == 20)
                monkeypatch.setattr("app.record.stream.find_durable", later)
                nats_server.restart()
                await holds(lambda: recorder.link.reconnects == 1 and recorder.link.connected)
                async with asyncio.timeout(60):
                    await asked.wait()
            await rows.until("quote", 10)
            await holds(lambda: recorder.home.count(recorder.intake.put) == recorder.intake.put)
            recorder.reader.acknowledge()
            assert await recorder.link.flush(30)
            client = await nats.connect(nats_server.url)
            assert (await Publisher(client).reading()).ack_floor.stream_seq == 0
            may_ask.set()
            await holds(lambda: recorder.reader.counts()["unacknowledged"] == 0)
            assert await recorder.link.flush(30)
            assert (await Publisher(client).reading()).ack_floor.stream_seq == 20
            await client.close()


@pytest.mark.usefixtures("looks_often")
async def test_who_reads_with_the_consumer_without_asking_is_noticed_and_takes_nothing_away(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    def is_noticed() -> bool:
        return any(entry["event"] == OTHERS for entry in log)

    async def take() -> None:
        while not is_noticed():
            with contextlib.suppress(NatsError):  # the consumer is made anew again and again
                subscription = await publisher.jetstream.pull_subscribe_bind(CONSUMER, STREAM)
                await subscription.fetch(10, timeout=0.5)
            await asyncio.sleep(0)

    sent = 0
    with capture_logs() as log:
        async with recording() as one:
            await until(log, "reading the stream")
            taking = asyncio.create_task(take())
            async with asyncio.timeout(60):
                while not is_noticed():
                    sent += 1
                    await publisher.send(sent, sent)
                await taking
            sent += 1
            await publisher.send(sent, sent)  # that what was taken is missing before it shows at once
            await rows.until("quote", sent)
            await holds(lambda: rows.trades() == list(range(1, sent + 1)))
    assert (rows.count("gap"), one.intake.discarded) == (0, 0), "the stream has deleted nothing"
    [warned] = [entry for entry in log if entry["event"] == OTHERS]
    assert "stop it" in warned["next"]
    assert (await publisher.reading()).ack_floor.stream_seq == 2 * sent
