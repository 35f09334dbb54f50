"""What the parts of the service say of themselves, as JSON bodies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.bus import Account, Buffer, Bus
from app.feed import Feed
from app.http.order import OrderRules
from app.liveness.watch import Liveness
from md_contract.events import TYPE_OF, BookL2, Quote, Trade
from md_contract.units import NS_PER_S
from nats_link import Link

_OUTCOMES: Final = ("received", "delivered", "conflated", "dropped", "spilled", "queued", "difference")


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


def describe_health(parts: Parts, now_ns: int) -> dict[str, Any]:
    """The body of `/health`: `status` is `ready`, `not_ready` or `stopping`; `reasons` says why in plain words."""
    ages = _event_ages(parts, now_ns)
    reasons = list(_reasons(parts, ages))
    link = parts.link
    return {
        "status": "stopping" if parts.stopping else "not_ready" if reasons else "ready",
        "reasons": reasons,
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
        },
        "bus": {
            "saturated": parts.bus.saturated,
            "fill_ratio": {buffer.name: round(buffer.fill_ratio, 4) for buffer in parts.bus.buffers},
        },
    }


def _reasons(parts: Parts, ages: Mapping[str, float | None]) -> Iterator[str]:
    if parts.stopping:
        yield "the service is stopping"
    yield from _reasons_of_the_active(parts)
    if all(age is None for age in ages.values()):
        yield "no market data has come yet"
    if parts.link is not None and not parts.link.connected:
        yield f"not connected to NATS at {parts.nats_url}; events are kept and it keeps trying"
    for buffer in parts.bus.buffers:
        if buffer.saturated:
            yield f"the buffer of the sink {buffer.name!r} is full: sockets are not read until it has room"


def _reasons_of_the_active(parts: Parts) -> Iterator[str]:
    """What is wrong with the provider whose events go out; a standby may be in any state."""
    liveness = parts.liveness
    feed = parts.feeds[liveness.active]
    if not feed.symbols:
        yield f"nothing to follow: {liveness.active} has none of the symbols ({', '.join(feed.excluded)})"
    elif not feed.connected:
        yield f"not connected to {liveness.active}; it keeps trying"
    silence = liveness.silence(liveness.active)
    if silence is not None:
        yield f"{liveness.active}: {silence}"
    if liveness.undecidable is not None:
        yield liveness.undecidable


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
        "standby_events": liveness.doors[name].held,
        "reconnects": feed.reconnects,
    }


def describe_bus(bus: Bus, link: Link | None) -> dict[str, Any]:
    """The body of `/bus-stats`; every `difference` is 0 or the service has a defect.

    `link` goes on where the sink's `delivered` ends: what the connection to NATS did with the messages it accepted.
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
