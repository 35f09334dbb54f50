"""Questions and answers, reply subjects and headers, against plain nats-py at the other end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import nats
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.msg import Msg

from nats_link import (
    Link,
    NoAnswerError,
    NoRespondersError,
    NotConnectedError,
    NotPermittedError,
    RequestError,
    new_inbox,
)
from nats_link.headers import BadHeaderError, description, encode, parse, status
from nats_link.testing import NatsServer

Start: TypeAlias = Callable[..., Link]
Until: TypeAlias = Callable[..., Awaitable[None]]


@pytest.fixture
async def peer(nats_server: NatsServer) -> AsyncIterator[Any]:
    """A plain nats-py client on the server."""
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


async def test_many_questions_at_once_get_their_own_answers(
    nats_server: NatsServer, start_link: Start, peer: Any, until: Until, path: str
) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b"to " + message.data)

    await peer.subscribe("ask", cb=answer)
    await peer.flush()
    await peer.flush()
    link = start_link(nats_server.url, replies=True)
    await until(lambda: link.connected)
    replies = await asyncio.gather(*[link.request("ask", b"%d" % number, 5) for number in range(200)])
    assert [reply.payload for reply in replies] == [b"to %d" % number for number in range(200)]
    assert {reply.headers for reply in replies} == {b""}


async def test_nobody_there_is_known_at_once(
    nats_server: NatsServer, start_link: Start, until: Until, path: str
) -> None:
    link = start_link(nats_server.url, replies=True)
    with pytest.raises(NotConnectedError):
        await link.request("nobody", b"", 5)
    await until(lambda: link.connected)
    with pytest.raises(NoRespondersError, match="nobody"):
        await link.request("nobody", b"", 5)


async def test_an_answer_too_late_is_let_go(
    nats_server: NatsServer, start_link: Start, peer: Any, until: Until
) -> None:
    asked: list[Msg] = []

    async def note(message: Msg) -> None:
        asked.append(message)

    await peer.subscribe("ask", cb=note)
    await peer.flush()
    await peer.flush()
    link = start_link(nats_server.url, replies=True)
    await until(lambda: link.connected)
    with pytest.raises(NoAnswerError, match=r"within 0\.05 s"):
        await link.request("ask", b"1", 0.05)
    received = link.received
    await asked[0].respond(b"late")
    await until(lambda: link.received == received + 1)
    assert link.handler_errors == 0
    asking = asyncio.create_task(link.request("ask", b"2", 5))
    await until(lambda: len(asked) == 2)
    await asked[1].respond(b"in time")
    assert (await asking).payload == b"in time"
    asking = asyncio.create_task(link.request("ask", b"3", 5))
    await until(lambda: len(asked) == 3)
    nats_server.kill()
    with pytest.raises(NotConnectedError, match="ended before"):
        await asking


async def test_a_question_that_is_not_permitted_does_not_wait_for_its_timeout(start_link: Start, until: Until) -> None:
    may = 'permissions: { publish: "x", subscribe: "_INBOX.>" }'
    with NatsServer(f"authorization {{ users = [{{ user: a, password: b, {may} }}] }}") as server:
        link = start_link(f"nats://a:b@127.0.0.1:{server.port}", replies=True)
        await until(lambda: link.connected)
        async with asyncio.timeout(5):
            with pytest.raises(NotPermittedError, match=r"'Secret\.Thing'"):
                await link.request("Secret.Thing", b"", 60)
        await link.close(1)


async def test_a_link_without_an_inbox_says_what_is_missing(nats_server: NatsServer, start_link: Start) -> None:
    with pytest.raises(RuntimeError, match="replies=True"):
        await start_link(nats_server.url).request("ask", b"", 1)


async def test_reply_subjects_and_headers_go_both_ways(
    nats_server: NatsServer, start_link: Start, peer: Any, until: Until, path: str
) -> None:
    seen: list[tuple[str, str, dict[str, str], bytes]] = []
    theirs: list[Msg] = []

    async def note(message: Msg) -> None:
        theirs.append(message)

    await peer.subscribe("out", cb=note)
    await peer.flush()
    await peer.flush()
    inbox = new_inbox()
    link: Link = start_link(nats_server.url)
    # a link that runs takes no more subscriptions: this one has not had its turn of the loop yet
    link.subscribe_raw(inbox, "", lambda *message: seen.append((message[0], message[1], parse(message[2]), message[3])))
    await until(lambda: link.connected)
    assert link.post("out", b"1", reply=inbox, headers=encode({"Name": "välue", "Other": "2"}))
    assert link.post("out", b"2", reply=inbox)
    assert link.post("out", b"3", headers=encode({"Name": "x"}))
    assert link.post("out", b"")
    await until(lambda: len(theirs) == 4)
    assert [(one.data, one.reply, one.headers) for one in theirs] == [
        (b"1", inbox, {"Name": "välue", "Other": "2"}),
        (b"2", inbox, None),
        (b"3", "", {"Name": "x"}),
        (b"", "", None),
    ]
    await peer.publish(inbox, b"a", reply="back", headers={"K": "v"})
    await peer.publish(inbox, b"b", reply="back")
    await peer.publish(inbox, b"c", headers={"K": "v"})
    await peer.publish(inbox, b"d")
    await until(lambda: len(seen) == 4)
    assert seen == [
        (inbox, "back", {"K": "v"}, b"a"),
        (inbox, "back", {}, b"b"),
        (inbox, "", {"K": "v"}, b"c"),
        (inbox, "", {}, b"d"),
    ]
    assert not link.post("no good", b"")
    assert not link.post("out", b"", reply="no good")
    assert link.refused_subject == 2
    assert not link.post("out", b"x" * 1_048_000, headers=encode({"Name": "y" * 1_000}))
    assert link.refused_oversize == 1


async def test_every_listener_hears_of_every_change(nats_server: NatsServer, start_link: Start, until: Until) -> None:
    first: list[bool] = []
    second: list[bool] = []
    link: Link = start_link(nats_server.url, on_state=first.append)
    link.listen(second.append)
    await until(lambda: link.connected)
    assert link.server_info["jetstream"] is True
    nats_server.restart()
    await until(lambda: link.reconnects == 1)
    assert first == second == [True, False, True]


def test_a_status_is_read_with_its_words() -> None:
    assert status(b"NATS/1.0 503\r\n\r\n") == 503
    assert status(b"NATS/1.0 404 No Messages\r\nA: b\r\n\r\n") == 404
    assert description(b"NATS/1.0 404 No Messages\r\nA: b\r\n\r\n") == "No Messages"
    assert parse(b"NATS/1.0 404 No Messages\r\nA: b\r\n\r\n") == {"A": "b"}
    for block in (b"", b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\nA: 503\r\n\r\n"):
        assert status(block) == 0
        assert description(block) == ""


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)
NAMES = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1)


@given(st.dictionaries(NAMES, LINE, max_size=4))
def test_headers_read_back_as_they_were_but_for_spaces_around_them(fields: dict[str, str]) -> None:
    assert parse(encode(fields)) == {name: value.strip() for name, value in fields.items()}


@pytest.mark.parametrize("fields", [{"": "x"}, {"a b": "x"}, {"a:b": "x"}, {"a": "x\r\nb: y"}, {"ä": "x"}, {"a\n": ""}])
def test_a_header_that_would_be_another_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(BadHeaderError):
        encode(fields)


def test_request_errors_share_one_name() -> None:
    for kind in (NoAnswerError, NoRespondersError, NotConnectedError, NotPermittedError):
        assert issubclass(kind, RequestError)
