"""JetStream mode of the recorder: its part of the stream, each message in order, acknowledged once it is in the store.

The durable consumer knows the last acknowledged message. What was given out after that and did not come here, because
the process was killed or the connection cut, would be given out again late, behind younger messages. So the consumer is
made anew there: all of it comes again in order, and what this run had taken already is passed over by its number.
From then on this run knows better than the consumer how far it is (`Place`), and makes it anew at the oldest message
that is not home, whatever became of the consumer: deleted, or moved on by somebody who reads with it. Another recorder
is not among those: whoever reads holds the consumer's lock, and who cannot have it ends.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from app.record.intake import Intake
from app.record.notices import Notices
from app.record.place import Place
from nats_link import Link, RequestError
from nats_link.frame import plain_frame
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
from nats_link.jetstream.lock import ConsumerLock, HeldError
from nats_link.jetstream.pull import ACK
from nats_link.jetstream.stamp import BadStampError
from nats_link.jetstream.stream import covers

MOST: Final = 4_000  # messages asked for, or taken and not home: some batches of the writer
ACK_WAIT_S: Final = 60.0  # longer than a pull is open (30 s), see `room`
RETRY_S: Final = 0.5
LOOK_EVERY_S: Final = 5.0
TEND_EVERY_S: Final = 0.02  # so long a message is home and not acknowledged
SECOND_S: Final = 1.0
SUBJECTS_KEPT: Final = 50_000


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
        self.others = 0  # messages of the stream that nobody asked to record
        self._link = link
        self._intake = intake
        self._stream = stream
        self._durable = DurableOptions(durable, stream.name, 2 * self.most, ACK_WAIT_S, "--durable")
        self._lock = ConsumerLock(link, stream.name, durable, called="--durable", holder=_name())
        self._home = home
        self._may_pull = may_pull
        self._place = Place()
        self._notices = Notices(stream.name, durable)
        self._live = Live(link, self, self._note, stream=stream.name, durable=durable, on_irregular=self._on_irregular)
        self._subjects = tuple(subjects)
        self._wanted = lru_cache(SUBJECTS_KEPT)(lambda subject: any(covers(each, subject) for each in subjects))
        self._held: tuple[str, ...] = stream.subjects
        self._consumer_made = ""
        self._ours = False  # the consumer, on this connection: it may be acknowledged to
        self._connected = asyncio.Event()
        self._woken = asyncio.Event()
        self._broken = False
        self._stopped = False
        link.listen(self._on_state)

    async def run(self) -> None:
        """Read until `stop`.

        Raises:
            StreamError: at the start, when JetStream cannot be used; the text says what to do.
            HeldError: another recorder reads with the consumer; at the start, or because it came while this one was cut
                off from NATS, or stopped, for so long that the server gave it up.
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
            except HeldError:
                if not self._stopped:
                    raise
            except (StreamError, ApiError, RequestError, BadStampError, _OtherReaderError) as error:
                if isinstance(error, StreamError) and not began:
                    raise
                self._live.stop()
                self._notices.waiting(str(error), time.monotonic())
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
        """Acknowledge what has come home, as long as the consumer is ours."""
        if not self._ours:
            return
        subject = self._place.due(self._home(self._intake.put))
        if subject and self._link.put_frame(plain_frame(subject.encode(), ACK)):
            self._place.acknowledged()

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
            "behind": self._live.pending + self._place.unacknowledged,
            "repeated": self._place.repeated,
            "discarded": self._intake.discarded,
            "unacknowledged": self._place.unacknowledged,
        }

    @property
    def room(self) -> int:
        """Messages that may come.

        None while the store takes none: then the pulls that are open run out before the server gives out again what
        it has waited for too long, and the stream keeps everything.
        """
        return self.most - self._place.unacknowledged if self._may_pull() else 0

    def take(self, subject: str, seq: int, ts_ns: int, payload: bytes, _newest: bool) -> None:
        """The next message of the stream."""
        place = self._place
        doubt = place.doubt
        is_new, gone = place.take(seq, ts_ns)
        if gone is not None:
            self._intake.was_discarded(*gone)
        if place.doubt is not doubt:
            self._woken.set()
        if not is_new:
            return
        if self._wanted(subject):
            self._intake.on_stored(subject, payload, ts_ns)
        else:
            self.others += 1

    def _note(self, reply: str) -> None:
        self._place.note(self._intake.put, reply)

    async def _begin(self) -> bool:
        """Find out where to go on, and begin there; False when the stream holds nothing that is wanted."""
        report = await ensure_stream(self._link, self._stream)
        self._held = tuple(report.config.get("subjects") or ())
        is_there = any(self.holds(subject) for subject in self._subjects)
        self._notices.wanted(is_there, self._held)
        if not is_there:
            return False
        await self._lock.acquire()
        state = await stream_state(self._link, self._stream.name)
        if await self._is_anew(state):
            self._forget_stream(state)
        await self._settle()
        found = await find_durable(self._link, self._durable)
        self._look_for_others(found)
        self._place.begin(state.made, state.first_seq, state.last_seq, None if found is None else found.floor)
        durable = await self._at(found)
        if not self._stopped:
            self._consumer_made, self._ours = durable.made, self._connected.is_set()
            self._place.given_up_to(durable.delivered)
            self._live.pending = durable.pending
            self._live.begin(durable)
            self._notices.reading(durable.pending)
        return True

    async def _is_anew(self, state: StreamState) -> bool:
        """Whether the numbers mean other messages than they did."""
        place = self._place
        if place.is_of_other_stream(state.made, state.last_seq):
            return True
        if not place.taken_ns:
            return False
        return await message_time(self._link, self._stream.name, place.taken or 0) not in (None, place.taken_ns)

    def _forget_stream(self, state: StreamState) -> None:
        """Name what went with the stream that is gone, and begin at the first message of the one there is."""
        unread = self._live.pending
        self._notices.stream_made_anew(unread)
        self._intake.was_deleted(self._place.stream_is_gone(state.made, state.first_seq), unread)
        self._live.pending = 0

    async def _at(self, found: Durable | None) -> Durable:
        """The consumer, ready to give out the message after the last one taken, or earlier ones."""
        if found is not None and found.delivered == self._place.taken and self._consumer_made in ("", found.made):
            return found
        self._live.disconnected()
        self._place.consumer_is_gone()
        if found is not None:
            await remove_consumer(self._link, self._stream.name, self._durable.name)
        durable = await make_durable(self._link, self._durable, self._place.start)
        if durable.delivered_consumer_seq:
            self._notices.others()
            raise _OtherReaderError("another process has read from the consumer as soon as it was made")
        return durable

    async def _look(self) -> None:
        """Ask the server how we stand."""
        if not await self._lock.is_ours():
            self._ours = False
            self._on_irregular("another recorder has taken the consumer")
            return
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
        doubt = self._place.doubt
        if doubt is None:
            return True
        gone = self._place.settle(await next_message(self._link, self._stream.name, doubt.first))
        if gone is None:
            self._notices.others()
            return False
        for left_out in gone:
            self._intake.was_discarded(*left_out)
        return True

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
            self._ours = False
            self._link.withdraw_frames()  # acknowledgements: on the next connection the consumer may be another's
            self._live.disconnected()
            self._break()

    def _on_irregular(self, why: str) -> None:
        self._live.stop()
        self._break()
        if self._live.stolen_times > 1:
            self._notices.others()
        self._notices.waiting(why, time.monotonic())

    def _look_for_others(self, found: Durable | None) -> None:
        """Whether the consumer is one that another process has made, or pulls from before we do, without the lock."""
        if found is not None and (found.made != self._consumer_made if self._consumer_made else found.waiting):
            self._notices.others()


def _name() -> str:
    """For the people who look for who holds the lock."""
    return f"the recorder on {socket.gethostname()}, process {os.getpid()}"
