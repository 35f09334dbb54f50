"""Ten times more comes in than can go out, for half a minute: memory and disk stay bounded, and every trade arrives.

The way out is a real one that is really slow: a TCP proxy before nats-server. Nothing inside the service is changed.
"""

import asyncio
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from proxy import SlowProxy
from running import Process, Stack, until

from exchange_sim import ExchangeSim, MarketModel
from exchange_sim.server import Patience
from nats_link import LinkOptions
from nats_link.testing import NatsServer

SYMBOLS = ("BTCUSDT", "ETHUSDT")
RATE = 8_000.0  # events a second
CALM_S, OVERLOAD_S, FACTOR = 4.0, 30.0, 10.0
RECOVERY_S = 30.0  # it takes a few; a machine that is busy with other things may need more
CAPACITY = 2_000  # events in the bus: a third of a second of the market
SPILL_MIB = 2  # trades on disk: some seconds of them, so that this bound is reached, too
MIB = 1 << 20
KINDS = ("trade", "quote", "book_l2", "heartbeat", "status")
CONFLATED = ("quote", "book_l2")
OUTCOMES = ("delivered", "conflated", "dropped", "spilled", "queued")
TERMS = re.compile(r"(\d+) received = " + r" \+ ".join(rf"(\d+) {outcome}" for outcome in OUTCOMES))
FULL, ROOM = "bus full: sockets are not read", "bus has room: sockets are read again"


def longest_read() -> int:
    """Bytes that one read of a socket can bring: picows doubles its buffer up to all that the kernel keeps for us."""
    limits = Path("/proc/sys/net/ipv4/tcp_rmem")
    return int(limits.read_text().split()[2]) if limits.exists() else 8 * MIB


# What the overload may add to the service's memory, wherever the market goes on to:
#   the link's own bound, twice: as queued messages, and as what the allocator has not yet given back of them;
#   the full bus, 4 KiB an event (a book of 20 levels has 10, of which few are ever queued; a trade has less than 1);
#   of what is on disk no more than the file that is read: part of the 8 MiB below;
#   what is read after the word "stop", six times: picows' buffer, grown to twice of it, and the trades decoded from it,
#   650 bytes each out of 190 (quotes are conflated at once);
#   and 8 MiB for what else a busy Python process takes (HTTP answers, buffers of asyncio, fragmentation).
# It does not depend on how long the overload lasts. On Linux it is 68 MiB; half a minute of this market, kept as
# events, would be well over 100.
MAY_GROW_BYTES = 2 * LinkOptions("", "").max_pending_bytes + CAPACITY * 4096 + 6 * longest_read() + 8 * MIB
SHORTEST_TRADE_FRAME_BYTES = 150


