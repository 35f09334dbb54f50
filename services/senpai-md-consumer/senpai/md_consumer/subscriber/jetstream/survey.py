"""Looks at the stream and the durable consumer, makes what is missing, and says from where to read."""

from dataclasses import dataclass

from md_contract.subjects import ALL_EVENTS
from nats_link import Link
from nats_link.jetstream import StreamOptions, ensure_stream
from nats_link.jetstream.consumers import (
    Durable,
    DurableOptions,
    StreamState,
    find_durable,
    make_durable,
    message_time,
    stream_state,
)
from senpai.md_consumer.subscriber.jetstream.intake import StreamIntake
from senpai.md_consumer.subscriber.jetstream.plan import (
    Plan,
    Spans,
    Standing,
    plan_resume,
    plan_rewound,
    plan_start,
)


@dataclass(frozen=True, slots=True)
class Found:
    stream: StreamState
    durable: Durable
    same: bool  # the last message taken is where it was: the stream is the one we were reading


class Survey:
    def __init__(self, link: Link, intake: StreamIntake, stream: StreamOptions, durable: DurableOptions) -> None:
        self._link = link
        self._intake = intake
        self._stream = stream
        self._durable = durable

    async def look(self) -> Found:
        """Raises StreamError, RequestError or ApiError."""
        link, intake, name = self._link, self._intake, self._durable.stream
        await ensure_stream(link, self._stream)
        stream = await stream_state(link, name)
        same = await self._is_same(stream)
        durable = await find_durable(link, self._durable)
        if durable is None:
            known = intake.taken if intake.live and same else stream.last_seq
            durable = await make_durable(link, self._durable, known + 1)
        return Found(stream, durable, same)

    async def plan(self, found: Found, spans: Spans, server_ns: int) -> Plan:
        """Where to begin; `server_ns` is the server's present time. Raises as `look`."""
        intake, durable = self._intake, found.durable
        if intake.live and not found.same:
            return plan_rewound(intake.taken_ns, Standing(0, durable.delivered, found.stream.last_seq, None, server_ns))
        position = intake.taken if intake.live else durable.floor
        news_ns = None
        if found.stream.last_seq > position:
            news_ns = await message_time(self._link, self._durable.stream, position + 1, or_next=ALL_EVENTS)
        standing = Standing(position, durable.delivered, found.stream.last_seq, news_ns, server_ns)
        return plan_resume(standing, spans) if intake.live else plan_start(standing, spans)

    async def _is_same(self, stream: StreamState) -> bool:
        """Whether the last message taken is still there, or was deleted as the oldest ones are."""
        intake = self._intake
        if not intake.taken:
            return True
        stored_ns = await message_time(self._link, self._durable.stream, intake.taken)
        return stored_ns == intake.taken_ns if stored_ns is not None else intake.taken < stream.first_seq
