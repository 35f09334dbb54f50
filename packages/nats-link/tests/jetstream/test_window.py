"""The window of unacknowledged messages, against a stream of a few lines that knows duplicates by their id."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nats_link.frame import read_frame
from nats_link.headers import parse
from nats_link.jetstream.refusal import read_refusal
from nats_link.jetstream.states import TRANSITIONS, Sign, State
from nats_link.jetstream.window import AckWindow

MAX_MESSAGES = 6
MAX_BYTES = 2_000
TIMEOUT_S = 3.0


class World:
    """A window, a wire with its own buffer, and the stream behind it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.buffer: list[bytes] = []  # handed over, not gone yet
        self.wire: list[bytes] = []  # gone, not read by the server yet
        self.stored: dict[str, int] = {}
        self.full = False
        self.calls: list[str] = []
        self.window = AckWindow(
            "_INBOX.x",
            send=self.send,
            withdraw=self.buffer.clear,
            on_writable=lambda: self.calls.append("writable"),
            on_empty=lambda: self.calls.append("empty"),
            clock=lambda: self.now_s,
            max_messages=MAX_MESSAGES,
            max_bytes=MAX_BYTES,
            ack_timeout_s=TIMEOUT_S,
        )
        self.put_in = 0

    def send(self, frame: bytes, again: bool) -> bool:
        if len(self.buffer) >= MAX_MESSAGES and not again:
            return False
        self.buffer.append(frame)
        return True

    def put(self, size: int = 1) -> bool:
        taken = self.window.put(b"s", b"%d" % self.put_in, b"x" * size)
        self.put_in += taken
        return taken

    def flush(self) -> None:
        self.wire += self.buffer
        self.buffer.clear()

    def answer(self, *, lost: bool = False) -> None:
        """The server reads the oldest message of the wire; `lost`: nobody hears what it says."""
        message = read_frame(self.wire.pop(0))
        name = parse(message.headers)["Nats-Msg-Id"]
        if self.full and name not in self.stored:
            error = {"code": 503, "err_code": 10023, "description": "insufficient resources"}
            said = json.dumps({"error": error, "stream": "S", "seq": 0})
        else:
            again = ',"duplicate":true' if name in self.stored else ""
            said = f'{{"stream":"S","seq":{self.stored.setdefault(name, len(self.stored) + 1)}{again}}}'
        if not lost:
            self.window.take(message.reply, "", b"", said.encode())

    def tick(self, seconds: float) -> None:
        self.now_s += seconds
        self.window.on_time(self.now_s)

    def check(self) -> None:
        window = self.window
        assert window.published == self.put_in == window.acked + window.rejected + window.pending
        assert window.pending <= MAX_MESSAGES
        assert window.pending_bytes == sum(map(len, window.frames())) <= MAX_BYTES + 200
        assert window.suppressed <= window.duplicates
        kept = {parse(read_frame(frame).headers)["Nats-Msg-Id"] for frame in window.frames()}
        assert {str(number) for number in range(self.put_in)} <= kept | self.stored.keys(), "nothing is forgotten"
        assert set(range(window.settled)) <= {int(name) for name in self.stored}, "what is settled has been stored"
        assert (window.trouble is None) or window.state is not State.OPEN


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 400)),
        st.just(("flush",)),
        st.tuples(st.just("answer"), st.booleans()),
        st.just(("no responders",)),
        st.just(("vanish",)),
        st.just(("cut",)),
        st.just(("open",)),
        st.tuples(st.just("full"), st.booleans()),
        st.tuples(st.just("tick"), st.sampled_from([0.01, 0.25, 1.0, 4.0])),
    ),
    max_size=60,
)


def do(world: World, step: tuple[Any, ...]) -> None:
    match step:
        case "put", size:
            accepted = world.put(size)
            assert not accepted or world.window.is_open
        case ("flush",):
            world.flush()
        case "answer", lost if world.wire:
            world.answer(lost=lost)
        case ("no responders",) if world.wire:
            world.window.take(read_frame(world.wire.pop(0)).reply, "", b"NATS/1.0 503\r\n\r\n", b"")
        case ("vanish",) if world.wire:
            world.wire.pop(0)
        case ("cut",):
            world.wire.clear()
            world.window.cut()
        case ("open",):
            world.window.open(world.now_s, 1_000)
        case "full", full:
            world.full = full
        case "tick", seconds:
            world.tick(seconds)
        case _:
            pass


