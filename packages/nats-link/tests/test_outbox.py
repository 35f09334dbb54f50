"""The queue before the socket, against a list and an independent reader of the protocol."""

import re
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from nats_link.frame import Message, acked_frame
from nats_link.headers import encode
from nats_link.outbox import OVERHEAD, Outbox

LINE = re.compile(rb"(H?)PUB ([^ \r\n]+) (?:([^ \r\n]+) )??(?:(\d+) )?(\d+)\r\n")


def read(text: bytes) -> list[Message]:
    messages = []
    while text:
        line = LINE.match(text)
        assert line is not None
        assert bool(line[1]) == bool(line[4])
        body = line.end() + int(line[4] or 0)
        end = line.end() + int(line[5])
        assert text[end : end + 2] == b"\r\n"
        subject, reply = line[2].decode(), (line[3] or b"").decode()
        messages.append(Message(subject, reply, text[line.end() : body], text[body:end]))
        text = text[end + 2 :]
    return messages


def make(max_bytes: int = 10_000, max_payload: int = 1_000_000) -> tuple[Outbox, list[str]]:
    calls: list[str] = []
    outbox = Outbox(max_bytes, wake=lambda: calls.append("wake"), report=lambda kind, _: calls.append(kind))
    outbox.open(max_payload)
    return outbox, calls


SUBJECTS = st.sampled_from(["a", "md.events.trade.BTCUSDT", "md.events.trade.BTC_2FUSD", "é.x"])
HEADERS = st.sampled_from([b"", encode({"Nats-Msg-Id": "1"})])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), SUBJECTS, st.binary(max_size=300)),
        st.tuples(st.just("post"), SUBJECTS, st.sampled_from(["", "_INBOX.x.1"]), HEADERS, st.binary(max_size=300)),
        st.tuples(st.just("frame"), SUBJECTS, st.booleans(), st.binary(max_size=300)),
        st.just(("withdraw",)),
        st.tuples(st.just("take"), st.integers(0, 1000)),
        st.tuples(st.just("pop")),
        st.tuples(st.just("settle"), st.integers(0, 2000)),
        st.tuples(st.just("shut")),
        st.tuples(st.just("open")),
    ),
    max_size=80,
)


class Waiting(NamedTuple):
    is_frame: bool
    size: int
    message: Message


def offer(outbox: Outbox, step: tuple[Any, ...]) -> tuple[bool, Waiting] | None:
    """Offer the message of a step, if it is one: taken or not, and how it should wait."""
    match step:
        case "put", subject, payload:
            message = Message(subject, "", b"", payload)
            return outbox.put(subject, payload), Waiting(False, len(payload), message)
        case "post", subject, reply, headers, payload:
            message = Message(subject, reply, headers, payload)
            taken = outbox.post(subject, payload, reply=reply, headers=headers)
            return taken, Waiting(False, len(headers + payload), message)
        case "frame", subject, again, payload:
            message = Message(subject, "_INBOX.x.2", b"NATS/1.0\r\nNats-Msg-Id:id\r\n\r\n", payload)
            frame = acked_frame(subject.encode(), b"_INBOX.x.2", b"id", payload)
            return outbox.put_frame(frame, again=again), Waiting(True, len(frame), message)
        case _:
            return None


def fetch(outbox: Outbox, step: tuple[Any, ...]) -> list[Message]:
    """Do a step that offers nothing; what leaves by it."""
    match step:
        case "take", max_bytes:
            before, text = outbox.queued, outbox.take(step[1])
            assert bool(text) == bool(before and max_bytes)
            return read(text)
        case ("pop",) if outbox.queued:
            return [outbox.pop()]
        case "settle", buffered:
            outbox.settle(buffered)
        case ("shut",):
            outbox.shut()
        case ("open",):
            outbox.open(1_000_000)
        case ("withdraw",):
            outbox.withdraw_frames()
        case _:
            pass
    return []


@given(STEPS)
def test_messages_leave_in_order_unchanged_within_the_bound_and_are_all_accounted_for(steps: list[Any]) -> None:
    outbox, _ = make(max_bytes=3000)
    waiting: list[Waiting] = []
    left = refused = accepted = over = 0
    for step in steps:
        offered = offer(outbox, step)
        if offered is None:
            gone = fetch(outbox, step)
            assert gone == [one.message for one in waiting[: len(gone)]]
            waiting = [one for one in waiting[len(gone) :] if step != ("withdraw",) or not one.is_frame]
            left += len(gone)
        elif offered[0]:
            accepted += 1
            waiting.append(offered[1])
            over += offered[1].size + OVERHEAD if step[0] == "frame" and step[2] else 0
        else:
            refused += 1
        assert outbox.queued == len(waiting)
        assert outbox.queued_bytes == sum(one.size + OVERHEAD for one in waiting) <= 3000 + over
    assert (outbox.published, outbox.refused) == (left, refused)
    outbox.discard()
    assert outbox.gone == outbox.published + outbox.lost + outbox.withdrawn == accepted


@given(st.text())
def test_any_subject_is_refused_or_reads_back_as_one_message(subject: str) -> None:
    outbox, calls = make()
    if outbox.put(subject, b"payload"):
        assert read(outbox.take(10_000)) == [Message(subject, "", b"", b"payload")]
        assert all(token and token not in "*>" for token in subject.split("."))
    else:
        assert calls == ["subject"]
        assert outbox.refused_subject == outbox.refused == 1


def test_it_wakes_once_for_all_the_messages_of_a_tick() -> None:
    outbox, calls = make()
    assert all(outbox.put("a", b"x") for _ in range(10))
    assert calls == ["wake"]
    outbox.take(100_000)
    outbox.put("a", b"x")
    assert calls == ["wake", "wake"]


def test_it_calls_back_after_a_refusal_once_half_of_the_room_is_free() -> None:
    outbox, _ = make(max_bytes=10 * (100 + OVERHEAD))
    assert all(outbox.put("a", b"x" * 100) for _ in range(10))
    assert not outbox.has_room
    assert outbox.put("a", b"x" * 100) is False
    outbox.take(4 * (100 + OVERHEAD))
    assert outbox.settle(0) is False
    outbox.take(4 * (100 + OVERHEAD))
    assert outbox.settle(4 * (100 + OVERHEAD)) is False
    assert outbox.settle(0) is True
    assert outbox.settle(0) is False


def test_a_message_that_never_fits_counts_as_oversize() -> None:
    outbox, calls = make(max_bytes=1000)
    assert outbox.put("a", b"x" * 1000) is False
    assert (outbox.refused_oversize, calls) == (1, ["oversize"])


def test_the_cache_of_subjects_is_bounded() -> None:
    outbox, _ = make(max_bytes=1 << 40)
    for number in range(70_000):
        assert outbox.put(f"s.{number}", b"")
    assert read(outbox.take(10_000))[0] == Message("s.0", "", b"", b"")
