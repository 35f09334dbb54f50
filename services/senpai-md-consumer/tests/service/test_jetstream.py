"""USE_JETSTREAM=true on a real nats-server: nothing is lost, nothing counts twice, and a restart cannot be seen."""

import asyncio
import re
import signal
from typing import Any

import pytest

from md_contract import codec
from md_contract.signals import FeatureVector
from nats_link.testing import NatsServer, free_port

JETSTREAM = {"USE_JETSTREAM": "true", "SIGNAL_RETURN_THRESHOLD": "0.0005", "SIGNAL_VOLUME_THRESHOLD": "0.1"}


def vectors(bus: Any, epoch: int | None = None) -> list[FeatureVector]:
    found = [codec.decode_features(data) for _, subject, data in bus.inbox if subject.startswith("senpai.features.")]
    return [vector for vector in found if epoch is None or vector.epoch == epoch]


def signals(bus: Any) -> list[tuple[str, str]]:
    found = [codec.decode_signal(data) for _, subject, data in bus.inbox if subject.startswith("senpai.signals.")]
    return [(signal.id, signal.state) for signal in found]


async def warm(process: Any) -> dict[str, Any]:
    line: dict[str, Any] = await asyncio.to_thread(process.read_until, "warm")
    while line["event"] != "warm":
        line = await asyncio.to_thread(process.read_until, "warm")
    return line


async def settled(wait: Any, consumer: Any, source: Any) -> None:
    """Everything the market has sent was worked off, and its last state is out."""
    service = consumer.service
    await wait(lambda: taken(service) == len(source.sent), f"{len(source.sent)} events")
    await wait(lambda: not service.queue and not service.publisher.features_waiting, "the last features")


def taken(service: Any) -> int:
    """Events that reached the heart, each once."""
    return sum(line.delivered for line in service.queue.ledger().values())


async def test_after_kill_9_under_load_every_message_is_what_an_uninterrupted_twin_says(
    nats_server: NatsServer, bus: Any, wait: Any, start: Any, market: Any, twin: Any
) -> None:
    first = start(NATS_URL=nats_server.url, **JETSTREAM)
    await warm(first)
    source = market()
    feeding = asyncio.create_task(source.run(bus.client, seconds=4.0, rate=2_000))
    await wait(lambda: len(source.sent) >= 4_000, "two seconds of load")
    first.popen.kill()
    await asyncio.to_thread(first.wait)
    before = {vector.epoch for vector in vectors(bus)}
    second = start(NATS_URL=nats_server.url, **JETSTREAM)
    assert (await warm(second))["replayed"] > 3_000
    await feeding
    end_ns = source.sent[-1].ts_recv - 100_000_000
    await wait(lambda: any(v.epoch not in before and v.ts > end_ns for v in vectors(bus)[-9:]), "the last features")
    truth = twin(source.sent, return_threshold=0.0005, volume_threshold=0.1)
    after = [vector for vector in vectors(bus) if vector.epoch not in before]
    assert {vector.symbol for vector in after} >= {"BTCUSDT", "ETHUSDT", "BTC/USD"}
    verdicts = [truth.says(vector) for vector in after]
    assert verdicts.count(True) > 5
    assert False not in verdicts
    made = [(signal.id, signal.state) for signal in truth.signals]
    await wait(lambda: len(signals(bus)) >= len(made) > 10, "the last signals")
    assert sorted(signals(bus)) == sorted(made), "every signal of both runs, once"
    second.signal(signal.SIGTERM)
    assert await asyncio.to_thread(second.wait) == 0
    assert second.lines[-1]["difference"] == 0


async def test_a_consumer_that_stood_still_for_five_seconds_loses_nothing(
    nats_server: NatsServer, bus: Any, wait: Any, start: Any, market: Any, twin: Any
) -> None:
    process = start(NATS_URL=nats_server.url, QUEUE_SIZE="300", **JETSTREAM)
    await warm(process)
    source = market()
    feeding = asyncio.create_task(source.run(bus.client, seconds=5.5, rate=1_500))
    await wait(lambda: vectors(bus), "the first features")
    process.signal(signal.SIGSTOP)
    await feeding
    process.signal(signal.SIGCONT)
    end_ns = source.sent[-1].ts_recv - 100_000_000
    await wait(lambda: any(v.ts > end_ns for v in vectors(bus)[-9:]), "the last features")
    truth = twin(source.sent, return_threshold=0.0005, volume_threshold=0.1)
    verdicts = [truth.says(vector) for vector in vectors(bus)]
    assert verdicts.count(True) > 5
    assert False not in verdicts
    process.signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0
    ledger = " ".join(value for value in process.lines[-1].values() if "received" in str(value))
    assert sum(map(int, re.findall(r"(\d+) delivered", ledger))) == len(source.sent)
    assert sum(map(int, re.findall(r"(\d+) dropped", ledger))) == 0