@given(STEPS)
def test_whatever_happens_everything_is_stored_once_in_the_end(steps: list[tuple[Any, ...]]) -> None:
    world = World()
    for step in steps:
        do(world, step)
        world.check()
    world.full = False
    for _ in range(100):
        world.window.open(world.now_s, 1_000)
        world.flush()
        while world.wire:
            world.answer()
        world.tick(0.5)
    world.check()
    assert world.window.pending == world.window.pending_bytes == 0
    assert world.window.is_open
    assert set(world.stored) == {str(number) for number in range(world.put_in)}


@given(STEPS)
def test_over_cuts_and_refusals_the_order_is_kept(steps: list[tuple[Any, ...]]) -> None:
    """Connections that die, a stream that refuses from one moment on: then the stream holds no younger one before an
    older one, at any moment."""
    world = World()
    for step in steps:
        if step[0] in ("vanish", "no responders", "full"):
            continue  # these, with messages on their way behind them, are the case that keeps no order
        do(world, step)
        assert list(world.stored) == [str(number) for number in range(len(world.stored))]


def test_holding_sends_the_oldest_alone_with_growing_pauses_then_all_the_others() -> None:
    world = World()
    world.window.open(0.0, 1_000)
    for _ in range(4):
        assert world.put()
    world.flush()
    world.full = True
    for _ in range(4):
        world.answer()
    assert world.window.state is State.HOLDING
    pauses: list[float] = []
    since = world.now_s
    while len(pauses) < 7:
        world.tick(0.01)
        if world.buffer:
            assert [parse(read_frame(frame).headers)["Nats-Msg-Id"] for frame in world.buffer] == ["0"]
            pauses.append(round(world.now_s - since, 2))
            world.flush()
            world.answer()
            since = world.now_s
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0], abs=0.02)
    world.full = False
    while not world.buffer:
        world.tick(0.1)
    world.flush()
    world.answer()
    assert world.window.is_open
    assert [parse(read_frame(frame).headers)["Nats-Msg-Id"] for frame in world.buffer] == ["1", "2", "3"]


def test_what_the_stream_turns_out_to_have_is_not_sent_again() -> None:
    world = World()
    world.window.open(0.0, 1_000)
    for _ in range(4):
        assert world.put()
    world.window.cut()
    assert world.window.subjects() == ["s"]
    world.window.note_last("s", "elsewhere")
    world.window.note_last("other", "2")
    assert world.window.pending == 4
    world.window.note_last("s", "2")
    assert (world.window.pending, world.window.acked, world.window.duplicates) == (1, 3, 3)
    world.window.open(1.0, 1_000)
    assert [parse(read_frame(frame).headers)["Nats-Msg-Id"] for frame in world.buffer] == ["3"]


def test_an_answer_that_is_none_is_a_failure_with_its_text() -> None:
    world = World()
    world.window.open(0.0, 1_000)
    assert world.put()
    world.window.take("_INBOX.x.1", "", b"", b"hello")
    assert world.window.state is State.HOLDING
    assert "gave an answer that is none: b'hello'" in str(world.window.trouble)


def test_an_acknowledgement_that_comes_twice_counts_once() -> None:
    world = World()
    world.window.open(0.0, 1_000)
    assert world.put()
    for _ in range(2):
        world.window.take("_INBOX.x.1", "", b"", b'{"stream":"S","seq":1}')
    assert (world.window.acked, world.window.pending) == (1, 0)


def test_a_message_larger_than_the_server_takes_is_impossible_not_refused() -> None:
    world = World()
    world.window.open(0.0, 1_000)
    assert not world.put(1_000)
    assert (world.window.impossible, world.window.refused) == (1, 0)
    assert world.put(900)


def test_every_transition_leads_on_and_nothing_opens_but_what_is_ready_or_passed() -> None:
    for (state, sign), to in TRANSITIONS.items():
        assert to is not state
        assert (to is State.OPEN) == (sign in (Sign.READY, Sign.PASSED))


@pytest.mark.parametrize(
    ("payload", "err_code", "words"),
    [
        (b'{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}', 10023, "make room"),
        (b'{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}', 10077, "discard policy"),
        (b'{"error":{"code":400,"err_code":10054,"description":"too large"}}', 10054, "too large"),
        (b"[]", 0, "none"),
        (b'{"error":1}', 0, "none"),
        (b"\xff", 0, "none"),
    ],
)
def test_a_refusal_is_read(payload: bytes, err_code: int, words: str) -> None:
    refusal = read_refusal(payload)
    assert refusal.err_code == err_code
    assert words in refusal.text
