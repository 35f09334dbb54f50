"""Prometheus metrics, made from the parts' plain counters when they are scraped; nothing is counted here.

The names are the specification's, hence milliseconds. The number of series is bounded:
symbols beyond MAX_SYMBOL_LABELS share the label `other`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from md_contract.events import EVENT_TYPES
from md_contract.units import NS_PER_MS, NS_PER_S
from senpai.md_consumer.alerts import KINDS as ALERT_KINDS
from senpai.md_consumer.pipeline import Pipeline
from senpai.md_consumer.plugins.guard import Guard
from senpai.md_consumer.publisher import Publisher
from senpai.md_consumer.queue import UNKNOWN_TYPE, EventQueue
from senpai.md_consumer.stream import Hub
from senpai.md_consumer.subscriber import Subscriber
from senpai.md_consumer.subscriber.intake import DUPLICATE, OTHER
from senpai.md_consumer.subscriber.quarantine import UNREADABLE

Counted: TypeAlias = tuple[tuple[str, ...], int]  # label values, count

MAX_SYMBOL_LABELS: Final = 500
DIRECTIONS: Final = ("long", "short")


class SymbolLabels:
    """Names of symbols as label values: the first `limit` of them; a symbol never changes its label."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def of(self, symbol: str) -> str:
        if symbol not in self._known:
            if len(self._known) >= self._limit:
                return OTHER
            self._known.add(symbol)
        return symbol


