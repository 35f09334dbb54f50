"""`python -m app record` with USE_JETSTREAM=true: what the stream has is in the store, whenever the recorder ran."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from stored import Rows
from structlog.testing import capture_logs

from app.record.recorder import FromStream, Recorder
from app.storage.opening import open_store
from md_contract.codec import encode
from md_contract.events import Quote, Trade
from md_contract.signals import FeatureVector, Trust
from md_contract.subjects import event_subject, feature_subject
from nats_link import Link, LinkOptions
from nats_link.jetstream import StreamOptions
from nats_link.testing import NatsServer

NOW = 1_790_000_000_000_000_000
TRUST = Trust(True, False, False, 1.5, 12, "binance")
STREAM, CONSUMER = "MD_EVENTS", "market-data-recorder"
TERMS = re.compile(r"(\d+) received(?: \+ (\d+) recovered)? = (\d+) delivered \+ 0 conflated \+ 0 dropped \+ (\d+) .*")

Service = Callable[..., Any]


class Publisher:
    """Another client, which publishes as the service does and sees what the server knows of the stream."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.jetstream: JetStreamContext = client.jetstream()

    async def send(self, first: int, last: int) -> None:
        """A trade, a quote and a feature vector of each number."""
        for number in range(first, last + 1):
            common: dict[str, Any] = {"provider": "binance", "symbol": "BTCUSDT", "ts_recv": NOW + number}
            order: dict[str, Any] = {"seq": number, "epoch": 5}
            trade = Trade(**common, **order, price="1.5", size="2", trade_id=str(number))
            quote = Quote(**common, **order, bid="1", bid_size="1", ask="2", ask_size="1")
            features = FeatureVector("BTCUSDT", None, None, NOW + number, {"mid": 1.5}, TRUST, **order)
            await self.client.publish(event_subject("trade", "BTCUSDT"), encode(trade))
            await self.client.publish(event_subject("quote", "BTCUSDT"), encode(quote))
            await self.client.publish(feature_subject("BTCUSDT"), encode(features))
        await self.client.flush()

    async def reading(self) -> Any:
        """What the server knows of the recorder's consumer."""
        return await self.jetstream.consumer_info(STREAM, CONSUMER)


@pytest.fixture
async def publisher(nats_server: NatsServer) -> AsyncIterator[Publisher]:
    client = await nats.connect(nats_server.url)
    yield Publisher(client)
    await client.close()


@pytest.fixture
def recorder(service: Service, nats_server: NatsServer, rows: Rows) -> Service:
    """`async with recorder() as process:`."""

    def start(*arguments: str, **variables: str) -> Any:
        given = {"NATS_URL": nats_server.url, "STORAGE_URL": rows.url, "USE_JETSTREAM": "true", **variables}
        return service("record", "--from-nats", *arguments, **given)

    return start


async def made(url: str, rows: Rows, *subjects: str, capacity: int = 1_000) -> Recorder:
    """A recorder as the process makes it."""
    options = LinkOptions(url=url, name="test", replies=True, reconnect_wait_s=0.01, reconnect_wait_max_s=0.1)
    jetstream, store = FromStream(StreamOptions(), CONSUMER), await open_store(rows.url)
    wanted = subjects or ("md.events.>", "senpai.>")
    return Recorder(Link(options), store, None, subjects=wanted, queue="", capacity=capacity, jetstream=jetstream)


@pytest.fixture
def recording(nats_server: NatsServer, rows: Rows) -> Callable[..., Any]:
    """`async with recording() as recorder:` records in this process, and stops in order at the end."""

    @asynccontextmanager
    async def start(*subjects: str, into: Rows = rows, capacity: int = 1_000) -> AsyncIterator[Recorder]:
        recorder = await made(nats_server.url, into, *subjects, capacity=capacity)
        running = asyncio.create_task(recorder.run())
        try:
            yield recorder
        finally:
            recorder.request_stop()
            assert await running == 0

    return start


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it asks the server every few seconds is asked at once."""
    monkeypatch.setattr("app.record.stream.LOOK_EVERY_S", 0.1)


async def until(log: list[Any], event: str, times: int = 1) -> None:
    """Wait until it has been said so often."""
    async with asyncio.timeout(30):
        while len([entry for entry in log if entry["event"] == event]) < times:  # noqa: ASYNC110 - a list wakes nobody
            await asyncio.sleep(0.01)


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


@contextmanager
def locked(rows: Rows) -> Iterator[None]:
    """The store takes nothing."""
    lock = sqlite3.connect(rows.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        lock.execute("ROLLBACK")
        lock.close()


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - counters wake nobody
            await asyncio.sleep(0.01)


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
                await publisher.send(11, 1_000)
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


@pytest.mark.usefixtures("looks_often")
async def test_two_that_read_with_one_consumer_say_so_and_the_one_that_is_left_has_everything(
    recording: Callable[..., Any], publisher: Publisher, rows: Rows, tmp_path: Path
) -> None:
    others = Rows(tmp_path / "other" / "market.db")
    with capture_logs() as log:
        async with recording() as one:
            async with recording(into=others) as other:
                await until(log, "reading the stream", 2)
                for first in range(1, 2_000, 100):
                    await publisher.send(first, first + 99)
                await until(log, "another process reads with this consumer", 1)
            await rows.until("quote", 2_000)
    assert rows.trades() == list(range(1, 2_001))
    assert (rows.count("gap"), others.count("gap")) == (0, 0), "the stream has deleted nothing"
    assert (one.intake.discarded, other.intake.discarded) == (0, 0)
    warned = [entry for entry in log if entry["event"] == "another process reads with this consumer"]
    assert 1 <= len(warned) <= 2, "once each"
    assert "--durable" in warned[0]["next"]


async def test_without_jetstream_it_ends_at_once_and_says_what_to_do(rows: Rows) -> None:
    with NatsServer(jetstream=False) as server, capture_logs() as log:
        assert await (await made(server.url, rows)).run() == 2
    [error] = [entry for entry in log if entry["log_level"] == "error"]
    assert "has no JetStream" in error["why"]
    assert "nats-server -js" in error["why"]
    assert "USE_JETSTREAM=false" in error["why"]
