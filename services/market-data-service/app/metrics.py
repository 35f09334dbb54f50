"""Prometheus metrics, read from the parts' own counters when somebody asks for them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.bus import Bus
from app.feed import Feed
from app.liveness.watch import Liveness
from app.sinks.jetstream import JetStreamSink
from app.sinks.storage import StorageSink
from md_contract.events import TYPE_OF, BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from nats_link import Link

_OUTCOMES: Final = ("delivered", "conflated", "dropped")
_JOURNAL_COUNTERS: Final = {
    "torn": "Records that a run before left unfinished when it was killed.",
    "corrupt": "Records that could not be read any more.",
    "corrupt_before": "Those of an earlier run among them, which no other count has.",
    "misnamed": "Files of an earlier run that were read from their start, since their names said the impossible.",
    "refused": "Events the journal could not take.",
    "write_errors": "Writes that the disk refused.",
    "read_errors": "Reads that the disk refused.",
}
_STREAM_OUTCOMES: Final = (
    "published", "acked", "rejected", "resent", "duplicates", "suppressed", "refused", "timeouts",
)  # fmt: skip
_OF_SYMBOLS: Final = (Trade, Quote, BookL2)
_FEED_COUNTERS: Final[dict[str, tuple[str, Callable[[Feed], int]]]] = {
    "frames": ("Frames read off sockets.", lambda feed: feed.frames),
    "reconnects": ("Connections made again after one was lost.", lambda feed: feed.reconnects),
    "rotations": ("Connections that took over before the one before had ended.", lambda feed: feed.rotations),
    "rest_requests": ("REST requests made.", lambda feed: feed.rest.requests),
    "rest_errors": ("REST requests that failed.", lambda feed: feed.rest.errors),
    "gaps": ("Holes seen in trade ids.", lambda feed: feed.counters.gaps),
    "missing_trades": ("Trades missing in those holes.", lambda feed: feed.counters.missing_trades),
    "late_trades": ("Trades that filled a hole after it was reported.", lambda feed: feed.counters.late_trades),
    "backfilled_trades": ("Missed trades that were fetched by REST.", lambda feed: feed.counters.backfilled_trades),
    "duplicate_trades": ("Trades that came twice, published once.", lambda feed: feed.counters.duplicate_trades),
    "sequence_restarts": ("Times a trade sequence began anew.", lambda feed: feed.counters.sequence_restarts),
    "stale_quotes": ("Quotes older than one already published.", lambda feed: feed.counters.stale_quotes),
    "repeated_quotes": ("Quotes repeated as a sign of life.", lambda feed: feed.counters.repeated_quotes),
    "one_sided_quotes": ("Quotes without a bid or an ask.", lambda feed: feed.counters.one_sided_quotes),
    "crossed_quotes": ("Quotes whose bid was above their ask.", lambda feed: feed.counters.crossed_quotes),
    "book_resyncs": ("Order books given up and built anew.", lambda feed: feed.counters.books.resyncs),
    "stale_snapshots": ("Book snapshots too old to be used.", lambda feed: feed.counters.books.stale_snapshots),
    "subscriptions_refused": ("Refused subscriptions.", lambda feed: feed.counters.subscriptions_refused),
}


class ServiceCollector(Collector):
    """Makes every series anew on each scrape; symbols are the configured ones, so their number is bounded."""

    def __init__(
        self,
        symbols: Sequence[str],
        bus: Bus,
        feeds: Mapping[str, Feed],
        liveness: Liveness,
        link: Link | None,
        loop_lag_s: Callable[[], float],
        stream: JetStreamSink | None = None,
        storage: StorageSink | None = None,
    ) -> None:
        """Collect from these parts.

        Args:
            symbols: the only values of the label `symbol`.
            bus: its ledger.
            feeds: by provider name.
            liveness: the watch over them.
            link: the connection to NATS; None when the service runs without.
            loop_lag_s: how late the event loop lately was, in seconds.
            stream: the sink on JetStream; None when the service runs without.
            storage: the sink into the store; None when nothing is stored.
        """
        self._symbols = symbols
        self._bus = bus
        self._feeds = feeds
        self._liveness = liveness
        self._link = link
        self._loop_lag_s = loop_lag_s
        self._stream = stream
        self._storage = storage

    def collect(self) -> Iterator[Metric]:
        yield from self._events()
        yield from self._sinks()
        yield from self._journals()
        yield from self._provider_feeds()
        yield from self._choice_of_provider()
        yield from self._nats()
        yield from self._jetstream()
        yield from self._stored()
        yield GaugeMetricFamily(
            "md_event_loop_lag_seconds", "How late the event loop lately ran a timer.", value=self._loop_lag_s()
        )

    def _events(self) -> Iterator[Metric]:
        received = CounterMetricFamily("md_events_received", "Events the bus was given.", labels=["type"])
        for cls, account in self._bus.buffers[0].accounts.items():
            received.add_metric([TYPE_OF[cls]], account.received)
        yield received
        last = GaugeMetricFamily(
            "md_last_event_timestamp_seconds",
            "When the newest event came in, Unix time; absent until there is one.",
            labels=["type", "symbol"],
        )
        for cls in _OF_SYMBOLS:
            newest = self._bus.last_recv[cls]
            for symbol in self._symbols:
                if symbol in newest:
                    last.add_metric([TYPE_OF[cls], symbol], newest[symbol] / NS_PER_S)
        yield last

    def _sinks(self) -> Iterator[Metric]:
        events = CounterMetricFamily(
            "md_sink_events", "What became of the events at each sink.", labels=["sink", "type", "outcome"]
        )
        recovered = CounterMetricFamily(
            "md_sink_recovered", "Events read back that an earlier run left on disk.", labels=["sink", "type"]
        )
        queued = GaugeMetricFamily("md_sink_queued_events", "Events in the sink's buffer.", labels=["sink", "type"])
        spilled = GaugeMetricFamily("md_sink_spilled_events", "Events of this run on disk.", labels=["sink", "type"])
        fill = GaugeMetricFamily("md_sink_fill_ratio", "Queued events over the buffer's capacity.", labels=["sink"])
        saturated = GaugeMetricFamily(
            "md_sink_saturated", "1 while neither memory nor disk has room for this sink.", labels=["sink"]
        )
        saturations = CounterMetricFamily("md_sink_saturations", "Times the sink became saturated.", labels=["sink"])
        failures = CounterMetricFamily("md_sink_failures", "Events whose hand-over failed.", labels=["sink"])
        for buffer in self._bus.buffers:
            for cls, account in buffer.accounts.items():
                for outcome in _OUTCOMES:
                    events.add_metric([buffer.name, TYPE_OF[cls], outcome], getattr(account, outcome))
                recovered.add_metric([buffer.name, TYPE_OF[cls]], account.recovered)
                queued.add_metric([buffer.name, TYPE_OF[cls]], account.queued)
                spilled.add_metric([buffer.name, TYPE_OF[cls]], account.spilled)
            fill.add_metric([buffer.name], buffer.fill_ratio)
            saturated.add_metric([buffer.name], buffer.saturated)
            saturations.add_metric([buffer.name], buffer.saturations)
            failures.add_metric([buffer.name], buffer.failures)
        yield from (events, recovered, queued, spilled, fill, saturated, saturations, failures)

    def _journals(self) -> Iterator[Metric]:
        journals = {buffer.name: buffer.journal for buffer in self._bus.buffers if buffer.journal is not None}
        for name, text in (
            ("records", "Events on disk that have not been read back."),
            ("bytes", "Bytes on disk, or about to be written."),
            ("max_bytes", "Bound of those bytes."),
        ):
            gauge = GaugeMetricFamily(f"md_journal_{name}", text, labels=["sink"])
            for sink, journal in journals.items():
                gauge.add_metric([sink], getattr(journal, name))
            yield gauge
        for name, text in _JOURNAL_COUNTERS.items():
            counter = CounterMetricFamily(f"md_journal_{name}", text, labels=["sink"])
            for sink, journal in journals.items():
                counter.add_metric([sink], getattr(journal, name))
            yield counter

    def _provider_feeds(self) -> Iterator[Metric]:
        connected = GaugeMetricFamily("md_feed_connected", "1 while connected to the provider.", labels=["provider"])
        quarantined = CounterMetricFamily(
            "md_feed_quarantined", "Frames or messages set aside, by reason.", labels=["provider", "reason"]
        )
        counters = [
            (CounterMetricFamily(f"md_feed_{name}", text, labels=["provider"]), count)
            for name, (text, count) in _FEED_COUNTERS.items()
        ]
        for provider, feed in self._feeds.items():
            connected.add_metric([provider], feed.connected)
            for reason, number in feed.quarantined.items():
                quarantined.add_metric([provider, reason], number)
            for family, count in counters:
                family.add_metric([provider], count(feed))
        yield from (connected, quarantined, *(family for family, _ in counters))

    def _choice_of_provider(self) -> Iterator[Metric]:
        liveness = self._liveness
        active = GaugeMetricFamily("md_active_provider", "1 while its events go out.", labels=["provider"])
        healthy = GaugeMetricFamily("md_provider_healthy", "1 while fit to be the active one.", labels=["provider"])
        held = CounterMetricFamily(
            "md_standby_events", "Events let go because their provider was on standby.", labels=["provider"]
        )
        switches = CounterMetricFamily("md_failover_switches", "Changes of the active provider.", labels=["from", "to"])
        for provider in self._feeds:
            active.add_metric([provider], provider == liveness.active)
            healthy.add_metric([provider], liveness.verdict(provider).healthy)
            held.add_metric([provider], liveness.doors[provider].held)
            for other in self._feeds.keys() - {provider}:
                switches.add_metric([provider, other], liveness.doors.switches.get((provider, other), 0))
        yield from (active, healthy, held, switches)

    def _nats(self) -> Iterator[Metric]:
        link = self._link
        if link is None:
            return
        yield GaugeMetricFamily("md_nats_connected", "1 while connected to NATS.", value=link.connected)
        yield GaugeMetricFamily(
            "md_nats_pending_bytes", "Bytes handed over that are not on the wire.", value=link.pending_bytes
        )
        for name, text, value in (
            ("md_nats_messages_published", "Messages handed to the connection.", link.published),
            ("md_nats_messages_refused", "Messages the connection could not take when asked.", link.refused),
            (
                "md_nats_messages_lost",
                "Messages discarded with a connection before they were sent.",
                link.lost_on_disconnect,
            ),
            ("md_nats_messages_unconfirmed", "Messages sent on a connection that died, unconfirmed.", link.unconfirmed),
            ("md_nats_reconnects", "Connections made after the first.", link.reconnects),
            ("md_nats_errors", "Errors told by the server or the connection.", link.errors),
        ):
            yield CounterMetricFamily(name, text, value=value)

    def _stored(self) -> Iterator[Metric]:
        if self._storage is None:
            return
        writer, account = self._storage.writer, self._storage.writer.account
        rows = CounterMetricFamily("md_storage_rows", "What became of what the storage took.", labels=["outcome"])
        for outcome in ("taken", "stored", "duplicates", "quarantined", "given_back"):
            rows.add_metric([outcome], getattr(account, outcome))
        yield rows
        yield GaugeMetricFamily("md_storage_pending", "Rows taken and not yet committed.", value=account.pending)
        yield GaugeMetricFamily("md_storage_writing", "1 unless the last write failed.", value=writer.failing is None)
        yield CounterMetricFamily("md_storage_batches", "Transactions committed.", value=account.batches)
        yield CounterMetricFamily(
            "md_storage_retries", "Transactions that failed and were repeated.", value=account.retries
        )

    def _jetstream(self) -> Iterator[Metric]:
        stream = self._stream
        if stream is None:
            return
        acks = stream.acks
        messages = CounterMetricFamily(
            "md_jetstream_messages",
            "Messages to the stream: published = acked + rejected + those pending; the others tell how.",
            labels=["outcome"],
        )
        for outcome in _STREAM_OUTCOMES:
            messages.add_metric([outcome], getattr(acks, outcome))
        yield messages
        latency = GaugeMetricFamily(
            "md_jetstream_ack_latency_seconds", "From publishing to the acknowledgement, lately.", labels=["quantile"]
        )
        for quantile, seconds in stream.ack_latency_s().items():
            latency.add_metric([str(quantile)], seconds)
        yield latency
        for name, text, value in (
            ("md_jetstream_open", "1 while the stream takes messages.", stream.reachable),
            ("md_jetstream_pending_messages", "Messages not acknowledged yet.", acks.pending),
            ("md_jetstream_pending_bytes", "Bytes not acknowledged yet.", acks.pending_bytes),
        ):
            yield GaugeMetricFamily(name, text, value=value)


def make_registry(collector: ServiceCollector) -> CollectorRegistry:
    """A registry of its own, with the figures of the process (`process_*`) beside ours (`md_*`)."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The text of `/metrics`."""
    return generate_latest(registry)
