"""Reading a part of the stream again, by a consumer of its own that lives no longer than that."""

import asyncio
import secrets
from typing import Final

from nats_link import Link, new_inbox
from nats_link.jetstream.consumers import replay_consumer
from nats_link.jetstream.pull import SILENCE_S, Pulls
from nats_link.jetstream.stamp import read_stamp
from senpai.md_consumer.subscriber.jetstream.intake import StreamIntake
from senpai.md_consumer.subscriber.jetstream.plan import Plan

MOST_OPEN: Final = 4_000
BATCH: Final = 1_000


class Irregular(Exception):  # noqa: N818  # it is no error: the way back to the beginning
    """Something came other than it had to; look at the stream and the consumer again."""


class Replay:
    """Takes from `start` to `until` of a plan."""

    def __init__(self, link: Link, intake: StreamIntake, stream: str, durable: str) -> None:
        """To be made before the link runs."""
        self.progress = 0.0  # 0 to 1
        self._link = link
        self._intake = intake
        self._stream = stream
        self._durable = durable
        self._inbox = new_inbox()
        self._name = ""
        self._plan = Plan(0, 0)
        self._pulls = Pulls(link.post, stream, "", self._inbox)
        self._end: asyncio.Future[None] | None = None
        self._consumer_seq = self._first = 0
        self._heard = False
        link.subscribe_raw(f"{self._inbox}.*", "", self._on_message)

    async def run(self, plan: Plan) -> None:
        """Raises Irregular, ApiError, StreamError or RequestError."""
        self.progress = 0.0
        self._name = f"{self._durable}-again-{secrets.token_hex(6)}"
        made = replay_consumer(self._link, self._stream, self._name, start_seq=plan.start_seq, start_ns=plan.start_ns)
        async with made as there:
            if there and plan.until:
                await self._read(plan)
        self.progress = 1.0

    async def _read(self, plan: Plan) -> None:
        self._plan, self._consumer_seq, self._first = plan, 0, 0
        self._pulls = Pulls(self._link.post, self._stream, self._name, self._inbox)
        end = self._end = asyncio.get_running_loop().create_future()
        try:
            silent_s = 0
            while not end.done():
                self.refill()
                await asyncio.wait([end], timeout=1.0)
                silent_s = 0 if self._heard else silent_s + 1
                self._heard = False
                if silent_s > SILENCE_S:
                    raise Irregular("the stream went silent while it was read again")
            end.result()
        finally:
            self._end = None

    def interrupt(self, why: str) -> None:
        """Whoever waits in `run` hears of it."""
        if self._end is not None and not self._end.done():
            self._end.set_exception(Irregular(why))

    def refill(self) -> None:
        """Ask for what there is room for."""
        pulls, room = self._pulls, min(self._intake.room, MOST_OPEN)
        if self._end is not None and pulls.open <= room // 2:
            pulls.ask(min(room - pulls.open, BATCH) or 1)

    def _on_message(self, subject: str, reply: str, headers: bytes, payload: bytes) -> None:
        end = self._end
        if end is None or end.done():
            return
        self._heard = True
        if not reply:
            why = self._pulls.on_status(headers)
            if why:
                self.interrupt(f"the reading again ended: {why}")
        elif f".{self._name}." in reply:
            self._take(end, subject, reply, payload)

    def _take(self, end: "asyncio.Future[None]", subject: str, reply: str, payload: bytes) -> None:
        plan = self._plan
        self._pulls.came()
        _, seq, consumer_seq, ts_ns, pending = read_stamp(reply)
        if consumer_seq != self._consumer_seq + 1:
            self.interrupt("a message read again did not come")
            return
        self._consumer_seq = consumer_seq
        self._first = self._first or seq
        if seq <= plan.until:
            self._intake.take_again(plan, subject, seq, ts_ns, payload)
            self.progress = (seq - self._first) / max(1, plan.until - self._first)
        if seq >= plan.until or not pending:
            end.set_result(None)
        else:
            self.refill()