class ConsumerCollector(Collector):
    """Reads the parts of the service on each scrape."""

    def __init__(
        self,
        queue: EventQueue,
        subscriber: Subscriber,
        publisher: Publisher,
        pipeline: Pipeline,
        hub: Hub,
        *,
        nats_connected: Callable[[], bool],
        plugins: Sequence[Guard] = (),
        max_symbol_labels: int = MAX_SYMBOL_LABELS,
    ) -> None:
        self._queue = queue
        self._subscriber = subscriber
        self._publisher = publisher
        self._pipeline = pipeline
        self._hub = hub
        self._nats_connected = nats_connected
        self._plugins = plugins
        self._labels = SymbolLabels(max_symbol_labels)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry needs no names in advance."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family of the service."""
        yield self._events_in()
        yield self._events_dropped()
        yield GaugeMetricFamily("senpai_queue_fill_ratio", "Fill of the event queue, 0 to 1.", self._queue.fill_ratio)
        yield self._latency()
        yield self._features()
        yield self._signals()
        yield self._withheld()
        help_text = "Symbols forgotten because nothing came of them for long."
        yield _counter("senpai_symbols_expired", help_text, [], [((), self._pipeline.expired)])
        yield GaugeMetricFamily(
            "senpai_nats_connected", "1 while the connection to NATS is up, else 0.", float(self._nats_connected())
        )
        yield self._alerts()
        gaps = [((event_type,), count) for event_type, count in self._subscriber.sequences.holes.items()]
        yield _counter("senpai_bus_gaps", "Holes seen in the sequence numbers of the bus.", ["type"], gaps)
        tolerated = [((kind,), count) for kind, count in self._subscriber.tolerated.counts.items()]
        help_text = "Messages of other producers that were read all the same, by what had to be tolerated."
        yield _counter("senpai_events_tolerated", help_text, ["kind"], tolerated)
        yield from self._plugin_families()
        yield from self._stream()
        yield GaugeMetricFamily("senpai_symbols_tracked", "Symbols with state.", len(self._pipeline.symbols))

    def _plugin_families(self) -> Iterator[Metric]:
        """Of the user's own features and rules; there are only so many, and their names are checked."""
        plugins = self._plugins
        calls = [((plugin.name,), plugin.calls) for plugin in plugins]
        yield _counter("senpai_plugin_calls", "Calls of plug-ins.", ["plugin"], calls)
        failures = [((plugin.name,), plugin.failures) for plugin in plugins]
        yield _counter("senpai_plugin_failures", "Calls of plug-ins that failed.", ["plugin"], failures)
        spent = CounterMetricFamily("senpai_plugin_seconds", "Time that plug-ins took.", labels=["plugin"])
        on = GaugeMetricFamily("senpai_plugin_on", "1 while the plug-in is on, 0 once it is off.", labels=["plugin"])
        for plugin in plugins:
            spent.add_metric([plugin.name], plugin.spent_ns / NS_PER_S)
            on.add_metric([plugin.name], float(plugin.why_off is None))
        yield spent
        yield on

    def _stream(self) -> Iterator[Metric]:
        hub = self._hub
        yield GaugeMetricFamily("senpai_stream_readers", "Readers of the HTTP stream.", len(hub.listeners))
        yield _counter("senpai_stream_messages", "Messages that readers of the stream took.", [], [((), hub.sent)])
        help_text = "Feature messages that gave way to newer ones because a reader of the stream was slow."
        yield _counter("senpai_stream_conflated", help_text, [], [((), hub.conflated)])
        help_text = "Readers of the stream that were turned away (busy) or closed (slow)."
        counts = [(("busy",), hub.refused), (("slow",), hub.too_slow)]
        yield _counter("senpai_stream_refused", help_text, ["why"], counts)

    def _alerts(self) -> Metric:
        counts = dict.fromkeys(ALERT_KINDS, 0) | self._publisher.alerts_emitted
        help_text = "Alerts published on senpai.alerts, firing and resolved."
        return _counter("senpai_alerts_emitted", help_text, ["kind"], [((kind,), n) for kind, n in counts.items()])

    def _events_in(self) -> Metric:
        counts = {
            (event_type, provider): count
            for event_type, providers in self._subscriber.events_in.items()
            for provider, count in providers.items()
        }
        counts[UNKNOWN_TYPE, OTHER] = self._queue.ledger()[UNKNOWN_TYPE].received
        help_text = "Events received from NATS; type unknown: messages that are no event."
        return _counter("senpai_events_in", help_text, ["type", "provider"], counts.items())

    def _events_dropped(self) -> Metric:
        counts = {(DUPLICATE, event_type): 0 for event_type in EVENT_TYPES}
        counts |= {(kind, UNKNOWN_TYPE): 0 for kind in UNREADABLE}
        counts |= self._queue.dropped_by_reason
        counts |= {(reason, event_type): n for (event_type, reason), n in self._pipeline.counters.rejected.items()}
        help_text = "Events that were not applied, by reason."
        return _counter("senpai_events_dropped", help_text, ["reason", "type"], counts.items())

    def _latency(self) -> Metric:
        latency = self._subscriber.latency
        help_text = "Milliseconds from the receipt of an event from NATS until it is applied."
        family = HistogramMetricFamily("senpai_processing_latency_ms", help_text)
        family.add_metric([], buckets=latency.cumulative(), sum_value=latency.sum_ns / NS_PER_MS)
        return family

    def _features(self) -> Metric:
        counts = {(OTHER,): self._publisher.features_forgotten}
        for symbol, count in self._publisher.features_published.items():
            label = (self._labels.of(symbol),)
            counts[label] = counts.get(label, 0) + count
        return _counter("senpai_feature_publish", "Feature messages published.", ["symbol"], counts.items())

    def _signals(self) -> Metric:
        known = [self._labels.of(symbol) for symbol in self._publisher.features_published]
        counts = {(symbol, direction): 0 for symbol in [OTHER, *known] for direction in DIRECTIONS}
        for direction, count in self._publisher.signals_forgotten.items():
            counts[OTHER, direction] = count
        for (symbol, direction), count in self._publisher.signals_emitted.items():
            label = (self._labels.of(symbol), direction)
            counts[label] = counts.get(label, 0) + count
        return _counter("senpai_signals_emitted", "New signals published.", ["symbol", "direction"], counts.items())

    def _withheld(self) -> Metric:
        help_text = "Signals that were due and not told, by why: inputs that cannot be trusted, or cooldown."
        counts = self._pipeline.withheld.items()
        return _counter("senpai_signals_withheld", help_text, ["rule", "direction", "reason"], counts)


def _counter(name: str, help_text: str, labels: list[str], counts: Iterable[Counted]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def exposition(collector: Collector) -> Callable[[], bytes]:
    """What makes the text of one scrape, of this collector alone."""
    registry = CollectorRegistry()
    registry.register(collector)
    return lambda: generate_latest(registry)
