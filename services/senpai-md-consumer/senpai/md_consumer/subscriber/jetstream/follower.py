"""The reader of the stream: finds where to begin, reads again what fills the windows, then follows.

    waiting    not connected, or the stream or the consumer cannot be had
    warming    the past is read again in silence, then what an earlier run was given and did not finish
    live       messages of the durable consumer, as they come
    stopped

Whatever is irregular (the connection, the consumer or the stream is gone, a leader changed, a delivery is missing)
leads back to `waiting`, and from there on the same way: what was given out and has not come is read again, so that
nothing is missing and nothing is taken twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import structlog

from md_contract.events import EVENT_TYPES
from md_contract.subjects import EVENTS
from md_contract.units import NS_PER_S
from nats_link import Link, RequestError
from nats_link.jetstream import ApiError, StreamError, StreamOptions
from nats_link.jetstream.consumers import Durable, DurableOptions, find_durable, make_durable, remove_consumer
from nats_link.jetstream.live import Live
from nats_link.jetstream.pull import ACK
from nats_link.jetstream.seeds import Seeds
from nats_link.jetstream.stamp import BadStampError
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.subscriber.jetstream.acks import Acks
from senpai.md_consumer.subscriber.jetstream.intake import StreamIntake
from senpai.md_consumer.subscriber.jetstream.plan import Plan, spans
from senpai.md_consumer.subscriber.jetstream.replay import Irregular, Replay
from senpai.md_consumer.subscriber.jetstream.survey import Found, Survey

RETRY_S: Final = 0.5
LOOK_EVERY_S: Final = 5.0
TELL_EVERY_NS: Final = 60 * NS_PER_S
SEEDS_TIMEOUT_S: Final = 5.0

log = structlog.get_logger(__name__)


class Phase(StrEnum):
    WAITING = "waiting"
    WARMING = "warming"
    LIVE = "live"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class FollowerOptions:
    stream: StreamOptions
    durable: DurableOptions
    window_s: float


class Follower:
    """Owns the way from the stream to the subscriber; `run` is its life."""

    def __init__(
        self,
        options: FollowerOptions,
        link: Link,
        intake: StreamIntake,
        queue: EventQueue,
        *,
        may_ack: Callable[[], bool],
        call_later: Callable[[float, Callable[[], None]], Any],
        mono_ns: Callable[[], int],
        wall_ns: Callable[[], int],
    ) -> None:
        """To be made before the link runs. `may_ack()`: everything that came of what was worked off is on its way."""
        self.phase = Phase.WAITING
        self.irregular = 0  # how often the way was begun anew
        self.others = 0  # open pulls of somebody else on our consumer, as last seen
        self.why = "the stream has not been looked at yet"
        self._options = options
        self._link = link
        self._intake = intake
        self._queue = queue
        self._may_ack = may_ack
        self._mono_ns = mono_ns
        self._wall_ns = wall_ns
        self._spans = spans(options.window_s)
        stream, durable = options.durable.stream, options.durable.name
        self.acks = Acks(self._ack, call_later=call_later)
        self._survey = Survey(link, intake, options.stream, options.durable)
        self._seeds = Seeds(link, stream)
        self.replay = Replay(link, intake, stream, durable)
        self.live = Live(link, intake, self._note, stream=stream, durable=durable, on_irregular=self._on_irregular)
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._was_live = False
        self._warned = False
        self._told_ns: int | None = None  # when the log last heard of a new beginning
        self._untold = 0
        link.listen(self._on_state)

    async def run(self) -> None:
        """Follow until `stop`.

        Raises:
            StreamError: at the start, when JetStream cannot be used; the text says what to do.
        """
        while self.phase is not Phase.STOPPED:
            await self._connected.wait()
            self._broken.clear()
            try:
                await self._follow()
            except StreamError as error:
                if not self._was_live:
                    raise
                self._wait_because(str(error))
            except (Irregular, RequestError, ApiError, BadStampError) as error:
                self._wait_because(str(error))
            await asyncio.sleep(RETRY_S)

    def stop(self) -> None:
        """Take nothing more; what is queued is still worked off and acknowledged."""
        self.phase = Phase.STOPPED
        self.live.stop()
        self.replay.interrupt("stopped")
        self._broken.set()

    def on_worked_off(self, urgent: bool) -> None:
        """A batch has left the queue; `urgent` when a signal went out with it."""
        self.acks.worked_off(self._queue.taken, at_once=urgent)
        self.live.refill()
        self.replay.refill()

    def on_second(self) -> None:
        """Call it about once a second."""
        self.acks.worked_off(self._queue.taken, at_once=False)
        self.live.look()

    def reasons(self) -> list[str]:
        """Why what is published is not what it should be; empty when all is well."""
        if self.phase is Phase.WARMING:
            span_s = self._spans.warm_ns / NS_PER_S
            return [f"warming up: {self.replay.progress:.0%} of the last {span_s:g} s of the stream read again"]
        if self.phase is Phase.WAITING and self._connected.is_set():
            return [f"JetStream: {self.why}; trying again by itself"]
        return []

    def stats(self) -> dict[str, Any]:
        """Counters for /stats."""
        intake, live = self._intake, self.live
        return {
            "phase": self.phase,
            "consumer": self._options.durable.name,
            "progress": round(self.replay.progress, 3),
            "stream_seq": intake.taken,
            "pending": live.pending,
            "asked_for": live.open,
            "replayed": intake.replayed,
            "passed_over": intake.passed_over,
            "repeated": intake.repeated,
            "redelivered": live.redelivered,
            "deleted_unread": intake.lost,
            "elsewhere": live.stolen,
            "begun_anew": self.irregular,
            "acks": self.acks.sent,
        }

    @property
    def caught_up(self) -> bool:
        """Nothing of the stream waits for us, so time passes by our own clock."""
        return self.phase is Phase.LIVE and not self._queue and not self.live.pending

    async def _follow(self) -> None:
        found = await self._survey.look()
        asked_ns = self._mono_ns()
        server_ns = found.stream.server_ns or self._wall_ns()
        self._intake.clock.observe(server_ns, asked_ns)
        self._count_others(found.durable.waiting)
        plan = await self._survey.plan(found, self._spans, server_ns)
        self.phase = Phase.WARMING
        durable = await self._catch_up(plan, found)
        if self.phase is Phase.STOPPED:
            return
        self.live.begin(durable)
        if self.live.running:
            self.phase, self._was_live = Phase.LIVE, True
        while not self._broken.is_set():
            await self._wait_or_broken(LOOK_EVERY_S)
            if not self._broken.is_set():
                await self._look_again()

    async def _catch_up(self, plan: Plan, found: Found) -> Durable:
        """Read again what the plan says; return where the durable consumer stands then."""
        intake, options, started_ns = self._intake, self._options, self._mono_ns()
        if not found.same:
            log.warning("stream_began_anew", next="what was stored since the last message is read")
            intake.forget()
        if plan.seeded:
            if intake.live:
                intake.shut_gate()
            log.info("warming_up", replays_s=self._spans.warm_ns / NS_PER_S, worked_off_up_to=plan.position)
            await self._take_seeds(plan)
        if plan.reads:
            await self.replay.run(plan)
        intake.open_gate(plan, plan.until + 1)
        if plan.seeded:
            took_s = round((self._mono_ns() - started_ns) / NS_PER_S, 2)
            log.info("warm", replayed=intake.replayed, passed_over=intake.passed_over, took_s=took_s)
        if not plan.move:
            return found.durable
        self.acks.forget()
        await remove_consumer(self._link, options.durable.stream, options.durable.name)
        return await make_durable(self._link, options.durable, max(intake.taken, plan.until) + 1)

    async def _take_seeds(self, plan: Plan) -> None:
        """The last message of every subject from before what is read again: for symbols that seldom speak."""
        subjects = [f"{EVENTS}.{name}.>" for name in EVENT_TYPES]
        try:
            seeds = await self._seeds.before(plan.start_ns - 1, subjects, SEEDS_TIMEOUT_S)
        except RequestError as error:
            log.warning("symbols_that_seldom_speak_start_cold", why=str(error))
            return
        for seed in seeds:
            self._intake.take_seed(seed.subject, seed.seq, seed.ts_ns, seed.payload)

    async def _look_again(self) -> None:
        """Whether our consumer is still there, and nobody else's."""
        if await find_durable(self._link, self._options.durable) is None:
            raise Irregular("the consumer was deleted")

    async def _wait_or_broken(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._broken.wait()
        except TimeoutError:
            return

    def _on_state(self, connected: bool) -> None:
        if connected:
            self._connected.set()
            return
        self._connected.clear()
        self.live.disconnected()
        self.replay.interrupt("not connected to NATS")
        self._begin_anew("not connected to NATS")

    def _on_irregular(self, why: str) -> None:
        self.irregular += 1
        self._tell(why)
        if self.live.stolen_times > 1:
            self._warn_of_others()
        self._begin_anew(why)

    def _tell(self, why: str) -> None:
        """To the log, at most once a minute: `times` is how often it has come to this since the last line."""
        self._untold += 1
        now = self._mono_ns()
        if self._told_ns is None or now - self._told_ns >= TELL_EVERY_NS:
            log.info("reading_anew", why=why, times=self._untold)
            self._told_ns, self._untold = now, 0

    def _begin_anew(self, why: str) -> None:
        self.why = why
        if self.phase is not Phase.STOPPED:
            self.phase = Phase.WAITING
        self._broken.set()

    def _wait_because(self, why: str) -> None:
        self.live.stop()
        if why != self.why:
            log.warning("waiting_for_jetstream", why=why, next="trying again by itself")
        self._begin_anew(why)

    def _count_others(self, waiting: int) -> None:
        self.others = 0 if self.live.open else waiting
        if self.others:
            self._warn_of_others()

    def _warn_of_others(self) -> None:
        name = self._options.durable.name
        if not self._warned:
            self._warned = True
            log.warning(
                "another_consumer_pulls_here",
                consumer=name,
                next="two would publish everything twice: stop one, or give it another JETSTREAM_DURABLE",
            )

    def _note(self, subject: str) -> None:
        self.acks.note(self._queue.next_position, subject)

    def _ack(self, subject: str) -> bool:
        return self._may_ack() and self._link.post(subject, ACK)
