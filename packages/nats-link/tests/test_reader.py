"""The fast parser, against nats-py's own on the same bytes."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from nats_link.reader import FastParser

Seen = list[tuple[Any, ...]]


def text(subject: bytes) -> str:
    return subject.decode("utf-8", "replace")


class Recorder:
    """Stands where nats-py's client stands: notes what its parser calls."""

    def __init__(self) -> None:
        self.seen: Seen = []

    async def _process_msg(self, sid: int, subject: bytes, _: bytes, payload: bytes, header: bytes | None) -> None:
        self.seen.append((sid, text(subject), header or b"", payload))

    async def _process_ping(self) -> None:
        self.seen.append(("PING",))

    async def _process_pong(self) -> None:
        self.seen.append(("PONG",))

    async def _process_err(self, text: str) -> None:
        self.seen.append(("-ERR", text))

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.seen.append(("INFO", info))


def drive(parser: Parser, pieces: list[bytes]) -> None:
    """Run the parser to its end; nothing here ever waits, so that no event loop is needed."""
    for piece in pieces:
        parsing = parser.parse(piece)
        with pytest.raises(StopIteration):
            parsing.send(None)


def fast(recorder: Recorder, *, begun: bytes = b"") -> FastParser:
    def to(sid: int) -> Any:
        return lambda fields, headers, payload: recorder.seen.append((sid, text(fields[1]), headers, payload))

    return FastParser(recorder, {b"1": to(1), b"22": to(22)}, begun)


PAYLOADS = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"\r\n", b"MSG a 1 1\r\nx\r\n", b"PING\r\n", b"x" * 5000])
)
SIDS = st.sampled_from([1, 22, 3])  # 3 is not ours
SUBJECTS = st.sampled_from(["a", "md.events.trade.BTCUSDT", "é.x"])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    subject, sid, payload = draw(SUBJECTS).encode(), draw(SIDS), draw(PAYLOADS)
    reply = draw(st.sampled_from([b"", b"_INBOX.x "]))
    if draw(st.booleans()):
        return b"MSG %b %d %b%d\r\n%b\r\n" % (subject, sid, reply, len(payload), payload)
    header = draw(st.sampled_from([b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\nKey: value\r\n\r\n"]))
    sizes = (len(header), len(header) + len(payload))
    return b"HMSG %b %d %b%d %d\r\n%b%b\r\n" % (subject, sid, reply, *sizes, header, payload)


LINES = st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"-ERR 'no'\r\n", b'INFO {"a":1}\r\n'])


@given(st.lists(st.one_of(messages(), LINES), max_size=12), st.lists(st.integers(0, 6000), max_size=12))
def test_it_reads_the_same_as_nats_py_however_the_bytes_are_cut(parts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(parts)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    theirs, ours, begun = Recorder(), Recorder(), Recorder()
    drive(Parser(theirs), [stream])
    drive(fast(ours), pieces)
    drive(fast(begun, begun=stream[:1]), [stream[1:]] if stream else [])
    assert ours.seen == theirs.seen == begun.seen


def test_single_bytes_are_enough() -> None:
    recorder = Recorder()
    stream = b"MSG a 1 3\r\nabc\r\nPING\r\nMSG b 22 0\r\n\r\n"
    drive(fast(recorder), [stream[at : at + 1] for at in range(len(stream))])
    assert recorder.seen == [(1, "a", b"", b"abc"), ("PING",), (22, "b", b"", b"")]


@pytest.mark.parametrize("junk", [b"MSG a\r\n", b"MSG a 1 x\r\n", b"HMSG a 1\r\n", b"HELLO\r\n", b"x" * 70_000])
def test_junk_is_a_protocol_error(junk: bytes) -> None:
    parser = fast(Recorder())
    with pytest.raises(ProtocolError):
        parser.parse(b"MSG a 1 1\r\nx\r\n" + junk).send(None)


def test_a_subject_that_is_no_text_ends_nothing() -> None:
    recorder = Recorder()
    drive(fast(recorder), [b"MSG \xff\x0b.x 1 1\r\ny\r\n"])
    assert recorder.seen == [(1, "\ufffd\x0b.x", b"", b"y")]


def test_a_reset_forgets_what_was_begun() -> None:
    recorder = Recorder()
    parser = fast(recorder)
    drive(parser, [b"MSG a 1 10\r\nabc"])
    parser.reset()
    drive(parser, [b"MSG b 1 1\r\nx\r\n"])
    assert recorder.seen == [(1, "b", b"", b"x")]
