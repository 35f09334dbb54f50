"""The stream: made once whoever comes first, left alone when it exists, and told what to do when it cannot be."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import nats
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js.api import StreamConfig

from nats_link import Link, NoAnswerError, NotConnectedError, RequestError
from nats_link.jetstream import NoJetStreamError, StreamError, StreamOptions, ensure_stream
from nats_link.jetstream.stream import covers
from nats_link.testing import NatsServer

Start: TypeAlias = Callable[..., Link]
Until: TypeAlias = Callable[..., Awaitable[None]]

OPTIONS = StreamOptions(max_age_s=60, max_bytes=1_000_000, duplicate_window_s=30)


@pytest.fixture
def connect(start_link: Start, until: Until) -> Callable[[str], Awaitable[Link]]:
    async def connected(url: str) -> Link:
        link = start_link(url, replies=True)
        await until(lambda: link.connected)
        return link

    return connected


async def test_it_is_made_with_its_limits(nats_server: NatsServer, connect: Any) -> None:
    report = await ensure_stream(await connect(nats_server.url), OPTIONS)
    assert report.created
    client = await nats.connect(nats_server.url)
    config = (await client.jetstream().stream_info("MD_EVENTS")).config
    await client.close()
    assert config.subjects == ["md.events.>"]
    assert (config.max_age, config.max_bytes, config.duplicate_window) == (60.0, 1_000_000, 30.0)
    assert (config.storage, config.discard, config.retention) == ("file", "old", "limits")
    assert config.allow_direct is True


async def test_many_at_once_make_one(nats_server: NatsServer, connect: Any) -> None:
    links = [await connect(nats_server.url) for _ in range(4)]
    options = [OPTIONS, OPTIONS, StreamOptions(max_age_s=90), StreamOptions(max_age_s=90)]
    reports = await asyncio.gather(*[ensure_stream(link, one) for link, one in zip(links, options, strict=True)])
    assert len({report.config["max_age"] for report in reports}) == 1
    for report, one in zip(reports, options, strict=True):
        assert bool(report.differences) == (report.config["max_age"] != one.config()["max_age"])


async def test_an_existing_stream_is_left_alone_and_its_limits_are_reported(
    nats_server: NatsServer, connect: Any
) -> None:
    client = await nats.connect(nats_server.url)
    stream = client.jetstream()
    await stream.add_stream(StreamConfig(name="MD_EVENTS", subjects=["md.>"], max_bytes=5_000_000, allow_direct=True))
    report = await ensure_stream(await connect(nats_server.url), OPTIONS)
    config = (await stream.stream_info("MD_EVENTS")).config
    await client.close()
    assert (config.max_bytes, config.max_age) == (5_000_000, 0)
    assert not report.created
    assert sorted(line.split()[0] for line in report.differences) == ["duplicate_window", "max_age", "max_bytes"]
    assert "max_bytes is 5000000, not 1000000" in report.differences


async def test_a_stream_without_our_subject_says_what_to_do(nats_server: NatsServer, connect: Any) -> None:
    client = await nats.connect(nats_server.url)
    stream = client.jetstream()
    await stream.add_stream(StreamConfig(name="MD_EVENTS", subjects=["md.events.trade.>"]))
    link = await connect(nats_server.url)
    with pytest.raises(StreamError, match=r"takes md.events.trade.>, not md.events.>: add that \(nats stream edit"):
        await ensure_stream(link, OPTIONS)
    await stream.delete_stream("MD_EVENTS")
    await stream.add_stream(StreamConfig(name="OTHER", subjects=["md.>"]))
    with pytest.raises(StreamError, match=r"md.events.> belongs to the stream OTHER already; delete that one"):
        await ensure_stream(link, OPTIONS)
    await stream.delete_stream("OTHER")
    await stream.add_stream(StreamConfig(name="MD_EVENTS", subjects=["md.events.>"], no_ack=True))
    with pytest.raises(StreamError, match="acknowledges nothing"):
        await ensure_stream(link, OPTIONS)
    await client.close()


async def test_a_server_without_jetstream_says_how_to_start_one(connect: Any) -> None:
    with NatsServer(jetstream=False) as server:
        link = await connect(server.url)
        with pytest.raises(NoJetStreamError, match=r"has no JetStream .*nats-server -js.*compose.*USE_JETSTREAM=false"):
            await ensure_stream(link, OPTIONS)
        await link.close(1)


async def test_an_account_without_jetstream_says_so(connect: Any) -> None:
    config = "accounts { A: { users: [{ user: a, password: b }] } }"
    with NatsServer(config) as server:
        link = await connect(f"nats://a:b@127.0.0.1:{server.port}")
        with pytest.raises(NoJetStreamError, match="not enabled for account"):
            await ensure_stream(link, OPTIONS)
        await link.close(1)


async def test_too_little_storage_says_which_limits_to_change(connect: Any) -> None:
    with NatsServer(jetstream_limits="max_file_store: 500000") as server:
        link = await connect(server.url)
        with pytest.raises(StreamError, match=r"no room for 1000000 bytes .*JETSTREAM_MAX_BYTES.*max_file_store"):
            await ensure_stream(link, OPTIONS)
        await link.close(1)


async def test_a_missing_permission_is_named(connect: Any, until: Until) -> None:
    may = 'permissions: {{ publish: ["md.>", "{}"], subscribe: "_INBOX.>" }}'
    users = ", ".join(
        f"{{ user: {user}, password: b, {may.format(allowed)} }}"
        for user, allowed in (("none", "x"), ("looks", "$JS.API.STREAM.INFO.*"), ("makes", "$JS.API.STREAM.*.*"))
    )
    with NatsServer(f"authorization {{ users = [{users}] }}") as server:
        url = f"nats://{{}}:b@127.0.0.1:{server.port}"
        none, looks, makes = [await connect(url.format(user)) for user in ("none", "looks", "makes")]
        with pytest.raises(StreamError, match=r"\$JS.API.STREAM.INFO.MD_EVENTS', which is needed to look for"):
            await ensure_stream(none, OPTIONS)
        with pytest.raises(StreamError, match=r"\$JS.API.STREAM.CREATE.MD_EVENTS', which is needed to make"):
            await ensure_stream(looks, OPTIONS)
        assert (await ensure_stream(makes, OPTIONS)).created
        assert not (await ensure_stream(looks, OPTIONS)).created
        for link in (none, looks, makes):
            await link.close(1)


async def test_a_server_that_is_away_or_frozen_is_worth_another_try(
    nats_server: NatsServer, connect: Any, until: Until
) -> None:
    link = await connect(nats_server.url)
    nats_server.pause()
    with pytest.raises(NoAnswerError, match=r"within 0\.1 s"):
        await ensure_stream(link, OPTIONS, timeout_s=0.1)
    asking = asyncio.create_task(ensure_stream(link, OPTIONS))
    await asyncio.sleep(0)
    nats_server.kill()
    with pytest.raises(NotConnectedError):
        await asking
    await until(lambda: not link.connected)
    with pytest.raises(RequestError, match="cannot be sent now"):
        await ensure_stream(link, OPTIONS)


TOKENS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4)


def as_pattern(tokens: list[str], rest: bool) -> str:
    return ".".join([*tokens, ">"] if rest else tokens)


def matches(pattern: str, subject: list[str]) -> bool:
    tokens = pattern.split(".")
    if tokens[-1] == ">":
        tokens = tokens[:-1]
        if len(subject) <= len(tokens):
            return False
        subject = subject[: len(tokens)]
    return len(tokens) == len(subject) and all(ours in ("*", own) for ours, own in zip(tokens, subject, strict=True))


@given(TOKENS, st.booleans(), TOKENS, st.booleans())
def test_a_pattern_covers_another_when_all_subjects_of_that_match_it(
    one: list[str], one_rest: bool, two: list[str], two_rest: bool
) -> None:
    pattern, other = as_pattern(one, one_rest), as_pattern(two, two_rest)
    letters = ["a", "b", "c"]
    subjects: list[list[str]] = [[]]
    everything: list[list[str]] = []
    for _ in range(6):
        subjects = [[*subject, letter] for subject in subjects for letter in letters]
        everything += subjects
    assert covers(pattern, other) == all(matches(pattern, each) for each in everything if matches(other, each))
