"""JetStream mode of the recorder: its part of the stream, each message in order, acknowledged once it is in the store.

The durable consumer knows the last acknowledged message. What was given out after that and did not come here, because
the process was killed or the connection cut, would be given out again late, behind younger messages. So the consumer is
made anew there: all of it comes again in order, and what this run had taken already is passed over by its number.
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
    is_same_stream,
    make_durable,
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
        self._wanted = lru_cache(SUBJECTS_KEPT)(lambda subject: any(covers(each, subject) for each in subjects))
        self._held: tuple[str, ...] = stream.subjects
        self._taken: int | None = None  # number of the last message; None: where to begin is not known yet
        self._taken_ns = 0  # when that was stored
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._why = ""
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
            self._broken.clear()
            try:
                await self._begin()
                began = True
                while not await self._is_broken():
                    if await find_durable(self._link, self._durable) is None:
                        self._on_irregular("the consumer was deleted")
            except (StreamError, ApiError, RequestError, BadStampError) as error:
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
        """Acknowledge what has come home."""
        subject = self._flight.due(self._home(self._intake.put))
        if subject and self._link.post(subject, ACK):
            self._flight.acknowledged()

    def stop(self) -> None:
        """Take nothing more; what was taken is still acknowledged."""
        self._stopped = True
        self._live.stop()
        self._broken.set()

    def holds(self, subject: str) -> bool:
        """Whether the stream has everything that goes on `subject`, which may hold wildcards."""
        return any(covers(each, subject) for each in self._held)

    def counts(self) -> dict[str, Any]:
        """For the log."""
        return {
            "behind": self._live.pending,
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
        taken = self._taken or 0
        if seq <= taken:
            self.repeated += 1
            return
        if seq != taken + 1:
            self._intake.was_discarded(taken + 1, seq - 1, ts_ns)
        self._taken, self._taken_ns = seq, ts_ns
        if self._wanted(subject):
            self._intake.on_stored(subject, payload, ts_ns)
        else:
            self.others += 1

    def _note(self, reply: str) -> None:
        self._flight.note(self._intake.put, reply)

    async def _begin(self) -> None:
        """Find out where to go on, and begin there."""
        link, name = self._link, self._stream.name
        report = await ensure_stream(link, self._stream)
        self._held = tuple(report.config.get("subjects") or ())
        state = await stream_state(link, name)
        found = await find_durable(link, self._durable)
        if not self._taken_ns:  # nothing was taken in this run: the consumer alone knows where the last one ended
            self._taken = found.floor if found is not None and found.floor <= state.last_seq else None
        elif not await is_same_stream(link, name, state, self._taken or 0, self._taken_ns):
            log.warning("the stream was made anew", stream=name, next="all that it holds is read")
            self._taken, self._taken_ns = None, 0
        durable = await self._at(found, state)
        if not self._stopped:
            self._live.begin(durable)
            log.info("reading the stream", stream=name, consumer=self._durable.name, behind=durable.pending)

    async def _at(self, found: Durable | None, state: StreamState) -> Durable:
        """The consumer, ready to give out the message after the last one taken, or earlier ones.

        Where nobody knows how far it was read, all that the stream holds is read: what was recorded is found there.
        """
        if found is not None and found.delivered == self._taken:
            return found
        start = max(1, state.first_seq)
        if found is not None:
            await remove_consumer(self._link, self._stream.name, self._durable.name)
            if self._taken is not None:
                start = found.floor + 1
        if self._taken is None:
            self._taken = start - 1
        self._live.disconnected()
        self._flight.forget()
        return await make_durable(self._link, self._durable, start)

    async def _is_broken(self) -> bool:
        """Wait for a disturbance, for a while."""
        try:
            async with asyncio.timeout(LOOK_EVERY_S):
                await self._broken.wait()
        except TimeoutError:
            return False
        return True

    def _on_state(self, connected: bool) -> None:
        if connected:
            self._connected.set()
        else:
            self._connected.clear()
            self._live.disconnected()
            self._broken.set()

    def _on_irregular(self, why: str) -> None:
        self._live.stop()
        self._broken.set()
        if self._live.stolen_times > 1:
            why += "; another process may read with this consumer: give each a --durable of its own"
        self._say(why)

    def _say(self, why: str) -> None:
        """To the log: the same thing at most once a minute."""
        now = time.monotonic()
        if why != self._why or now - self._said >= SAY_EVERY_S:
            self._why, self._said = why, now
            log.warning("waiting for JetStream", why=why, next="trying again by itself")
