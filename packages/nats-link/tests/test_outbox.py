"""The queue before the socket, against a list and an independent reader of the protocol."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nats_link.outbox import OVERHEAD, Outbox

LINE = re.compile(rb"PUB ([^ \r\n]+) (\d+)\r\n")


def read(text: bytes) -> list[tuple[str, bytes]]:
    messages = []
    while text:
        line = LINE.match(text)
        assert line is not None
        end = line.end() + int(line[2])
        assert text[end : end + 2] == b"\r\n"
        messages.append((line[1].decode(), text[line.end() : end]))
        text = text[end + 2 :]
    return messages


def make(max_bytes: int = 10_000, max_payload: int = 1_000_000) -> tuple[Outbox, list[str]]:
    calls: list[str] = []
    outbox = Outbox(max_bytes, wake=lambda: calls.append("wake"), report=lambda kind, _: calls.append(kind))
    outbox.open(max_payload)
    return outbox, calls


SUBJECTS = st.sampled_from(["a", "md.events.trade.BTCUSDT", "md.events.trade.BTC_2FUSD", "é.x"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), SUBJECTS, st.binary(max_size=300)),
        st.tuples(st.just("take"), st.integers(0, 1000)),
        st.tuples(st.just("pop")),
        st.tuples(st.just("settle"), st.integers(0, 2000)),
        st.tuples(st.just("shut")),
        st.tuples(st.just("open")),
    ),
    max_size=80,
)


@given(STEPS)
def test_messages_leave_in_order_unchanged_within_the_bound_and_are_all_accounted_for(steps: list[Any]) -> None:
    outbox, _ = make(max_bytes=3000)
    accepted: list[tuple[str, bytes]] = []
    left: list[tuple[str, bytes]] = []
    refused = 0
    for step in steps:
        match step:
            case "put", subject, payload:
                if outbox.put(subject, payload):
                    accepted.append((subject, payload))
                else:
                    refused += 1
            case "take", max_bytes:
                before = outbox.queued
                text = outbox.take(max_bytes)
                left += read(text)
                assert bool(text) == bool(before and max_bytes)
            case ("pop",) if outbox.queued:
                left.append(outbox.pop())
            case "settle", buffered:
                outbox.settle(buffered)
            case ("shut",):
                outbox.shut()
            case ("open",):
                outbox.open(1_000_000)
            case _:
                pass
        waiting = accepted[len(left) :]
        assert outbox.queued == len(waiting)
        assert outbox.queued_bytes == sum(len(payload) + OVERHEAD for _, payload in waiting) <= 3000
    assert left == accepted[: len(left)]
    assert (outbox.published, outbox.refused) == (len(left), refused)
    outbox.discard()
    assert outbox.published + outbox.lost == len(accepted)


@given(st.text())
def test_any_subject_is_refused_or_reads_back_as_one_message(subject: str) -> None:
    outbox, calls = make()
    if outbox.put(subject, b"payload"):
        assert read(outbox.take(10_000)) == [(subject, b"payload")]
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
    assert read(outbox.take(10_000))[0] == ("s.0", b"")
