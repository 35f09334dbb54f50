"""What was published to a stream and is not acknowledged yet: bounded, in order, sent again until it is.

Pure: it reads no clock and opens nothing. A message is put in only while the window is open:

    shut      not connected, or nobody knows whether the stream is there: nothing is sent
    open      messages are sent as they come, many at a time before the first acknowledgement
    holding   one failed or was not answered in time: nothing is sent but the oldest, again, with growing pauses, until
              that is acknowledged. So younger messages do not overtake older ones of their subject.

When it opens, everything unacknowledged is sent again, oldest first. The stream knows by the id of a message that it
has it already.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from nats_link.backoff import Backoff
from nats_link.frame import acked_frame, read_frame
from nats_link.headers import parse, status
from nats_link.jetstream.refusal import FOR_GOOD, Refusal, read_refusal
from nats_link.jetstream.states import TRANSITIONS, Sign, State
from nats_link.requests import NO_RESPONDERS

HOLD_FIRST_S: Final = 0.1
HOLD_MAX_S: Final = 2.0
LATENCIES: Final = 256
MESSAGE_ID: Final = "Nats-Msg-Id"

_STORED: Final = b'{"stream"'
_DUPLICATE: Final = b'"duplicate"'


class AckWindow:
    """At every moment `published = acked + rejected + pending`."""

    def __init__(
        self,
        inbox: str,
        *,
        send: Callable[[bytes, bool], bool],
        withdraw: Callable[[], None],
        on_writable: Callable[[], None],
        on_empty: Callable[[], None],
        clock: Callable[[], float],
        max_messages: int,
        max_bytes: int,
        ack_timeout_s: float,
    ) -> None:
        """Make a shut window.

        Args:
            inbox: where the acknowledgements come: `<inbox>.<number>`.
            send: hands one frame over; the second argument says that it is sent again. False: no room now.
            withdraw: takes back what was handed over and has not left this process.
            on_writable: called when `put` is worth a try again.
            on_empty: called when the last message was acknowledged.
            clock: in seconds, for measuring the latency of one message at a time.
            max_messages: bound of the window.
            max_bytes: bound of the window.
            ack_timeout_s: time without an answer after which a message counts as failed.
        """
        self.state = State.SHUT
        self.trouble: str | None = None  # why it holds, in words
        self.pending_bytes = 0
        self.published = 0
        self.acked = 0
        self.resent = 0
        self.duplicates = 0  # acknowledged as already there
        self.suppressed = 0  # of these, the ones that were sent once: somebody published the same id before
        self.refused = 0  # not taken into the window, for want of room or because it is not open
        self.impossible = 0  # not taken: no server would ever take them
        self.rejected = 0  # refused by the stream for good
        self.rejection: str | None = None  # the last of these, in words
        self.timeouts = 0
        self.refusals: Counter[int] = Counter()  # by JetStream's error number
        self.latencies_s: deque[float] = deque(maxlen=LATENCIES)  # of one message at a time
        self._inbox = inbox.encode()
        self._send = send
        self._withdraw = withdraw
        self._on_writable = on_writable
        self._on_empty = on_empty
        self._clock = clock
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._ack_timeout_s = ack_timeout_s
        self._frames: dict[int, bytes] = {}  # by number, oldest first
        self._number = 0
        self._resent_to = 0
        self._max_payload = 0
        self._limit = -1  # bytes; below zero nothing is accepted
        self._wanted = False  # somebody was refused
        self._marks: deque[tuple[float, int]] = deque()  # (time, last number sent then), oldest first
        self._measured = 0
        self._measured_since_s = 0.0
        self._backoff = Backoff(HOLD_FIRST_S, HOLD_MAX_S)
        self._probe = 0  # the number sent again while holding; 0: none is on its way
        self._due_s = 0.0  # when to send the oldest again, or to give up waiting for it

    @property
    def is_open(self) -> bool:
        return self.state is State.OPEN

    @property
    def pending(self) -> int:
        """Messages not acknowledged yet."""
        return len(self._frames)

    @property
    def settled(self) -> int:
        """How many messages, from the first one on, are all acknowledged or rejected."""
        return next(iter(self._frames)) - 1 if self._frames else self._number

    def frames(self) -> list[bytes]:
        """What is not acknowledged, oldest first."""
        return list(self._frames.values())

    def put(self, subject: bytes, message_id: bytes, payload: bytes) -> bool:
        """Send one message and keep it until it is acknowledged; or refuse, and count it. Never raises."""
        if self.pending_bytes + len(payload) > self._limit or len(self._frames) >= self._max_messages:
            self.refused += 1
            self._wanted = True
            return False
        if len(payload) + len(message_id) > self._max_payload:
            self.impossible += 1
            return False
        number = self._number + 1
        frame = acked_frame(subject, b"%b.%d" % (self._inbox, number), message_id, payload)
        if not self._send(frame, False):
            self.refused += 1
            return False
        self._number = number
        self._frames[number] = frame
        self.pending_bytes += len(frame)
        self.published += 1
        if not self._measured:
            self._measured = number
            self._measured_since_s = self._clock()
        return True

    def take(self, subject: str, _: str, headers: bytes, payload: bytes) -> None:
        """Take one acknowledgement, or whatever came instead of it."""
        number = int(subject[len(self._inbox) + 1 :])
        if payload.startswith(_STORED):
            if _DUPLICATE in payload:
                self._note_duplicate(number)
            self._done(number)
        elif status(headers) == NO_RESPONDERS:
            self.cut("no stream takes the messages: it is gone, or has no leader now")
        else:
            self._take_refusal(number, read_refusal(payload))

    def open(self, now_s: float, max_payload: int) -> None:
        """The stream is there: send again what is not acknowledged, then take new messages of at most `max_payload`."""
        self._max_payload = min(max_payload, self._max_bytes // 2)
        self._move(Sign.READY, now_s)

    def cut(self, why: str | None = None) -> None:
        """The connection, or the stream, is gone; what is not acknowledged stays."""
        self.trouble = why
        self._move(Sign.CUT, 0.0)

    def subjects(self) -> list[str]:
        """The subjects of what is not acknowledged."""
        return list(dict.fromkeys(read_frame(frame).subject for frame in self._frames.values()))

    def note_last(self, subject: str, message_id: str) -> None:
        """The newest message of a subject in the stream has this id: if it is one of ours, the older ones are there
        as well, because each subject is stored in order. Tell this only while shut.
        """
        found = []
        for number, frame in self._frames.items():
            message = read_frame(frame)
            if message.subject == subject:
                found.append(number)
                if parse(message.headers)[MESSAGE_ID] == message_id:
                    break
        else:
            return
        for number in found:
            self.duplicates += 1
            self._done(number)

    def on_time(self, now_s: float) -> None:
        """Look after what is late; called a few times a second."""
        if self.state is State.OPEN:
            self._look_for_late(now_s)
        elif self.state is State.HOLDING and now_s >= self._due_s:
            if self._probe:
                self.timeouts += 1
                self._fail("the stream does not answer", now_s)
            else:
                self._probe, frame = next(iter(self._frames.items()))
                self._due_s = now_s + self._ack_timeout_s
                self.resent += 1
                self._resent_to = self._number
                self._send(frame, True)

    def _look_for_late(self, now_s: float) -> None:
        marks = self._marks
        marks.append((now_s, self._number))
        late = 0
        while marks and now_s - marks[0][0] >= self._ack_timeout_s:
            late = marks.popleft()[1]
        if self._frames and next(iter(self._frames)) <= late:
            self.timeouts += 1
            self._fail(f"the stream has not answered for {self._ack_timeout_s:g} s", now_s)

    def _done(self, number: int) -> None:
        frame = self._frames.pop(number, None)
        if frame is None:
            return  # it was sent twice
        self.acked += 1
        self.pending_bytes -= len(frame)
        if number >= self._measured > 0:
            if number == self._measured:
                self.latencies_s.append(self._clock() - self._measured_since_s)
            self._measured = 0
        self._settled(number)

    def _settled(self, number: int) -> None:
        if self.state is State.HOLDING and (number == self._probe or not self._frames):
            self._move(Sign.PASSED, self._clock())
        if not self._frames:
            self._on_empty()
        if (
            self._wanted
            and self.state is State.OPEN
            and self.pending_bytes <= self._max_bytes // 2
            and len(self._frames) <= self._max_messages // 2
        ):
            self._wanted = False
            self._on_writable()

    def _note_duplicate(self, number: int) -> None:
        if number in self._frames:
            self.duplicates += 1
            if number > self._resent_to:
                self.suppressed += 1

    def _take_refusal(self, number: int, refusal: Refusal) -> None:
        self.refusals[refusal.err_code] += 1
        if number not in self._frames:
            return
        if refusal.err_code in FOR_GOOD:
            self.rejected += 1
            self.pending_bytes -= len(self._frames.pop(number))
            self.rejection = refusal.text
            self._settled(number)
        elif self.state is State.OPEN or number == self._probe:
            self._fail(refusal.text, self._clock())

    def _fail(self, why: str, now_s: float) -> None:
        self.trouble = why
        self._probe = 0
        self._due_s = now_s + self._backoff.next_s(1.0)
        self._move(Sign.FAILED, now_s)

    def _move(self, sign: Sign, now_s: float) -> None:
        state = TRANSITIONS.get((self.state, sign))
        if state is None:
            return
        self.state = state
        self._measured = self._probe = 0
        self._marks.clear()
        if state is State.OPEN:
            self.trouble = None
            self._backoff.reset()
            self._limit = self._max_bytes
            self._send_again(now_s)
            self._wanted = False
            self._on_writable()
        else:
            self._limit = -1
            self._withdraw()

    def _send_again(self, now_s: float) -> None:
        self.resent += len(self._frames)
        self._resent_to = self._number
        for frame in self._frames.values():
            self._send(frame, True)
        self._marks.append((now_s, self._number))
