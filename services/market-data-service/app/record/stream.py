"""JetStream mode of the recorder: its part of the stream, each message in order, acknowledged once it is in the store.

The durable consumer knows the last acknowledged message. What was given out after that and did not come here, because
the process was killed or the connection cut, would be given out again late, behind younger messages. So the consumer is
made anew there: all of it comes again in order, and what this run had taken already is passed over by its number.
From then on this run knows better than the consumer how far it is, and makes it anew at the oldest message that is not
home, whatever became of the consumer: deleted, or moved on by another process that reads with it.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import structlog

from app.record.flight import Flight
from app.record.intake import Intake
from nats_link import Link, RequestError
from nats_link.jetstream import ApiError, StreamError, StreamOptions, ensure_stream
from nats_link.jetstream.consumers import (
    Durable,
    DurableOptions,
    StreamState,
    find_durable,
    make_durable,
    message_time,
    next_message,
    remove_consumer,
    stream_state,
)
from nats_link.jetstream.live import Live
from nats_link.jetstream.pull import ACK
from nats_link.jetstream.stamp import BadStampError
from nats_link.jetstream.stream import covers

MOST: Final = 4_000  # messages asked for, or taken and not home: some batches of the writer
ACK_WAIT_S: Final = 60.0  # longer than a pull is open (30 s), see `room`
RETRY_S: Final = 0.5
LOOK_EVERY_S: Final = 5.0
TEND_EVERY_S: Final = 0.02  # so long a message is home and not acknowledged
SECOND_S: Final = 1.0
SAY_EVERY_S: Final = 60.0
SUBJECTS_KEPT: Final = 50_000

log: Final = structlog.get_logger("app")


class _OtherReaderError(Exception):
    """The consumer that was just made has been read from by somebody else."""


class StreamReader:
    """Feeds the intake from the stream; `run` is its life."""

    def __init__(
        self,
        link: Link,
        intake: Intake,
        stream: StreamOptions,
        durable: str,
        subjects: Sequence[str],
        *,
        capacity: int,
        home: Callable[[int], int],
        may_pull: Callable[[], bool],
    ) -> None:
        """To be made before the link runs.

        Args:
            link: with `LinkOptions(replies=True)`.
            intake: gets the messages.
            stream: how the stream is made when there is none.
            durable: name of the consumer.
            subjects: what is wanted of the stream.
            capacity: messages in memory, of which half may be those of the stream.
            home: how many of all that was put into the buffer are home.
            may_pull: False while the store takes nothing, or what is on disk has to go first.
        """
        self.most = min(MOST, capacity // 2)
        self.repeated = 0  # deliveries of messages that had been taken
        self.others = 0  # messages of the stream that nobody asked to record
        self._link = link
        self._intake = intake
        self._stream = stream
        self._durable = DurableOptions(durable, stream.name, 2 * self.most, ACK_WAIT_S, "--durable")
        self._home = home
        self._may_pull = may_pull
        self._flight = Flight()
        self._live = Live(link, self, self._note, stream=stream.name, durable=durable, on_irregular=self._on_irregular)
        self._subjects = tuple(subjects)
        self._wanted = lru_cache(SUBJECTS_KEPT)(lambda subject: any(covers(each, subject) for each in subjects))
        self._held: tuple[str, ...] = stream.subjects
        self._made = ""  # when the stream was; empty: it has not been seen yet
        self._first_seq = 0  # that the stream had at least, when we began
        self._consumer_made = ""
        self._taken: int | None = None  # number of the last message; None: where to begin is not known yet
        self._taken_ns = 0  # when that was stored; 0: it was taken by an earlier run
        self._given = 0  # number of the last delivery
        self._trusted = False  # the consumer gives out what follows on what was taken, without leaving out any
        self._doubts: list[tuple[int, int, int]] = []  # numbers left out that the stream may have
        self._before = (0, 0)  # what was taken, and when it was stored, before those
        self._connected = asyncio.Event()
        self._woken = asyncio.Event()
        self._broken = False
        self._why = ""
        self._is_warned = False
        self._is_plain = False
        self._said = -SAY_EVERY_S
        self._stopped = False
        link.listen(self._on_state)

    async def run(self) -> None:
        """Read until `stop`.

        Raises:
            StreamError: at the start, when JetStream cannot be used; the text says what to do.
        """
        began = False
        while not self._stopped:
            await self._connected.wait()
            self._broken = False
            self._woken.clear()
            try:
                reads = await self._begin()
                began = True
                while not await self._is_broken() and reads:
                    await self._look()
            except (StreamError, ApiError, RequestError, BadStampError, _OtherReaderError) as error:
                if isinstance(error, StreamError) and not began:
                    raise
                self._live.stop()
                self._say(str(error))
            await asyncio.sleep(RETRY_S)

    async def tend(self) -> None:
        """Acknowledge what has come home, and ask for more, for ever."""
        second = time.monotonic()
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            self.acknowledge()
            self._live.refill()
            if time.monotonic() - second >= SECOND_S:
                second = time.monotonic()
                self._live.look()

    def acknowledge(self) -> None:
        """Acknowledge what has come home; nothing while it is in doubt whether some before it was left out."""
        if self._doubts:
            return
        subject = self._flight.due(self._home(self._intake.put))
        if subject and self._link.post(subject, ACK):
            self._flight.acknowledged()

    def stop(self) -> None:
        """Take nothing more; what was taken is still acknowledged."""
        self._stopped = True
        self._live.stop()
        self._break()

    def holds(self, subject: str) -> bool:
        """Whether the stream has everything that goes on `subject`, which may hold wildcards."""
        return any(covers(each, subject) for each in self._held)

    def counts(self) -> dict[str, Any]:
        """For the log; `behind` is what is in the stream and not in the store, as far as the server has told."""
        return {
            "behind": self._live.pending + len(self._flight),
            "repeated": self.repeated,
            "discarded": self._intake.discarded,
            "unacknowledged": len(self._flight),
        }

    @property
    def room(self) -> int:
        """Messages that may come.

        None while the store takes none: then the pulls that are open run out before the server gives out again what
        it has waited for too long, and the stream keeps everything.
        """
        return self.most - len(self._flight) if self._may_pull() else 0

    def take(self, subject: str, seq: int, ts_ns: int, payload: bytes, _newest: bool) -> None:
        """The next message of the stream."""
        self._given = seq
        taken = self._taken or 0
        if seq > taken + 1:
            self._skip(taken + 1, seq - 1, ts_ns)
        else:
            self._trusted = True
        if seq <= taken:
            self.repeated += 1
            return
        self._taken, self._taken_ns = seq, ts_ns
        if self._wanted(subject):
            self._intake.on_stored(subject, payload, ts_ns)
        else:
            self.others += 1

    def _skip(self, first: int, last: int, ts_ns: int) -> None:
        """These were not given out: the stream has deleted them, or the consumer is not where we left it."""
        if self._trusted or last < self._first_seq:
            self._intake.was_discarded(first, last, ts_ns)
            return
        if not self._doubts:
            self._before = (first - 1, self._taken_ns)
        self._doubts.append((first, last, ts_ns))
        self._woken.set()

    def _note(self, reply: str) -> None:
        self._flight.note(self._given, self._intake.put, reply)

    async def _begin(self) -> bool:
        """Find out where to go on, and begin there; False when the stream holds nothing that is wanted."""
        link, name = self._link, self._stream.name
        report = await ensure_stream(link, self._stream)
        self._held = tuple(report.config.get("subjects") or ())
        if not self._holds_any():
            return False
        state = await stream_state(link, name)
        if await self._is_anew(state):
            self._forget_stream(state)
        await self._settle()
        self._made, self._first_seq = state.made, state.first_seq
        found = await find_durable(link, self._durable)
        self._look_for_others(found)
        if self._taken is None and found is not None and found.floor <= state.last_seq:
            self._taken = found.floor  # the consumer alone knows where the last run ended
        durable = await self._at(found, state)
        if not self._stopped:
            self._consumer_made, self._trusted = durable.made, False
            self._given, self._live.pending = durable.delivered, durable.pending
            self._live.begin(durable)
            log.info("reading the stream", stream=name, consumer=self._durable.name, behind=durable.pending)
        return True

    def _holds_any(self) -> bool:
        plain = not any(self.holds(subject) for subject in self._subjects)
        if plain and not self._is_plain:
            holds = ",".join(self._held)
            log.info(
                "nothing wanted is in the stream", stream=self._stream.name, holds=holds, next="all is heard plainly"
            )
        self._is_plain = plain
        return not plain

    async def _is_anew(self, state: StreamState) -> bool:
        """Whether the numbers mean other messages than they did."""
        if not self._made:
            return False
        if state.made != self._made or state.last_seq < (self._taken or 0):
            return True
        if not self._taken_ns:
            return False
        return await message_time(self._link, self._stream.name, self._taken or 0) not in (None, self._taken_ns)

    def _forget_stream(self, state: StreamState) -> None:
        """Name what went with the stream that is gone, and begin at the first message of the one there is."""
        unread = self._live.pending
        log.warning(
            "the stream was made anew",
            stream=self._stream.name,
            deleted_unread=f"at least {unread}",
            next="all that it holds is read; what was not read of the old one is a row in the table gap",
        )
        self._intake.was_deleted(self._doubts[0][0] if self._doubts else (self._taken or 0) + 1, unread)
        self._flight.forget(after=0)
        self._taken, self._taken_ns, self._live.pending = max(1, state.first_seq) - 1, 0, 0
        self._doubts.clear()

    async def _at(self, found: Durable | None, state: StreamState) -> Durable:
        """The consumer, ready to give out the message after the last one taken, or earlier ones.

        Where nobody knows how far it was read, all that the stream holds is read: what was recorded is found there.
        """
        if found is not None and found.delivered == self._taken and self._consumer_made in ("", found.made):
            return found
        if self._taken is None:
            self._taken = max(1, state.first_seq) - 1
        self._live.disconnected()
        self._flight.forget()
        start = self._flight.oldest or self._taken + 1
        if found is not None:
            await remove_consumer(self._link, self._stream.name, self._durable.name)
        durable = await make_durable(self._link, self._durable, start)
        if durable.delivered_consumer_seq:
            self._warn_of_others()
            raise _OtherReaderError("another process has read from the consumer as soon as it was made")
        return durable

    async def _look(self) -> None:
        """Ask the server how we stand."""
        if not await self._settle():
            self._on_irregular("the consumer left out messages that the stream has")
            return
        found = await find_durable(self._link, self._durable)
        if found is None:
            self._on_irregular("the consumer was deleted")
        elif found.made != self._consumer_made:
            self._look_for_others(found)
            self._on_irregular("the consumer was made anew by another process")
        else:
            self._live.pending = found.pending

    async def _settle(self) -> bool:
        """Find out whether the stream has what was left out; False when it has: then we are back before that."""
        if not self._doubts:
            return True
        first, last, _ = self._doubts[0]
        there = await next_message(self._link, self._stream.name, first)
        doubts, self._doubts = self._doubts, []
        if there is None or there > last:
            self._trusted = True
            for doubt in doubts:
                self._intake.was_discarded(*doubt)
            return True
        self._taken, self._taken_ns = self._before
        self._flight.forget(after=self._taken)
        self._warn_of_others()
        return False

    async def _is_broken(self) -> bool:
        """Wait for a disturbance, for a while."""
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return self._broken

    def _break(self) -> None:
        self._broken = True
        self._woken.set()

    def _on_state(self, connected: bool) -> None:
        if connected:
            self._connected.set()
        else:
            self._connected.clear()
            self._live.disconnected()
            self._break()

    def _on_irregular(self, why: str) -> None:
        self._live.stop()
        self._break()
        if self._live.stolen_times > 1:
            self._warn_of_others()
        self._say(why)

    def _look_for_others(self, found: Durable | None) -> None:
        """Whether the consumer is one that another process has made, or pulls from before we do."""
        if found is not None and (found.made != self._consumer_made if self._consumer_made else found.waiting):
            self._warn_of_others()

    def _warn_of_others(self) -> None:
        if not self._is_warned:
            self._is_warned = True
            log.warning(
                "another process reads with this consumer",
                consumer=self._durable.name,
                next="give each a --durable of its own; until then each reads again what the other was given",
            )

    def _say(self, why: str) -> None:
        """To the log: the same thing at most once a minute."""
        now = time.monotonic()
        if why != self._why or now - self._said >= SAY_EVERY_S:
            self._why, self._said = why, now
            log.warning("waiting for JetStream", why=why, next="trying again by itself")
