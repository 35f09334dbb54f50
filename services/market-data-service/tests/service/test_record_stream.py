"""`python -m app record` with USE_JETSTREAM=true: what the stream has is in the store, whenever the recorder ran."""

import asyncio
import re
import sqlite3
from collections.abc import Callable
from typing import Any

import nats
import pytest
from recorded import CONSUMER, STREAM, Publisher, holds, locked, made, until
from stored import Rows
from structlog.testing import capture_logs

from nats_link.testing import NatsServer

TERMS = re.compile(r"(\d+) received(?: \+ (\d+) recovered)? = (\d+) delivered \+ 0 conflated \+ 0 dropped \+ (\d+) .*")

Service = Callable[..., Any]


@pytest.fixture
def recorder(service: Service, nats_server: NatsServer, rows: Rows) -> Service:
    """`async with recorder() as process:`."""

    def start(*arguments: str, **variables: str) -> Any:
        given = {"NATS_URL": nats_server.url, "STORAGE_URL": rows.url, "USE_JETSTREAM": "true", **variables}
        return service("record", "--from-nats", *arguments, **given)

    return start


async def stopped(process: Any) -> dict[str, Any]:
    """Stop it in order; return what it heard. Its ledger is seen to close."""
    process.signal()
    assert await process.ended(12) == 0
    heard: dict[str, Any] = next(entry for entry in process.log if entry["event"] == "heard")
    last = process.log[-1]
    assert (last["event"], last["difference"], heard["difference"]) == ("ledger", 0, 0)
    terms = [TERMS.fullmatch(text) for name, text in last.items() if name not in ("rows", "event") and "=" in str(text)]
    assert sum(int(match[1]) for match in terms if match) == heard["messages"] + heard["notes"]
    return heard


async def test_what_was_published_while_it_was_off_is_recorded_once_and_in_order(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    with capture_logs() as log:
        async with recording():
            await until(log, "reading the stream")
            await publisher.send(1, 20)
            await rows.until("quote", 20)
            await rows.until("feature", 20)
    info = await publisher.reading()
    assert (info.ack_floor.stream_seq, info.num_ack_pending) == (40, 0), "all is acknowledged before it goes"
    await publisher.send(21, 1_500)
    with capture_logs() as log:
        async with recording():
            await rows.until("quote", 1_500)
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["messages"], heard["repeated"], heard["unacknowledged"]) == (2 * 1_480, 0, 0)
    assert rows.trades() == list(range(1, 1_501))
    assert rows.count("feature") == 20, "what the stream does not hold is heard or missed"
    assert rows.count("gap") == 0, "in another order than they were published, holes would show"


async def test_a_kill_while_the_store_takes_nothing_loses_nothing_and_what_is_pulled_is_bounded(
    recorder: Service, publisher: Publisher, rows: Rows
) -> None:
    async with recorder(BUS_CAPACITY="1000") as process:
        await process.said("reading the stream")
        await publisher.send(1, 100)
        await rows.until("quote", 100)
        lock = sqlite3.connect(rows.path, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        await publisher.send(101, 2_000)
        await process.said("storage does not take a batch")
        info = await publisher.reading()
        assert info.num_ack_pending > 0
        assert info.num_pending >= 2 * 1_900 - 500, "the rest stays in the stream"
        process.process.kill()
        await process.ended()
        lock.execute("ROLLBACK")
        lock.close()
    assert rows.count("trade") == 100
    async with recorder(BUS_CAPACITY="1000") as process:
        await rows.until("trade", 1_000)
        process.process.kill()  # and once more, while it writes
        await process.ended()
    async with recorder(BUS_CAPACITY="1000") as process:
        await process.said("reading the stream")
        await publisher.send(2_001, 2_010)
        await rows.until("quote", 2_010)
        await stopped(process)
    assert rows.trades() == list(range(1, 2_011))
    assert rows.count("quote") == 2_010
    assert (rows.count("gap"), rows.count("quarantine")) == (0, 0)
    info = await publisher.reading()
    assert (info.ack_floor.stream_seq, info.num_pending) == (2 * 2_010, 0)


async def test_what_the_stream_has_deleted_unread_is_a_row_of_gap(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    stream = await publisher.jetstream.add_stream(name=STREAM, subjects=["md.events.>", "senpai.>"])
    await publisher.send(1, 10)  # 30 messages of the stream
    async with recording() as recorder:
        await rows.until("feature", 10)  # those before its first start, too
        assert recorder.intake.heard == 30
        await publisher.send(11, 12)
        await rows.until("feature", 12)
    assert recorder.intake.heard == 36, "what the stream holds is not heard a second time"
    await publisher.jetstream.update_stream(stream.config.evolve(max_msgs=15))
    await publisher.send(13, 30)
    with capture_logs() as log:
        async with recording():
            await rows.until("feature", 17)
    assert rows.gaps() == [
        {"type": None, "missing": 39, "from_seq": 37, "to_seq": 75, "epoch": None, "where": "stream"}
    ]
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["messages"], heard["discarded"], heard["gaps"], heard["difference"]) == (15, 39, 1, 0)
    assert (log[-1]["event"], log[-1]["difference"]) == ("ledger", 0)
    assert rows.trades() == [*range(1, 13), *range(26, 31)]


async def test_a_stop_in_the_middle_writes_and_acknowledges_what_was_taken_and_leaves_the_rest(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    await publisher.jetstream.add_stream(name=STREAM, subjects=["md.events.>"])
    await publisher.send(1, 2_000)
    with capture_logs() as log:
        async with recording():
            await rows.until("trade", 100)
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["unacknowledged"], heard["difference"]) == (0, 0)
    taken = heard["messages"]
    assert (await publisher.reading()).ack_floor.stream_seq == taken == rows.count("trade") + rows.count("quote")
    with capture_logs() as log:
        async with recording():
            await rows.until("quote", 2_000)
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["messages"], heard["repeated"]) == (4_000 - taken, 0)
    assert rows.trades() == list(range(1, 2_001))