def peak_rss(pid: int) -> int:
    """Bytes: the peak where the system keeps one, else what is resident now."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    return int(subprocess.check_output(["/bin/ps", "-o", "rss=", "-p", str(pid)])) * 1024


@dataclass
class Observer:
    """Asks the service four times a second what it says of itself, and holds it to that."""

    stack: Stack = field(repr=False)
    exchange: ExchangeSim = field(repr=False)
    pid: int
    polls: int = 0
    saturated: int = 0  # polls that found it so
    spilling: int = 0  # polls that found trades on disk, and nothing else to complain of
    spilled: int = 0  # most events on disk
    on_disk: int = 0  # most bytes there
    queued: int = 0  # most events in the bus
    unread: int = 0  # most bytes that waited at the exchange
    peak: int = 0  # bytes
    stats: dict[str, Any] = field(default_factory=dict)
    health: dict[str, Any] = field(default_factory=dict, repr=False)

    async def watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(0.25)

    async def look(self) -> None:
        status, self.stats = await self.stack.get(f"{self.stack.producer_url}/bus-stats")
        assert status == 200
        for kind in KINDS:
            row = self.account(kind)
            assert row["difference"] == 0, (kind, row)
            assert row["received"] == sum(row[outcome] for outcome in OUTCOMES), (kind, row)
        status, self.health = await self.stack.get(f"{self.stack.producer_url}/health")
        full = [reason for reason in self.health["reasons"] if "sockets are not read" in reason]
        saturated = self.health["bus"]["saturated"]
        assert bool(full) == saturated == self.health["providers"]["binance"]["paused"]
        assert status == (503 if self.health["reasons"] else 200)
        sink = self.stats["sinks"]["nats"]
        self.spilling += status == 200 and any("wait on disk" in notice for notice in self.health["notices"])
        self.spilled = max(self.spilled, sink["total"]["spilled"])
        self.on_disk = max(self.on_disk, sink["journal"]["bytes"])
        self.polls += 1
        self.saturated += saturated
        self.queued = max(self.queued, self.stats["sinks"]["nats"]["total"]["queued"])
        self.unread = max(self.unread, self.exchange.server.unread)
        self.peak = max(self.peak, peak_rss(self.pid))

    def account(self, kind: str) -> dict[str, int]:
        row: dict[str, int] = self.stats["sinks"]["nats"]["types"][kind]
        return row


async def last_quotes(url: str, into: dict[str, dict[str, Any]]) -> None:
    """Listen to the exchange ourselves: the truth that NATS has to agree with."""
    streams = "/".join(f"{symbol.lower()}@bookTicker" for symbol in SYMBOLS)
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/stream?streams={streams}") as socket:
        async for message in socket:
            quote = json.loads(message.data)["data"]
            into[quote["s"]] = quote


def as_quote(message: dict[str, Any]) -> tuple[str, ...]:
    return (message["bid"], message["bid_size"], message["ask"], message["ask_size"])


def ledger(process: Process) -> dict[str, dict[str, int]]:
    """The last line of the log."""
    line = json.loads(process.lines[-1])
    assert line["event"] == "ledger"
    assert line["difference"] == 0
    rows = {}
    for name, text in line.items():
        if match := TERMS.fullmatch(str(text)):
            received, *outcomes = map(int, match.groups())
            assert received == sum(outcomes)
            rows[name] = {"received": received, **dict(zip(OUTCOMES, outcomes, strict=True))}
    return rows


@dataclass
class Figures:
    """What the test has found, for people (`pytest -s`) and for the assertions."""

    inflow: float = 0.0  # bytes a second that the service sends when nothing holds it up
    outflow: float = 0.0  # the same, during the overload
    calm_rss: int = 0  # bytes
    recovered_s: float = 0.0


@pytest.mark.timeout(180)
async def test_a_tenfold_overload_loses_no_trade_and_is_over_when_it_ends(
    stack: Stack, nats_server: NatsServer
) -> None:
    exchange = ExchangeSim(
        MarketModel(seed=3, symbols=SYMBOLS, rate=RATE, moves={}), patience=Patience(max_buffer_bytes=256 * MIB)
    )
    async with exchange, SlowProxy(nats_server.port).running() as proxy:
        stack.nats_url = proxy.url
        producer = await stack.start_producer(
            exchange.ws_url,
            exchange.rest_url,
            ",".join(SYMBOLS),
            BUS_CAPACITY=str(CAPACITY),
            SPILL_MAX_MB=str(SPILL_MIB),
            HEARTBEAT_INTERVAL_S="0.2",
            LOG_FORMAT="json",
        )
        observer = Observer(stack, exchange, producer.child.pid)
        await stack.until_http(f"{stack.producer_url}/health", lambda status, _: status == 200, "a ready producer")
        figures = await overload(observer, proxy)
        await settle(observer)
        assert observer.health["status"] == "ready"
        assert await producer.stop() == 0
    sys.stdout.write(f"{figures}, {observer}\n")  # shown with `pytest -s`, and with a failure
    assert_it_was_an_overload(observer, figures, producer)
    assert proxy.connections == 1, "a slow server is not a dead one"
    assert observer.stats["link"] | {"refused": 0} == {
        "published": len(stack.reader.in_order),
        **dict.fromkeys(("pending", "lost_on_disconnect", "unconfirmed", "refused"), 0),
    }
    assert observer.peak - figures.calm_rss < MAY_GROW_BYTES, (
        f"it has grown by {observer.peak - figures.calm_rss} bytes"
    )
    assert_every_trade_arrived_once_and_in_order(observer)
    assert_the_ledger_tells_what_was_read(ledger(producer), stack)


async def overload(observer: Observer, proxy: SlowProxy) -> Figures:
    """Half a minute of it, and what follows until the service has caught up."""
    loop = asyncio.get_running_loop()
    figures = Figures()

    async def rate_over(seconds: float) -> float:
        began, passed = loop.time(), proxy.passed
        await asyncio.sleep(seconds)
        return (proxy.passed - passed) / (loop.time() - began)

    await asyncio.sleep(1)  # what gathered while it started
    figures.inflow = await rate_over(CALM_S)
    await observer.look()
    assert not observer.saturated
    figures.calm_rss = observer.peak
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(observer.watch())
        proxy.bytes_per_s = figures.inflow / FACTOR
        figures.outflow = await rate_over(OVERLOAD_S)
        # While the link takes a batch the bus has room for some milliseconds, so one look may find it ready.
        await until(lambda: observer.health["status"] == "not_ready", "/health to be red under the overload", 5)
        assert observer.account("quote")["conflated"]
        proxy.bytes_per_s = None
        ended = loop.time()
        await until(
            lambda: observer.exchange.server.unread == 0 and observer.health["status"] == "ready",
            "the service to catch up",
            RECOVERY_S,
        )
        figures.recovered_s = loop.time() - ended
        watching.cancel()
    return figures


async def settle(observer: Observer) -> None:
    """Let the exchange fall silent, and wait for all that it has sent, to the last quote."""
    exchange, reader = observer.exchange, observer.stack.reader
    truth: dict[str, dict[str, Any]] = {}
    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(last_quotes(exchange.ws_url, truth))
        await until(lambda: len(truth) == len(SYMBOLS), "quotes of our own")
        exchange.faults.mute(venue="binance")
        for symbol in SYMBOLS:
            await reader.until(f"md.events.trade.{symbol}", exchange.sent["trade", symbol])
        await until(
            lambda: all(
                as_quote(reader.by_subject[f"md.events.quote.{symbol}"][-1])
                == tuple(truth[symbol][name] for name in "bBaA")
                for symbol in SYMBOLS
            ),
            "the last quotes",
        )
        listening.cancel()
    async with asyncio.timeout(RECOVERY_S):
        await observer.look()
        while told_as_lost(observer.stack) != {kind: observer.account(kind)["conflated"] for kind in CONFLATED}:
            await asyncio.sleep(0.05)
            await observer.look()
    await until(lambda: len(reader.in_order) >= observer.stats["link"]["published"], "the last messages")


def told_as_lost(stack: Stack) -> dict[str, int]:
    """What readers were told to miss, in all: the last of it comes some seconds after the overload."""
    told = dict.fromkeys(CONFLATED, 0)
    for symbol in SYMBOLS:
        for status in stack.reader.by_subject.get(f"md.events.status.{symbol}", ()):
            if status["kind"] == "drop":
                assert status["detail"]["latest_kept"]
                told[status["detail"]["type"]] += status["detail"]["missing"]
    return told


def assert_it_was_an_overload(observer: Observer, figures: Figures, producer: Process) -> None:
    assert figures.outflow < figures.inflow / FACTOR * 1.05
    assert observer.saturated > observer.polls / 4
    assert observer.spilling, "with trades on disk it is ready still"
    assert observer.spilled > CAPACITY
    assert SPILL_MIB * MIB * 0.9 < observer.on_disk <= SPILL_MIB * MIB
    assert observer.unread > 4 * MIB, "what the service did not read waited at the exchange"
    assert observer.queued <= CAPACITY + longest_read() / SHORTEST_TRADE_FRAME_BYTES, "one read after the word 'stop'"
    said = [json.loads(line)["event"] for line in producer.lines]
    full = said.count(FULL)
    assert full == said.count(ROOM) == observer.stats["sinks"]["nats"]["saturations"] > 0
    assert not [line for line in producer.lines if '"error"' in line]


def assert_every_trade_arrived_once_and_in_order(observer: Observer) -> None:
    for symbol in SYMBOLS:
        trades = observer.stack.reader.by_subject[f"md.events.trade.{symbol}"]
        ids = [int(trade["trade_id"]) for trade in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids))), "the exchange numbers its trades without holes"
        assert len(ids) == observer.exchange.sent["trade", symbol]
        assert not any(trade["backfill"] for trade in trades)


def assert_the_ledger_tells_what_was_read(rows: dict[str, dict[str, int]], stack: Stack) -> None:
    for kind, row in rows.items():
        subjects = [subject for subject in stack.reader.by_subject if subject.startswith(f"md.events.{kind}.")]
        assert row["delivered"] == sum(map(stack.reader.count, subjects)), kind
        for subject in subjects:
            messages = stack.reader.by_subject[subject]
            assert [message["seq"] for message in messages] == list(range(1, len(messages) + 1)), subject
            times = [message["ts_recv"] for message in messages]
            assert times == sorted(times), subject
    assert all(row["queued"] == row["spilled"] == 0 for row in rows.values())
    assert rows["trade"]["received"] == rows["trade"]["delivered"]
    assert rows["quote"]["conflated"] > 0
    assert rows["quote"]["dropped"] == rows["book_l2"]["dropped"] == 0
