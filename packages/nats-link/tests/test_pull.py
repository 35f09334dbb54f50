"""Pull requests and what stands beside a message: what is still owed, where it stands, when it was stored."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats_link.jetstream.pull import Pulls
from nats_link.jetstream.stamp import BadStampError, ack_subject, read_stamp, read_time, write_time


class Posted:
    """Stands where the link stands."""

    def __init__(self) -> None:
        self.writable = True
        self.asked: list[tuple[str, bytes, str]] = []

    def __call__(self, subject: str, payload: bytes, *, reply: str = "", headers: bytes = b"") -> bool:
        self.asked.append((subject, payload, reply))
        return self.writable


def test_both_forms_of_the_acknowledgement_subject_are_read() -> None:
    expected = (2, 11, 7, 1795368284184068005, 9)
    assert read_stamp("$JS.ACK.MD_EVENTS.senpai-md.2.11.7.1795368284184068005.9") == expected
    assert read_stamp("$JS.ACK.hub.ACCHASH.MD_EVENTS.senpai-md.2.11.7.1795368284184068005.9.rand0m") == expected
    assert read_stamp(ack_subject("MD_EVENTS", "senpai-md", 11, 7))[:3] == (1, 11, 7)


@pytest.mark.parametrize("reply", ["", "_INBOX.x.1", "$JS.ACK.a.b.1.2.3", "$JS.ACK.a.b.1.2.x.4.5", "a.b.c.d.1.2.3.4.5"])
def test_what_is_no_acknowledgement_subject_is_an_error(reply: str) -> None:
    with pytest.raises(BadStampError):
        read_stamp(reply)


@given(st.integers(min_value=0, max_value=4_000_000_000 * 10**9))
def test_times_survive_their_spelling_to_the_nanosecond(ns: int) -> None:
    assert read_time(write_time(ns)) == ns


def test_times_of_the_server_with_fewer_digits_are_read() -> None:
    assert read_time("2026-11-22T17:24:44.17842381Z") - read_time("2026-11-22T17:24:44Z") == 178_423_810


def test_pulls_know_how_many_messages_are_still_to_come() -> None:
    posted = Posted()
    pulls = Pulls(posted, "MD_EVENTS", "senpai-md", "_INBOX.x")
    assert pulls.ask(10)
    assert pulls.ask(5)
    assert pulls.open == 15
    for _ in range(12):
        pulls.came()
    assert pulls.on_status(b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Stream: 20\r\n\r\n") is None
    assert pulls.on_status(b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 2\r\n\r\n") is None
    assert pulls.open == 1
    assert pulls.on_status(b"NATS/1.0 409 Batch Completed\r\nNats-Pending-Messages: 1\r\n\r\n") is None
    assert pulls.open == 0
    assert len({reply for _, _, reply in posted.asked}) == 2


@pytest.mark.parametrize(
    "headers",
    [
        b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
        b"NATS/1.0 409 Leadership Change\r\n\r\n",
        b"NATS/1.0 409 Server Shutdown\r\nNats-Pending-Messages: 3\r\n\r\n",
        b"NATS/1.0 409 Exceeded MaxWaiting\r\n\r\n",
        b"NATS/1.0 400 Bad Request\r\n\r\n",
        b"NATS/1.0 408 Request Timeout\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
    ],
)
def test_what_ends_the_pulls_is_told(headers: bytes) -> None:
    pulls = Pulls(Posted(), "MD_EVENTS", "senpai-md", "_INBOX.x")
    pulls.ask(10)
    assert pulls.on_status(headers)


def test_a_request_that_the_link_refuses_is_not_waited_for() -> None:
    posted: Any = Posted()
    posted.writable = False
    pulls = Pulls(posted, "MD_EVENTS", "senpai-md", "_INBOX.x")
    assert not pulls.ask(10)
    assert pulls.open == 0