async def test_what_a_stop_could_not_write_is_not_acknowledged_and_comes_again(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    with capture_logs() as log:
        async with recording("md.events.trade.>") as recorder:
            await until(log, "reading the stream")
            await publisher.send(1, 5)
            await rows.until("trade", 5)
            lock = sqlite3.connect(rows.path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            await publisher.send(6, 50)
            await until(log, "storage does not take a batch")
            assert recorder.sink.writer.account.pending
        lock.execute("ROLLBACK")
        lock.close()
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert heard["unacknowledged"] > 0
    assert (log[-1]["event"], log[-1]["difference"]) == ("ledger", 0)
    async with recording("md.events.trade.>"):
        await rows.until("trade", 50)
    assert rows.trades() == list(range(1, 51))
    assert (await publisher.reading()).ack_floor.stream_seq == 100


async def test_it_outlives_a_server_that_is_killed_and_a_stream_that_is_deleted(
    recording: Callable[..., Any], nats_server: NatsServer, publisher: Publisher, rows: Rows
) -> None:
    with capture_logs() as log:
        async with recording("md.events.trade.>"):
            await until(log, "reading the stream")
            await publisher.send(1, 10)
            await rows.until("trade", 10)
            nats_server.kill()
            nats_server.restart()
            client = await nats.connect(nats_server.url)
            again = Publisher(client)
            await again.send(11, 20)
            await rows.until("trade", 20)
            lock = sqlite3.connect(rows.path, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            await again.send(21, 30)
            await until(log, "storage does not take a batch")
            begun = len([entry for entry in log if entry["event"] == "reading the stream"])
            await again.jetstream.delete_consumer(STREAM, CONSUMER)  # while some is not written
            await until(log, "reading the stream", begun + 1)
            lock.execute("ROLLBACK")
            lock.close()
            await again.send(31, 40)
            await rows.until("trade", 40)
            await again.jetstream.delete_stream(STREAM)
            await until(log, "the stream was made anew")
            await again.send(41, 50)
            await client.close()
            await rows.until("trade", 50)
    assert rows.count("quote") == 0, "nobody asked for them"
    [deleted] = rows.gaps()
    assert (deleted["where"], deleted["missing"]) == ("stream", None), "nobody can know that nothing went with it"
    assert rows.trades() == list(range(1, 51))
    assert not [entry for entry in log if entry["event"] == "another process reads with this consumer"]
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["messages"], heard["unacknowledged"]) == (50, 0), "what came again was passed over"
    assert heard["repeated"] > 0


@pytest.mark.usefixtures("looks_often")
async def test_what_goes_with_a_deleted_stream_is_a_row_of_gap_and_what_waits_in_it_is_seen(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    with capture_logs() as log:
        async with recording(capacity=200) as recorder:
            await until(log, "reading the stream")
            await publisher.send(1, 10)
            await rows.until("quote", 10)
            with locked(rows):
                await publisher.send(11, 200)
                async with asyncio.timeout(60):
                    while recorder.reader.room or (await publisher.reading()).num_waiting:  # noqa: ASYNC110 - the server wakes nobody
                        await asyncio.sleep(0.02)
                await publisher.send(201, 1_000)  # nothing comes any more that tells of these
                await holds(lambda: recorder.reader.counts()["behind"] == 2 * 990)
                await publisher.jetstream.delete_stream(STREAM)
                await until(log, "the stream was made anew")
                await until(log, "reading the stream", 2)
                taken = 20 + recorder.reader.counts()["unacknowledged"]
                assert 20 < taken <= 20 + 100, "what is not home is told, although the consumer is gone"
            await publisher.send(2_001, 2_002)
            await holds(lambda: 2_002 in rows.trades())
    deleted = {"type": None, "missing": None, "from_seq": taken + 1, "to_seq": None, "epoch": None, "where": "stream"}
    assert [gap for gap in rows.gaps() if gap["where"] != "bus"] == [deleted]
    assert "bus" in {gap["where"] for gap in rows.gaps()}, "where the epoch goes on, the numbers tell which"
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert heard["discarded"] == 2_000 - taken
    assert (heard["unacknowledged"], heard["difference"]) == (0, 0)


@pytest.mark.usefixtures("looks_often")
async def test_a_stream_that_holds_nothing_wanted_is_left_and_one_that_comes_to_hold_it_is_read(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    stream = await publisher.jetstream.add_stream(name=STREAM, subjects=["md.events.>"])
    with capture_logs() as log:
        async with recording("senpai.>"):
            await until(log, "nothing wanted is in the stream")
            await publisher.send(1, 5)
            await rows.until("feature", 5)
            await publisher.jetstream.update_stream(stream.config.evolve(subjects=["md.events.>", "senpai.>"]))
            await until(log, "reading the stream")
    assert len([entry for entry in log if entry["event"] == "nothing wanted is in the stream"]) == 1
    await publisher.send(6, 10)
    async with recording("senpai.>"):
        await rows.until("feature", 10)  # published while it was off
    assert (rows.count("trade"), rows.count("gap")) == (0, 0)


@pytest.mark.usefixtures("looks_often")
async def test_a_deleted_consumer_is_made_anew_where_this_run_is(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    with capture_logs() as log:
        async with recording() as recorder:
            await until(log, "reading the stream")
            await publisher.send(1, 300)
            await rows.until("quote", 300)
            await holds(lambda: not recorder.reader.counts()["unacknowledged"])
            await publisher.jetstream.delete_consumer(STREAM, CONSUMER)
            await until(log, "reading the stream", 2)
            await publisher.send(301, 310)
            await rows.until("quote", 310)
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["repeated"], heard["unacknowledged"]) == (0, 0)
    assert rows.trades() == list(range(1, 311))
    assert (await publisher.reading()).ack_floor.stream_seq == 620


@pytest.mark.usefixtures("looks_often")
async def test_a_consumer_that_another_process_moved_on_is_put_back(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows
) -> None:
    with capture_logs() as log:
        async with recording(capacity=200) as recorder:
            await until(log, "reading the stream")
            await publisher.send(1, 10)
            await rows.until("quote", 10)
            with locked(rows):
                await publisher.send(11, 1_000)
                await holds(lambda: recorder.reader.counts()["behind"] == 2 * 990)
                config = (await publisher.reading()).config
                await publisher.jetstream.delete_consumer(STREAM, CONSUMER)
                await publisher.jetstream.add_consumer(STREAM, config.evolve(opt_start_seq=1_500))
                await until(log, "another process reads with this consumer")
            await rows.until("quote", 1_000)
    assert rows.trades() == list(range(1, 1_001))
    assert rows.count("gap") == 0, "the stream has deleted nothing"


async def test_without_jetstream_it_ends_at_once_and_says_what_to_do(rows: Rows) -> None:
    with NatsServer(jetstream=False) as server, capture_logs() as log:
        assert await (await made(server.url, rows)).run() == 2
    [error] = [entry for entry in log if entry["log_level"] == "error"]
    assert "has no JetStream" in error["why"]
    assert "nats-server -js" in error["why"]
    assert "USE_JETSTREAM=false" in error["why"]