async def test_without_jetstream_it_ends_at_once_with_one_line_that_says_what_to_do(start: Any) -> None:
    with NatsServer(jetstream=False) as server:
        process = start(NATS_URL=server.url, LOG_LEVEL="error", **JETSTREAM)
        assert await asyncio.to_thread(process.wait) == 2
    (line,) = process.stderr.splitlines()
    assert "has no JetStream" in line
    assert "nats-server -js" in line
    assert "USE_JETSTREAM=false" in line


async def test_without_the_permission_it_ends_at_once_with_one_line_that_names_it(start: Any) -> None:
    forbidden = """
authorization { users: [
  {user: reader, password: geheim, permissions: {publish: {deny: ["$JS.API.>"]}}}
] }"""
    with NatsServer(config=forbidden) as server:
        url = server.url.replace("nats://", "nats://reader:geheim@")
        process = start(NATS_URL=url, LOG_LEVEL="error", **JETSTREAM)
        assert await asyncio.to_thread(process.wait) == 2
    (line,) = process.stderr.splitlines()
    assert "$JS.API.STREAM.INFO.MD_EVENTS" in line
    assert "geheim" not in line


async def test_a_server_that_is_not_there_yet_is_waited_for(running: Any, connect: Any, wait: Any) -> None:
    server = NatsServer(port=free_port())
    async with running(server.url, use_jetstream=True) as consumer:
        await wait(lambda: consumer.service.link.errors > 1, "failed attempts")
        with server:
            await wait(lambda: consumer.service.reader.follower.phase == "live", "the stream")
            async with connect(server.url) as bus:
                await bus.send(bus.trade())
                await wait(lambda: vectors(bus), "features")


