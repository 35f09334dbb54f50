"""Events to a JetStream stream: as on core NATS, and kept here until the stream has acknowledged them.

Every message has an id by which the stream knows one that comes twice, within its duplicate window. The id of a trade
is the venue's own, so it also holds when a trade is published again by a later run, from the journal.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog

from app.sinks.stamp import MAX_STREAMS, Stamp, UndeliverableError
from md_contract.codec import decode_event, encode
from md_contract.events import TYPE_OF, Event, Trade
from nats_link import Link
from nats_link.frame import read_frame
from nats_link.jetstream import ACK_MEANS, AckedPublisher, StreamOptions, StreamReport, ensure_stream

CLOSE_LINK_S: Final = 0.5  # of the time for closing, kept for the connection itself
QUANTILES: Final = (0.5, 0.99)

log: Final = structlog.get_logger("app.sinks.jetstream")


def message_id(event: Event) -> str:
    """What makes an event one of its kind: venue, symbol, kind, and the trade's id or else its epoch and seq.

    Raises:
        UndeliverableError: it would be more than one line of a header.
    """
    kind = TYPE_OF[event.__class__]
    number = event.trade_id if isinstance(event, Trade) and event.trade_id else f"{event.epoch}-{event.seq}"
    text = f"{event.provider}:{event.symbol}:{kind}:{number}"
    if not text.isprintable():
        raise UndeliverableError(f"expected an id of one line, found {text!r}")
    return text


@dataclass(frozen=True, slots=True)
class Acks:
    """What became of the messages that were handed over: `published = acked + rejected + pending`."""

    published: int
    acked: int
    rejected: int
    pending: int
    pending_bytes: int
    resent: int
    duplicates: int
    suppressed: int
    refused: int
    timeouts: int


class JetStreamSink:
    """Stamps, encodes and hands over to an `AckedPublisher`, which keeps what is not acknowledged."""

    name = "jetstream"

    def __init__(
        self,
        link: Link,
        writable: asyncio.Event,
        stream: StreamOptions,
        *,
        epoch: int,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        """Make the sink.

        Args:
            link: the connection, with `LinkOptions(replies=True)`; the sink runs and closes it.
            writable: set by the link (`on_writable`) when it takes messages again; the sink sets it, too.
            stream: how the stream is made when there is none.
            epoch: this producer run, written into every event.
            max_streams: bound of the subject cache.
        """
        self.link = link
        self.report: StreamReport | None = None  # None: the stream has not been seen yet
        self._options = stream
        self._writable = writable
        self._stamp = Stamp(epoch, max_streams)
        self._publisher = AckedPublisher(link, prepare=self._prepare, on_writable=writable.set)
        self._window = self._publisher.window
        self._publish = self._publisher.publish
        self._never = 0  # messages that no server would take

    @property
    def reachable(self) -> bool:
        return self._window.is_open

    @property
    def settled(self) -> int:
        """How many events, in the order in which they were taken, have reached their end."""
        return self._window.settled

    @property
    def trouble(self) -> str | None:
        """Why messages are not stored now, in words; None while they are, or while there is no connection."""
        return self._window.trouble

    @property
    def acks(self) -> Acks:
        window = self._window
        return Acks(**{name: getattr(window, name) for name in Acks.__dataclass_fields__})

    def take(self, event: Event) -> bool:
        """See `Sink.take`. A refused event uses up no `seq`; a taken one counts as delivered, acknowledged or not.

        Raises:
            UndeliverableError: too long for this server, an id that is none, or one stream more than the bound.
            BadTokenError: the symbol cannot be a subject token.
            UnicodeEncodeError: a field holds text that is no valid Unicode.
        """
        stream = self._stamp.write(event)
        if self._publish(stream.subject, message_id(event), encode(event)):
            stream.seq = event.seq
            return True
        if self._window.impossible > self._never:
            self._never += 1  # waiting would not help this one, and would hold all behind it
            raise UndeliverableError(f"expected a message of at most {self.link.max_payload} bytes, found a longer one")
        return False

    async def writable(self) -> None:
        await self._writable.wait()
        self._writable.clear()

    async def run(self) -> None:
        """Own the connection and the publishing until `close`.

        Raises:
            StreamError: the server is there and the stream cannot be had; the text says what to do.
        """
        parts = {asyncio.create_task(self.link.run()), asyncio.create_task(self._publisher.run())}
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_EXCEPTION)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)

    async def close(self, timeout_s: float) -> Sequence[Event]:
        """Wait for the acknowledgements; return the events that got none, oldest first."""
        await self._publisher.settle(timeout_s - CLOSE_LINK_S if self.link.connected else 0)
        self._publisher.close()
        await self.link.close(CLOSE_LINK_S)
        left = [decode_event(read_frame(frame).payload) for frame in self._window.frames()]
        if left:
            log.warning("not acknowledged by the stream", events=len(left), next="they are kept for the next run")
        return left

    def describe(self) -> dict[str, Any]:
        """For `/bus-stats`: what follows where the sink's `delivered` ends."""
        return {
            "stream": self._options.name,
            "state": str(self._window.state),
            "trouble": self.trouble,
            **asdict(self.acks),
            "refused_by_the_stream": {str(number): count for number, count in self._window.refusals.items()},
            "last_rejection": self._window.rejection,
            "ack_latency_ms": {
                f"p{share * 100:g}": round(seconds * 1000, 3) for share, seconds in self.ack_latency_s().items()
            },
            "limits_differ": [] if self.report is None else self.report.differences,
            "an_ack_means": ACK_MEANS,
        }

    def describe_health(self) -> dict[str, Any]:
        """For `/health`."""
        return {
            "stream": self._options.name,
            "state": str(self._window.state),
            "unacknowledged": self._window.pending,
            "an_ack_means": ACK_MEANS,
        }

    def ack_latency_s(self) -> dict[float, float]:
        """Quantiles of the lately measured times from publishing to the acknowledgement; none before the first."""
        samples = sorted(self._window.latencies_s)
        return {share: samples[int(share * (len(samples) - 1))] for share in QUANTILES} if samples else {}

    async def _prepare(self) -> StreamReport:
        """Find the stream or make it; say so once."""
        report = await ensure_stream(self.link, self._options)
        if self.report is None:
            config = report.config
            log.info(
                "stream made" if report.created else "stream found",
                stream=config["name"],
                max_age_s=config["max_age"] / 1e9,
                max_bytes=config["max_bytes"],
                replicas=config["num_replicas"],
                an_ack_means=ACK_MEANS,
            )
            if report.differences:
                log.warning(
                    "the stream has other limits than the settings; it is left as it is",
                    differences="; ".join(report.differences),
                    next=f"change it with 'nats stream edit {config['name']}', or the settings JETSTREAM_*",
                )
        elif report.created:
            log.warning("the stream was gone and is made anew", stream=report.config["name"])
        self.report = report
        return report
