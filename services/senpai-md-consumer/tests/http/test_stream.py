"""/stream over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import pytest

from md_contract.subjects import feature_subject, signal_subject
from senpai.md_consumer.http import sse
from senpai.md_consumer.pipeline import Pipeline

Follow = Callable[..., AbstractAsyncContextManager["Reader"]]


class Told(NamedTuple):
    event: str
    data: Any
    id: str | None = None


class Reader:
    def __init__(self, response: Any) -> None:
        self.response = response

    async def block(self) -> str:
        """The next block; comments too."""
        async with asyncio.timeout(5):
            block: bytes = await self.response.content.readuntil(b"\n\n")
            return block.decode()

    async def next(self) -> Told:
        fields = dict(line.split(": ", 1) for line in (await self.block()).strip().split("\n"))
        return Told(fields["event"], json.loads(fields["data"]), fields.get("id"))


@pytest.fixture
def follow(api: Any) -> Follow:
    @asynccontextmanager
    async def follow(**params: str) -> AsyncIterator[Reader]:
        async with api.session.get(api.url + "/stream", params=params) as response:
            yield Reader(response)

    return follow


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # conditions of all kinds
            await asyncio.sleep(0.002)


async def test_it_opens_with_what_is_followed_and_then_tells_what_is_published(api: Any, follow: Follow) -> None:
    await api.feed(api.trade("stETH"))
    hub = api.service.hub
    async with follow(symbols="steth, newcoin", types="Features,signals") as reader:
        assert reader.response.content_type == "text/event-stream"
        assert reader.response.headers["cache-control"] == "no-store"
        told = await reader.next()
        assert told == (
            "open",
            {"types": ["features", "signals"], "symbols": ["NEWCOIN", "stETH"], "unknown": ["NEWCOIN"]},
            None,
        )
        hub.offer(feature_subject("stETH"), b'{"n":1}')
        hub.offer(feature_subject("OTHER"), b'{"n":2}')
        assert await reader.next() == ("features", {"n": 1}, "1")
        hub.offer(signal_subject("NEWCOIN"), b'{"n":3}')
        assert await reader.next() == ("signals", {"n": 3}, "2")
        assert (await api.get("/stats"))[1]["stream"]["readers"] == 1
    await until(lambda: not hub.listeners)
    assert hub.sent == 2


@pytest.mark.parametrize("symbols", ["", "*", " ALL "])
async def test_without_symbols_it_follows_all(api: Any, follow: Follow, symbols: str) -> None:
    async with follow(symbols=symbols) as reader:
        assert (await reader.next()).data["symbols"] is None
        api.service.hub.offer(feature_subject("ANY"), b"{}")
        assert (await reader.next()).event == "features"


async def test_what_it_cannot_follow_is_422_with_a_hint(api: Any) -> None:
    for query in (
        {"types": "trades"},
        {"symbols": "BTCUSDT," + "X" * 300},
        {"symbols": "X" * 9_000},
        {"symbols": " ,"},
    ):
        status, body = await api.get("/stream", **query)
        assert status == 422
        assert next(iter(query)) in body["error"] + body["hint"]
        assert len(body["error"]) < 300


class Passes(list[str]):
    """Counts how often somebody goes through it."""

    passes = 0

    def __iter__(self) -> Iterator[str]:
        self.passes += 1
        return super().__iter__()


async def test_thousands_of_unknown_symbols_do_not_hold_up_the_service(
    api: Any, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = Passes(["stETH", "BTCUSDT"])
    monkeypatch.setattr(Pipeline, "symbols", property(lambda _: tracked))
    async with follow(symbols=",".join(["steth", *(f"x{number}" for number in range(1_000))])) as reader:
        told = (await reader.next()).data
    assert "stETH" in told["symbols"]
    assert len(told["unknown"]) == 1_000
    assert tracked.passes == 1


async def test_silence_is_broken_by_a_sign_of_life(api: Any, follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse.EventStream.__init__, "__defaults__", (0.02,))
    async with follow() as reader:
        await reader.next()
        assert await reader.block() == ": alive\n\n"
        api.service.hub.offer(feature_subject("A"), b"{}")
        while (block := await reader.block()).startswith(":"):
            pass
        assert "event: features" in block


async def test_a_reader_who_does_not_read_loses_no_signal_and_is_told_why_it_ends(api: Any, follow: Follow) -> None:
    hub = api.service.hub
    big = json.dumps({"x": "y" * 20_000}).encode()
    async with follow() as reader:
        await reader.next()
        reader.response.connection.transport.pause_reading()
        (listener,) = hub.listeners
        offered = 0
        while not listener.over:
            hub.offer(signal_subject("A"), big)
            hub.offer(feature_subject("A"), b"{}")
            offered += 1
            await asyncio.sleep(0)
        assert offered < 5_000, "what waits is bounded"
        assert (await api.get("/health"))[0] == 503, "the others are served"
        reader.response.connection.transport.resume_reading()
        heard = []
        while (told := await reader.next()).event != "closed":
            heard.append(told.event)
        assert heard.count("signals") == offered - 1
        assert "too slow" in told.data["why"]
        assert told.data["hint"]
        assert await reader.response.content.read() == b""
    assert hub.conflated > 0


async def test_one_reader_too_many_is_503_in_json(api: Any, follow: Follow) -> None:
    api.service.hub.max_listeners = 1
    async with follow() as reader:
        await reader.next()
        status, body = await api.get("/stream")
        assert status == 503
        assert "NATS" in body["hint"]
        async with api.session.get(api.url + "/stream") as response:
            assert response.headers["retry-after"]
    await until(lambda: not api.service.hub.listeners)
    async with follow() as reader:
        assert (await reader.next()).event == "open"


async def test_head_answers_and_follows_nothing(api: Any) -> None:
    async with api.session.head(api.url + "/stream") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
    await until(lambda: not api.service.hub.listeners)


async def test_the_end_of_the_service_ends_every_stream_with_a_word(api: Any, follow: Follow) -> None:
    async with follow() as first, follow(types="alerts") as second:
        for reader in (first, second):
            assert (await reader.next()).event == "open"
        api.service.request_stop()
        for reader in (first, second):
            told = await reader.next()
            assert (told.event, told.data["why"]) == ("closed", "the service is stopping")
            assert await reader.response.content.read() == b""


async def test_a_reader_who_does_not_read_does_not_hold_up_the_end(
    api: Any, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    async with follow() as reader:
        await reader.next()
        reader.response.connection.transport.pause_reading()
        for _ in range(900):
            api.service.hub.offer(signal_subject("A"), json.dumps("y" * 20_000).encode())
            await asyncio.sleep(0)
        api.service.request_stop()
        await until(lambda: not api.service.hub.listeners)
    assert "Traceback" not in caplog.text
