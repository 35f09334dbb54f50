"""The body of /stats: every counter of every part, as plain objects; no HTTP in here."""

from typing import Any, Final

from nats_link import Link
from senpai.md_consumer.http.views import Views
from senpai.md_consumer.pipeline import Pipeline
from senpai.md_consumer.publisher import Publisher
from senpai.md_consumer.queue import EventQueue
from senpai.md_consumer.stream import Hub
from senpai.md_consumer.subscriber import Subscriber
from senpai.md_consumer.subscriber.quarantine import Sampled
from service_http import Gate

WITHHELD_SAMPLES: Final = 20


def stats(views: Views) -> dict[str, Any]:
    """What every part has counted since the start."""
    subscriber, publisher = views.subscriber, views.publisher
    return {
        "uptime_s": views.uptime_s,
        "events_per_second": round(subscriber.events_per_second(views.mono_ns()), 1),
        "queue": _queue(views.queue),
        "ledger": ledger(views.queue),
        "drops": _nested(views.queue.dropped_by_reason),
        "bad_input": _sampled(subscriber.quarantine),
        "tolerated_input": _sampled(subscriber.tolerated),
        "bus": _bus(subscriber),
        "processing_latency_ms": {"count": subscriber.latency.count, "mean": subscriber.latency.mean_ms},
        "pipeline": _pipeline(views.pipeline),
        "publisher": _publisher(publisher),
        "signals": _signals(publisher),
        "withheld": _withheld(views.pipeline),
        "alerts": {"firing": views.firing(), "emitted": publisher.alerts_emitted},
        "plugins": views.plugins.stats(),
        "nats": _nats(views.link),
        "jetstream": views.jetstream(),
        "stream": _stream(views.hub),
        "http": _http(views.gate),
    }


def ledger(queue: EventQueue) -> dict[str, dict[str, int]]:
    """By type; `difference` is 0 or there is a fault."""
    return {
        name: {
            "received": line.received,
            "delivered": line.delivered,
            "conflated": line.conflated,
            "dropped": line.dropped,
            "spilled": line.spilled,
            "queued": line.queued,
            "difference": line.difference,
        }
        for name, line in queue.ledger().items()
    }


def _nested(counts: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """{(a, b): n} as {a: {b: n}}."""
    nested: dict[str, dict[str, int]] = {}
    for (first, second), count in counts.items():
        nested.setdefault(first, {})[second] = count
    return nested


def _queue(queue: EventQueue) -> dict[str, Any]:
    return {
        "length": len(queue),
        "capacity": queue.capacity,
        "hard_bound": queue.hard_bound,
        "fill_ratio": queue.fill_ratio,
        "full": queue.full,
    }


def _sampled(messages: Sampled) -> dict[str, Any]:
    return {kind: {"count": n, "sample": messages.samples.get(kind)} for kind, n in messages.counts.items()}


def _bus(subscriber: Subscriber) -> dict[str, Any]:
    sequences = subscriber.sequences
    return {
        "gaps": sequences.holes,
        "missing": sequences.missing,
        "duplicates": sequences.duplicates,
        "unstored": sequences.unstored,
        "late": sequences.late,
        "new_epochs": sequences.new_epochs,
        "rebased": sequences.rebased,
        "streams": len(sequences),
        "unchecked": sequences.unchecked,
        "ignored_while_stopping": subscriber.ignored,
    }


def _pipeline(pipeline: Pipeline) -> dict[str, Any]:
    counters = pipeline.counters
    return {
        "symbols": len(pipeline.symbols),
        "rejected": _nested({(reason, event_type): n for (event_type, reason), n in counters.rejected.items()}),
        "refused_symbols": counters.refused,
        "expired_symbols": pipeline.expired,
        "late_trades": counters.late_trades,
        "inserted_trades": counters.inserted_trades,
        "old_quotes": counters.old_quotes,
        "inserted_quotes": counters.inserted_quotes,
        "crossed_quotes": counters.crossed_quotes,
        "locked_quotes": counters.locked_quotes,
        "one_sided_quotes": counters.one_sided_quotes,
        "implausible_prices": counters.implausible,
        "source_switches": counters.source_switches,
        "clock_restarts": counters.clock_restarts,
        "window_restarts": counters.restarts,
        "statuses": counters.statuses,
    }


def _publisher(publisher: Publisher) -> dict[str, Any]:
    return {
        "epoch": publisher.epoch,
        "features_published": sum(publisher.features_published.values()),
        "features_refused": publisher.features_refused,
        "features_waiting": publisher.features_waiting,
        "signals_emitted": sum(publisher.signals_emitted.values()),
        "signals_cancelled": publisher.signals_cancelled,
        "alerts_emitted": sum(publisher.alerts_emitted.values()),
        "errors": publisher.errors,
        "outbox": {
            "waiting": len(publisher.outbox),
            "refused": publisher.outbox_refused,
            "expired": publisher.outbox.expired,
            "overflowed": publisher.outbox.overflowed,
        },
    }


def _signals(publisher: Publisher) -> dict[str, dict[str, int]]:
    """By symbol, then direction."""
    signals: dict[str, dict[str, int]] = {}
    for (symbol, direction), count in publisher.signals_emitted.items():
        signals.setdefault(symbol, {"long": 0, "short": 0})[direction] = count
    return signals


def _withheld(pipeline: Pipeline) -> dict[str, Any]:
    """Signals not told, by rule, direction and reason, and the last one of the symbols that had one last."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for (rule, direction, reason), count in pipeline.withheld.items():
        counts.setdefault(rule, {}).setdefault(direction, {})[reason] = count
    return {"counts": counts, "samples": pipeline.withheld_samples(WITHHELD_SAMPLES)}


def _nats(link: Link) -> dict[str, Any]:
    return {
        "connected": link.connected,
        "received": link.received,
        "published": link.published,
        "refused": link.refused,
        "reconnects": link.reconnects,
        "slow_consumer_drops": link.slow_consumer_drops,
        "errors": link.errors,
        "last_error": link.last_error,
        "pending_bytes": link.pending_bytes,
    }


def _stream(hub: Hub) -> dict[str, int]:
    return {
        "readers": len(hub.listeners),
        "most_readers": hub.max_listeners,
        "joined": hub.joined,
        "refused": hub.refused,
        "too_slow": hub.too_slow,
        "sent": hub.sent,
        "conflated": hub.conflated,
    }


def _http(gate: Gate) -> dict[str, int]:
    """What became of connections that met a bound of the server."""
    return {
        "most_connections": gate.max_connections,
        "evicted": gate.evicted,
        "timed_out": gate.timed_out,
        "stalled": gate.stalled,
        "refused": gate.refused,
    }