async def test_what_is_delivered_again_changes_nothing(
    nats_server: NatsServer, bus: Any, wait: Any, running: Any, market: Any, twin: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("senpai.md_consumer.service.ACK_WAIT_S", 0.3)
    async with running(nats_server.url, use_jetstream=True) as consumer:
        service = consumer.service
        follower = service.reader.follower
        await wait(lambda: follower.phase == "live", "the stream")
        follower._may_ack = lambda: False
        source = market()
        await source.run(bus.client, seconds=1.5, rate=1_000)
        await wait(lambda: follower.live.redelivered > 500, "repeats")
        follower._may_ack = lambda: True
        await settled(wait, consumer, source)
        truth = twin(source.sent)
        verdicts = [truth.says(vector) for vector in vectors(bus)]
        assert verdicts.count(True) > 5
        assert False not in verdicts
        client = bus.client.jetstream()

        async def unacked() -> int:
            return int((await client.consumer_info("MD_EVENTS", "senpai-md")).num_ack_pending or 0)

        async with asyncio.timeout(5):
            while await unacked():  # noqa: ASYNC110  # the condition is at the server
                await asyncio.sleep(0.02)


async def test_a_crash_of_the_server_loses_and_repeats_nothing(
    nats_server: NatsServer, wait: Any, running: Any, connect: Any, market: Any, twin: Any
) -> None:
    source, seen = market(), []
    async with running(nats_server.url, use_jetstream=True) as consumer:
        follower = consumer.service.reader.follower
        for round_ in range(3):
            await wait(lambda: follower.phase == "live", "the stream")
            async with connect(nats_server.url) as bus:
                await source.run(bus.client, seconds=0.4, rate=2_000)
                if round_ == 2:
                    await settled(wait, consumer, source)
                    await bus.client.flush()
                seen += vectors(bus)
            if round_ < 2:
                nats_server.kill()
                nats_server.restart()
        truth = twin(source.sent)
        verdicts = [truth.says(vector) for vector in seen]
        assert verdicts.count(True) > 5
        assert False not in verdicts
        assert sum(consumer.service.subscriber.sequences.missing.values()) == 0


@pytest.mark.parametrize("whole_stream", [False, True])
async def test_a_consumer_or_a_stream_deleted_behind_its_back_is_made_again(
    nats_server: NatsServer, bus: Any, wait: Any, running: Any, market: Any, twin: Any, whole_stream: bool
) -> None:
    async with running(nats_server.url, use_jetstream=True) as consumer:
        follower = consumer.service.reader.follower
        await wait(lambda: follower.phase == "live", "the stream")
        source = market()
        await source.run(bus.client, seconds=0.4, rate=2_000)
        await settled(wait, consumer, source)
        begun = follower.irregular
        if whole_stream:
            await bus.client.jetstream().delete_stream("MD_EVENTS")
        else:
            await bus.client.jetstream().delete_consumer("MD_EVENTS", "senpai-md")
        await wait(lambda: follower.irregular > begun, "the loss")
        if whole_stream:
            await wait(lambda: follower.phase == "live", "the new stream")
        await source.run(bus.client, seconds=0.4, rate=2_000)
        await wait(lambda: follower.phase == "live", "the stream")
        await settled(wait, consumer, source)
        truth = twin(source.sent)
        verdicts = [truth.says(vector) for vector in vectors(bus)]
        assert verdicts.count(True) > 5
        assert False not in verdicts


async def test_a_second_consumer_on_the_same_durable_is_told_of(
    nats_server: NatsServer, bus: Any, wait: Any, running: Any, market: Any, capsys: Any
) -> None:
    async with (
        running(nats_server.url, use_jetstream=True) as one,
    ):
        await wait(lambda: one.service.reader.follower.phase == "live", "the stream")
        async with running(nats_server.url, use_jetstream=True) as other:
            await wait(lambda: other.service.reader.follower.others, "the sight of another")
            shown = capsys.readouterr().out
            assert "another_consumer_pulls_here" in shown
            source = market()
            await wait(lambda: other.service.reader.follower.phase == "live", "the stream")
            await source.run(bus.client, seconds=0.3, rate=500)
            await settled(wait, one, source)
            await settled(wait, other, source)
            followers = [consumer.service.reader.follower for consumer in (one, other)]
            assert sum(follower.irregular for follower in followers) > 0
            told = (shown + capsys.readouterr().out).count("reading_anew")
            assert told == sum(follower.irregular > 0 for follower in followers)  # once a minute, however often


@pytest.fixture
def short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last 1.5 s are read again, and what has waited for more than a second is no news."""
    monkeypatch.setattr("senpai.md_consumer.subscriber.jetstream.plan.MARGIN_S", 0.5)
    monkeypatch.setattr("senpai.md_consumer.subscriber.jetstream.plan.SHORTEST_S", 0.0)


FAST = {"use_jetstream": True, "rolling_window_seconds": 1.0, "signal_return_threshold": 0.001}


@pytest.mark.usefixtures("short_spans")
async def test_only_the_last_windows_are_read_again_and_symbols_that_seldom_speak_are_not_forgotten(
    nats_server: NatsServer, bus: Any, wait: Any, running: Any, market: Any, twin: Any
) -> None:
    source = market(speed=60.0)
    async with running(nats_server.url, **FAST) as consumer:
        await wait(lambda: consumer.service.reader.follower.phase == "live", "the stream")
        await bus.send(bus.quote("ONCE", second=-100))
        await source.run(bus.client, seconds=3.0, rate=1_000)
        await wait(lambda: taken(consumer.service) == len(source.sent) + 1, "all events")
    bus.inbox.clear()
    await source.run(bus.client, seconds=0.2, rate=1_000)
    async with running(nats_server.url, **FAST) as consumer:
        stats = consumer.service.reader.stats
        await wait(lambda: stats()["phase"] == "live", "the end of the warm-up")
        assert 1_000 < stats()["replayed"] < 2_500
        assert stats()["passed_over"] == 0
        await source.run(bus.client, seconds=0.5, rate=1_000)
        await wait(lambda: stats()["stream_seq"] == len(source.sent) + 1, "all events")
        await wait(lambda: not consumer.service.publisher.features_waiting, "the last features")
        assert "ONCE" in consumer.service.pipeline.symbols
        _, features = await consumer.get("/features/latest", symbol="ONCE")
        assert features["features"]["mid"] == 100
        await bus.client.flush()
        truth = twin(source.sent, window_s=1.0, return_threshold=0.001)
        verdicts = [truth.says(vector) for vector in vectors(bus) if vector.symbol != "ONCE"]
        assert verdicts.count(True) > 5
        assert False not in verdicts


@pytest.mark.usefixtures("short_spans")
async def test_what_has_waited_too_long_is_passed_over_and_counted(
    nats_server: NatsServer, bus: Any, wait: Any, running: Any, market: Any, twin: Any
) -> None:
    source = market(speed=60.0)
    async with running(nats_server.url, **FAST) as consumer:
        await wait(lambda: consumer.service.reader.follower.phase == "live", "the stream")
        await source.run(bus.client, seconds=0.5, rate=1_000)
        await settled(wait, consumer, source)
    done = len(source.sent)
    bus.inbox.clear()
    await source.run(bus.client, seconds=4.0, rate=1_000)
    async with running(nats_server.url, **FAST) as consumer:
        stats = consumer.service.reader.stats
        await wait(lambda: stats()["phase"] == "live", "the end of the warm-up")
        passed_over = stats()["passed_over"]
        assert 2_000 < passed_over < 3_500
        assert stats()["replayed"] < 2_500
        await source.run(bus.client, seconds=0.3, rate=1_000)
        await wait(lambda: stats()["stream_seq"] == len(source.sent), "all events")
        await wait(lambda: not consumer.service.publisher.features_waiting, "the last features")
        await bus.client.flush()
        truth = twin(source.sent, window_s=1.0, return_threshold=0.001)
        verdicts = [truth.says(vector) for vector in vectors(bus)]
        assert verdicts.count(True) > 5
        assert False not in verdicts
        first_news = source.sent[done + passed_over]
        assert signals(bus)
        found = [int(name.rsplit("-", 1)[1]) for name, state in signals(bus) if state == "new"]
        assert min(found) > first_news.ts_recv - 200_000_000
        info = await bus.client.jetstream().consumer_info("MD_EVENTS", "senpai-md")
        assert info.num_pending == 0


async def test_a_new_durable_starts_warm_and_sends_no_signal_of_the_past(
    nats_server: NatsServer, bus: Any, wait: Any, running: Any, market: Any, twin: Any
) -> None:
    await bus.client.jetstream().add_stream(name="MD_EVENTS", subjects=["md.events.>"])
    source = market()
    await source.run(bus.client, seconds=1.0, rate=2_000)
    past = len(source.sent)
    options = {"use_jetstream": True, "signal_return_threshold": 0.0005, "signal_volume_threshold": 0.1}
    async with running(nats_server.url, **options) as consumer:
        stats = consumer.service.reader.stats
        await wait(lambda: stats()["phase"] == "live", "the end of the warm-up")
        assert stats()["replayed"] == past
        assert stats()["muted_signals"] > 0
        assert vectors(bus) == []
        assert signals(bus) == []
        await source.run(bus.client, seconds=0.5, rate=2_000)
        await wait(lambda: stats()["stream_seq"] == len(source.sent), "all events")
        await wait(lambda: not consumer.service.publisher.features_waiting, "the last features")
        await bus.client.flush()
    truth = twin(source.sent, return_threshold=0.0005, volume_threshold=0.1)
    verdicts = [truth.says(vector) for vector in vectors(bus)]
    assert verdicts.count(True) > 5
    assert False not in verdicts


async def test_while_it_warms_up_it_says_so_and_is_not_ready(
    nats_server: NatsServer, bus: Any, wait: Any, running: Any, market: Any
) -> None:
    await bus.client.jetstream().add_stream(name="MD_EVENTS", subjects=["md.events.>"])
    await market().run(bus.client, seconds=0.2, rate=30_000)
    async with running(nats_server.url, use_jetstream=True) as consumer:
        follower = consumer.service.reader.follower
        await wait(lambda: follower.replay.progress > 0.01, "the warm-up")
        status, ready = await consumer.get("/ready")
        assert status == 503
        assert "% of the last 75 s" in ready["reasons"][0]
        status, health = await consumer.get("/health")
        assert (status, bool(health["warming_up"])) == (200, True)
        await wait(lambda: follower.phase == "live", "the end of the warm-up")
        status, ready = await consumer.get("/ready")
        assert (status, ready["reasons"]) == (200, [])
