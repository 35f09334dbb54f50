"""What the parts of the service say of themselves, as JSON bodies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from app.bus import Account, Buffer, Bus, Journal
from app.feed import ConnectionState, Feed
from app.http.order import OrderRules
from app.liveness.watch import Liveness
from app.sinks.jetstream import JetStreamSink
from app.sinks.storage import StorageSink
from md_contract.events import TYPE_OF, BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from nats_link import Link

MOST_SHOWN: Final = 5  # symbols in a notice
_OUTCOMES: Final = ("received", "recovered", "delivered", "conflated", "dropped", "spilled", "queued", "difference")


@dataclass
class Parts:
    """What the endpoints tell about."""

    symbols: Sequence[str]
    bus: Bus
    feeds: Mapping[str, Feed]  # by provider name, the primary first
    liveness: Liveness
    orders: OrderRules
    link: Link | None  # None: the service runs without NATS
    nats_url: str  # fit to be shown
    metrics: Callable[[], bytes]
    stopping: bool = False
    stream: JetStreamSink | None = None  # None: core NATS, or none at all
    storage: StorageSink | None = None  # None: nothing is stored


def describe_health(parts: Parts, now_ns: int) -> dict[str, Any]:
    """The body of `/health`: `status` is `ready`, `not_ready` or `stopping`; `reasons` says why in plain words.

    `notices` are worth knowing and do no harm yet.
    """
    ages = _event_ages(parts, now_ns)
    closed = parts.liveness.between_sessions(parts.liveness.active, now_ns)
    reasons = list(_reasons(parts, ages, now_ns, closed=closed))
    link = parts.link
    return {
        "status": "stopping" if parts.stopping else "not_ready" if reasons else "ready",
        "reasons": reasons,
        "notices": [
            *_notices_of_the_market(parts, closed=closed),
            *_notices_of_refusals(parts.liveness),
            *_notices(parts.bus),
            *_notices_of_storage(parts.storage),
        ],
        "active": parts.liveness.active,
        "providers": {
            name: {
                "active": name == parts.liveness.active,
                "healthy": parts.liveness.verdict(name).healthy,
                "reasons": parts.liveness.verdict(name).reasons,
                "connected": feed.connected,
                "last_frame_age_s": _age_s(feed.last_recv_ns, now_ns),
                "paused": feed.paused,
                "reconnects": feed.reconnects,
                "connections": [
                    {"state": connection.state, "symbols": len(connection.symbols), "last_end": connection.last_end}
                    for connection in feed.connections
                ],
            }
            for name, feed in parts.feeds.items()
        },
        "symbols": {symbol: {"last_event_age_s": age} for symbol, age in ages.items()},
        "excluded": {symbol: why for feed in parts.feeds.values() for symbol, why in feed.excluded.items()},
        "nats": {
            "enabled": link is not None,
            "connected": link is not None and link.connected,
            "url": parts.nats_url if link is not None else None,
            "last_error": link.last_error if link is not None else None,
            **({} if parts.stream is None else {"jetstream": parts.stream.describe_health()}),
        },
        "storage": None if parts.storage is None else parts.storage.describe_health(),
        "bus": {
            "saturated": parts.bus.saturated,
            "fill_ratio": {buffer.name: round(buffer.fill_ratio, 4) for buffer in parts.bus.buffers},
            "on_disk": {buffer.name: buffer.journal.records for buffer in parts.bus.buffers if buffer.journal},
        },
    }


def _reasons(parts: Parts, ages: Mapping[str, float | None], now_ns: int, *, closed: bool) -> Iterator[str]:
    if parts.stopping:
        yield "the service is stopping"
    yield from _reasons_of_the_active(parts, now_ns)
    if not closed and all(age is None for age in ages.values()):
        yield "no market data has come yet"
    if parts.link is not None and not parts.link.connected:
        yield f"not connected to NATS at {parts.nats_url}; events are kept and it keeps trying"
    if parts.stream is not None and parts.stream.trouble is not None:
        yield f"JetStream: {parts.stream.trouble}; events are kept and it keeps trying"
    for buffer in parts.bus.buffers:
        if buffer.saturated and buffer.holds_sockets:
            yield f"the buffer of the sink {buffer.name!r} is full: sockets are not read until it has room"
        elif buffer.saturated:
            yield f"memory and disk are full for the sink {buffer.name!r}: events for it are dropped and counted"


def _notices_of_the_market(parts: Parts, *, closed: bool) -> Iterator[str]:
    if closed:
        yield f"{parts.liveness.active}: outside the regular session of its market, where no data is missed"


def _notices_of_refusals(liveness: Liveness) -> Iterator[str]:
    for name in liveness.watches:
        refused = liveness.refused(name)
        if refused:
            shown = "; ".join(f"{symbol} ({why})" for symbol, why in islice(refused.items(), MOST_SHOWN))
            more = f"; and {len(refused) - MOST_SHOWN} more, see /providers" if len(refused) > MOST_SHOWN else ""
            count = len(refused)
            yield f"{name}: {count} subscribed in part or not at all: {shown}{more}; change SYMBOLS or the account"


def _notices(bus: Bus) -> Iterator[str]:
    for buffer in bus.buffers:
        journal = buffer.journal
        if journal is None:
            continue
        if journal.records:
            yield (
                f"{journal.records} events for the sink {buffer.name!r} wait on disk, which is"
                f" {journal.bytes / journal.max_bytes:.0%} full; they go out in order when it takes them"
            )
        if journal.write_errors or journal.read_errors or journal.corrupt:
            yield f"the events on disk for the sink {buffer.name!r} have had trouble: {journal.last_error}"


def _notices_of_storage(storage: StorageSink | None) -> Iterator[str]:
    if storage is not None and storage.writer.failing is not None:
        yield f"nothing is stored now: {storage.writer.failing}; events are kept and it keeps trying"


def _reasons_of_the_active(parts: Parts, now_ns: int) -> Iterator[str]:
    """What is wrong with the provider whose events go out; a standby may be in any state."""
    liveness = parts.liveness
    feed = parts.feeds[liveness.active]
    if not feed.symbols:
        yield f"nothing to follow: {liveness.active} has none of the symbols ({', '.join(feed.excluded)})"
    elif not feed.connected:
        yield f"not connected to {liveness.active}{_next_attempt(feed, now_ns)}"
    silence = liveness.silence(liveness.active)
    if silence is not None:
        yield f"{liveness.active}: {silence}"
    if liveness.undecidable is not None:
        yield liveness.undecidable


def _next_attempt(feed: Feed, now_ns: int) -> str:
    """Why the connection that is away for longest ended, and when it is tried again."""
    waits = [
        (connection.next_attempt_ns - now_ns, connection.last_end or "")
        for connection in feed.connections
        if connection.next_attempt_ns is not None and connection.state is not ConnectionState.LIVE
    ]
    wait_ns, why = max(waits, default=(0, ""))
    return f": {why}; next attempt in {_seconds(max(wait_ns, 0)):.0f} s" if why else "; it keeps trying"


def describe_providers(parts: Parts, now_ns: int) -> dict[str, Any]:
    """The body of `/providers`: who is active, since when and why, and what is thought of each."""
    liveness = parts.liveness
    failover, now = liveness.failover, liveness.clock.now
    last = liveness.doors.last_switch
    return {
        "state": "single" if liveness.backup is None else failover.state,
        "active": liveness.active,
        "since_s": _seconds(now - failover.since),
        "note": liveness.undecidable,
        "switches": sum(liveness.doors.switches.values()),
        "last_switch": None if last is None else {**last, "ago_s": _age_s(liveness.switched_ns, now_ns)},
        "no_switch_for_s": _seconds(failover.dwell_left_ns(now)),
        "probation_left_s": _seconds(failover.probation_left_ns(now)) if failover.state == "probing" else None,
        "orders": "off" if parts.orders.token is None else "on",
        "providers": {name: _describe_provider(parts, name, feed, now) for name, feed in parts.feeds.items()},
    }


def _describe_provider(parts: Parts, name: str, feed: Feed, now: int) -> dict[str, Any]:
    liveness = parts.liveness
    verdict, watch = liveness.verdict(name), liveness.watches.get(name)
    lag_ns = None if watch is None else watch.health.lag.median_ns(now)
    return {
        "role": "primary" if name == liveness.primary else "backup",
        "active": name == liveness.active,
        "healthy": verdict.healthy,
        "reasons": verdict.reasons,
        "since_s": _seconds(now - verdict.since),
        "connected": feed.connected,
        "silent_for_s": None if watch is None else _seconds(watch.monitor.silent_ns(now)),
        "lag_s": None if lag_ns is None else _seconds(lag_ns),
        "stale_symbols": [] if watch is None else watch.monitor.stale_symbols(),
        "excluded": feed.excluded,
        "refused": liveness.refused(name),
        "standby_events": liveness.doors[name].held,
        "reconnects": feed.reconnects,
    }


def describe_bus(
    bus: Bus, link: Link | None, stream: JetStreamSink | None = None, storage: StorageSink | None = None
) -> dict[str, Any]:
    """The body of `/bus-stats`; every `difference` is 0 or the service has a defect.

    `link` and `jetstream` go on where the sink's `delivered` ends: what the connection to NATS did with the messages it
    accepted, and which of them the stream has acknowledged. `storage` does so for what the storage sink took.
    """
    return {
        "saturated": bus.saturated,
        "sinks": {buffer.name: _describe_buffer(buffer) for buffer in bus.buffers},
        "link": None
        if link is None
        else {
            "published": link.published,
            "pending": link.pending_messages,
            "lost_on_disconnect": link.lost_on_disconnect,
            "unconfirmed": link.unconfirmed,
            "refused": link.refused,
        },
        "jetstream": None if stream is None else stream.describe(),
        "storage": None if storage is None else storage.writer.account.as_dict(),
    }


def _describe_buffer(buffer: Buffer) -> dict[str, Any]:
    types = {TYPE_OF[cls]: _describe_account(account) for cls, account in buffer.accounts.items()}
    return {
        "capacity": buffer.capacity,
        "fill_ratio": round(buffer.fill_ratio, 4),
        "saturated": buffer.saturated,
        "saturations": buffer.saturations,
        "failures": buffer.failures,
        "total": {outcome: sum(row[outcome] for row in types.values()) for outcome in _OUTCOMES},
        "types": types,
        "journal": None if buffer.journal is None else _describe_journal(buffer.journal),
    }


def _describe_journal(journal: Journal) -> dict[str, Any]:
    """What is on disk now, and what has gone wrong there."""
    return {
        "records": journal.records,
        "bytes": journal.bytes,
        "max_bytes": journal.max_bytes,
        "torn": journal.torn,
        "corrupt": journal.corrupt,
        "corrupt_before": journal.corrupt_before,
        "misnamed": journal.misnamed,
        "refused": journal.refused,
        "write_errors": journal.write_errors,
        "read_errors": journal.read_errors,
        "last_error": journal.last_error,
    }


def _describe_account(account: Account) -> dict[str, int]:
    return {outcome: getattr(account, outcome) for outcome in _OUTCOMES}


def _event_ages(parts: Parts, now_ns: int) -> dict[str, float | None]:
    """Seconds since the newest trade, quote or book of each symbol; None before the first."""
    last = [parts.bus.last_recv[cls] for cls in (Trade, Quote, BookL2)]
    return {symbol: _age_s(max(seen.get(symbol, 0) for seen in last), now_ns) for symbol in parts.symbols}


def _age_s(then_ns: int | None, now_ns: int) -> float | None:
    return _seconds(max(now_ns - then_ns, 0)) if then_ns else None


def _seconds(ns: int) -> float:
    return round(ns / NS_PER_S, 3)
