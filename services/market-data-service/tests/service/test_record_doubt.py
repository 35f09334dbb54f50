"""What the consumer leaves out is asked of the stream: what is there is stored, what is not is named; see `Place`."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from nats.js.errors import ServerError
from recorded import CONSUMER, STREAM, Publisher, holds
from stored import Rows
from structlog.testing import capture_logs

from nats_link.jetstream import consumers
from nats_link.jetstream.consumers import Durable
from nats_link.testing import NatsServer

pytestmark = pytest.mark.usefixtures("looks_often")
ASKED_IN = "app.record.stream.next_message"


def gap(first: int, last: int) -> dict[str, Any]:
    missing = last - first + 1
    return {"type": None, "missing": missing, "from_seq": first, "to_seq": last, "epoch": None, "where": "stream"}


def deleted(rows: Rows) -> list[Any]:
    """The rows of gap about the stream; the numbers in the messages show the same holes once more."""
    return [one for one in rows.gaps() if one["where"] == "stream"] if rows.path.exists() else []


async def delete(publisher: Publisher, first: int, last: int) -> None:
    """Take single messages out of the stream, so that it still begins before them."""
    for seq in range(first, last + 1):
        async with asyncio.timeout(20):
            while not await deleted_now(publisher, seq):  # noqa: ASYNC110  # the server tells nobody
                await asyncio.sleep(0.01)


async def deleted_now(publisher: Publisher, seq: int) -> bool:
    """The server refuses (`stream store EOF`) while it has not yet written to disk what it would erase there."""
    try:
        return bool(await publisher.jetstream.delete_msg(STREAM, seq))
    except ServerError as error:
        if "EOF" not in str(error):
            raise
        return False


@pytest.fixture
def moved_on(monkeypatch: pytest.MonkeyPatch, publisher: Publisher) -> Callable[[int], None]:
    """`moved_on(to)`: right after the recorder has made its consumer, once, another process makes it begin there."""
    make = consumers.make_durable

    def arrange(to: int) -> None:
        async def overtaken(*arguments: Any) -> Durable:
            monkeypatch.setattr("app.record.stream.make_durable", make)
            durable = await make(*arguments)
            config = (await publisher.reading()).config
            await publisher.jetstream.delete_consumer(STREAM, CONSUMER)
            await publisher.jetstream.add_consumer(STREAM, config.evolve(opt_start_seq=to))
            return durable

        monkeypatch.setattr("app.record.stream.make_durable", overtaken)

    return arrange


@pytest.fixture
async def published(publisher: Publisher) -> Publisher:
    """Fifty trades and fifty quotes are in the stream, under the numbers 1 to 100."""
    await publisher.jetstream.add_stream(name=STREAM, subjects=["md.events.>"])
    await publisher.send(1, 50)
    return publisher


async def test_what_was_left_out_and_is_gone_is_a_row_of_gap_that_names_it(
    recording: Callable[..., Any], published: Publisher, rows: Rows
) -> None:
    async with recording():
        await rows.until("quote", 50)
    await published.send(51, 60)
    await delete(published, 101, 110)  # the stream begins at 1, so that these could be there
    with capture_logs() as log:
        async with recording():
            await rows.until("quote", 55)
            await holds(lambda: deleted(rows) == [gap(101, 110)])
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["messages"], heard["discarded"], heard["unacknowledged"]) == (10, 10, 0)
    assert rows.trades() == [*range(1, 51), *range(56, 61)]
    assert (await published.reading()).ack_floor.stream_seq == 120


async def test_what_was_left_out_and_is_there_is_stored(
    recording: Callable[..., Any], published: Publisher, rows: Rows, moved_on: Callable[[int], None]
) -> None:
    moved_on(41)
    with capture_logs() as log:
        async with recording():
            await rows.until("quote", 50)
            await holds(lambda: rows.trades() == list(range(1, 51)))
    assert rows.count("gap") == 0
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["messages"], heard["discarded"], heard["unacknowledged"]) == (100 + 60, 0, 0), "60 were taken twice"
    why = [entry["why"] for entry in log if entry["event"] == "waiting for JetStream"]
    assert "the consumer left out messages that the stream has" in why
    assert [entry for entry in log if entry["event"] == "another process reads with this consumer"]
    assert (await published.reading()).ack_floor.stream_seq == 100


async def test_of_what_was_left_out_a_part_may_be_gone(
    recording: Callable[..., Any], published: Publisher, rows: Rows, moved_on: Callable[[int], None]
) -> None:
    await delete(published, 11, 20)
    await delete(published, 51, 54)
    moved_on(41)
    async with recording() as recorder:
        await holds(lambda: deleted(rows) == [gap(11, 20), gap(51, 54)])
        await rows.until("quote", 43)
    assert recorder.intake.discarded == 14, "each was told once, although some was read twice"
    assert rows.trades() == [*range(1, 6), *range(11, 26), *range(28, 51)]


async def test_nothing_is_acknowledged_before_the_stream_has_answered(
    recording: Callable[..., Any],
    published: Publisher,
    rows: Rows,
    moved_on: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, may_ask, ask = asyncio.Event(), asyncio.Event(), consumers.next_message

    async def later(*arguments: Any) -> int | None:
        asked.set()
        await may_ask.wait()
        return await ask(*arguments)

    monkeypatch.setattr(ASKED_IN, later)
    moved_on(41)
    async with recording() as recorder:
        async with asyncio.timeout(60):
            await asked.wait()
        await rows.until("quote", 30)
        await holds(lambda: recorder.home.count(recorder.intake.put) == 60)
        recorder.reader.acknowledge()
        assert await recorder.link.flush(30)
        assert (await published.reading()).ack_floor.stream_seq in (0, 40), "where it was made, and no further"
        assert recorder.reader.counts()["unacknowledged"] == 60
        may_ask.set()
        await rows.until("quote", 50)
    assert rows.trades() == list(range(1, 51))
    assert (await published.reading()).ack_floor.stream_seq == 100


async def test_a_question_without_an_answer_is_told_and_asked_again(
    recording: Callable[..., Any],
    nats_server: NatsServer,
    published: Publisher,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask = consumers.next_message

    async def unheard(*arguments: Any) -> int | None:
        monkeypatch.setattr(ASKED_IN, ask)
        nats_server.pause()
        try:
            return await ask(*arguments)
        finally:
            nats_server.resume()

    async with recording():
        await rows.until("quote", 50)
    await published.send(51, 60)
    await delete(published, 101, 110)
    monkeypatch.setattr(ASKED_IN, unheard)
    with capture_logs() as log:
        async with recording():
            await holds(lambda: deleted(rows) != [])
            await rows.until("quote", 55)
            await published.send(61, 62)
            await rows.until("quote", 57)
    assert deleted(rows) == [gap(101, 110)]
    [heard] = [entry for entry in log if entry["event"] == "heard"]
    assert (heard["discarded"], heard["unacknowledged"]) == (10, 0)
    whys = [entry["why"] for entry in log if entry["event"] == "waiting for JetStream"]
    assert "'$JS.API.STREAM.MSG.GET.MD_EVENTS'" in whys[0], "unanswered in time, or the link gave the connection up"
