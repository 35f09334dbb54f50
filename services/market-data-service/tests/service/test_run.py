"""The whole service as a process: simulated exchange in front, real NATS behind, signals from above."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exchange_sim import ExchangeSim, MarketModel
from md_contract.events import Event, Status, Trade
from nats_link.testing import NatsServer

SYMBOLS = ("BTCUSDT", "ETHUSDT")
TRADES = [f"md.events.trade.{symbol}" for symbol in SYMBOLS]
TERMS = re.compile(
    r"(\d+) received(?: \+ (\d+) recovered)? = "
    r"(\d+) delivered \+ (\d+) conflated \+ (\d+) dropped \+ (\d+) spilled \+ (\d+) queued"
)

Service = Callable[..., Any]


def assert_whole(events: list[Event]) -> None:
    """Every trade once, in its order."""
    ids = [int(event.trade_id) for event in events if isinstance(event, Trade)]
    assert ids == list(range(ids[0], ids[0] + len(ids))), "the exchange numbers its trades without holes"


def ledger(process: Any) -> dict[str, dict[str, int]]:
    """The last line of the log, read back: outcomes by event type."""
    last = process.log[-1]
    assert last["event"] == "ledger", process.lines[-3:]
    assert last["difference"] == 0
    found = {}
    for name, text in last.items():
        if match := TERMS.fullmatch(str(text)):
            outcomes = ("received", "recovered", "delivered", "conflated", "dropped", "spilled", "queued")
            row = dict(zip(outcomes, (int(term or 0) for term in match.groups()), strict=True))
            assert row["received"] + row["recovered"] == sum(row[outcome] for outcome in outcomes[2:])
            found[name] = row
    return found


def exchange(rate: float = 1000.0) -> ExchangeSim:
    return ExchangeSim(MarketModel(seed=7, symbols=SYMBOLS, rate=rate))


def endpoints(sim: ExchangeSim) -> dict[str, str]:
    return {"BINANCE_WS_URL": sim.ws_url, "BINANCE_REST_URL": sim.rest_url}


async def test_frames_become_messages_with_contiguous_seq_and_the_ledger_says_the_same(
    nats_server: NatsServer, service: Service, wiretap: Any
) -> None:
    async with (
        exchange() as sim,
        wiretap(nats_server.url) as tap,
        service("run", "--symbols", "btcusdt,ETHUSDT", NATS_URL=nats_server.url, **endpoints(sim)) as process,
    ):
        wanted = {f"md.events.{kind}.{symbol}" for kind in ("trade", "quote", "book_l2") for symbol in SYMBOLS}
        await tap.until(lambda: all(len(tap.on(subject)) >= 30 for subject in TRADES) and wanted <= tap.subjects, 20)
        assert (await process.health("ready"))["reasons"] == []
        status, stats = await process.get("/bus-stats")
        assert status == 200
        assert stats["sinks"]["nats"]["total"]["difference"] == 0
        assert stats["link"]["lost_on_disconnect"] == stats["link"]["unconfirmed"] == 0
        assert stats["link"]["published"] + stats["link"]["pending"] == stats["sinks"]["nats"]["total"]["delivered"]
        status, metrics = await process.get("/metrics")
        assert status == 200
        assert 'md_feed_connected{provider="binance"} 1.0' in metrics
        process.signal(signal.SIGTERM)
        assert await process.ended() == 0
        rows = ledger(process)
        total = sum(row["delivered"] for row in rows.values())
        await tap.until(lambda: len(tap.messages) == total)
    for subject in tap.subjects:
        events = tap.on(subject)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert len({event.epoch for event in events}) == 1
    for subject in TRADES:
        ids = [int(event.trade_id) for event in tap.on(subject) if isinstance(event, Trade)]
        assert ids == list(range(ids[0], ids[0] + len(ids))), "the exchange numbers its trades without holes"
    assert all(row["queued"] == row["dropped"] == 0 for row in rows.values())


async def test_without_nats_it_starts_says_so_once_and_recovers_by_itself(service: Service, wiretap: Any) -> None:
    with NatsServer() as server:
        server.stop()
        async with exchange(200) as sim, service("run", NATS_URL=server.url, **endpoints(sim)) as process:
            body = await process.health("not_ready")
            assert any("NATS" in reason for reason in body["reasons"])
            await process.queued("trade", 5)
            server.start()
            async with wiretap(server.url) as tap:
                await process.health("ready")
                await tap.until(lambda: all(len(tap.on(subject)) >= 3 for subject in TRADES))
            process.signal()
            assert await process.ended() == 0
            rows = ledger(process)
            warnings = [entry for entry in process.log if entry["level"] in ("warning", "error")]
    assert len(warnings) == 1, warnings
    assert "NATS" in str(warnings[0])
    assert rows["trade"]["dropped"] == rows["trade"]["queued"] == 0


async def test_trades_beyond_the_bound_wait_on_disk_and_are_published_once_and_in_order(
    nats_server: NatsServer, service: Service, wiretap: Any
) -> None:
    variables = {"NATS_URL": nats_server.url, "BUS_CAPACITY": 60}
    async with exchange(2000) as sim, wiretap(nats_server.url) as tap:
        nats_server.pause()
        async with service("run", **variables, **endpoints(sim)) as process:
            stats = await process.spilled(1500)
            assert not stats["saturated"]
            assert stats["sinks"]["nats"]["journal"]["records"] >= 1500
            body = (await process.get("/health"))[1]
            assert [reason.partition(" at ")[0] for reason in body["reasons"]] == ["not connected to NATS"]
            assert any("wait on disk" in notice for notice in body["notices"])
            _, metrics = await process.get("/metrics")
            assert re.search(r'md_sink_spilled_events\{sink="nats",type="trade"\} [1-9]', metrics)
            nats_server.resume()
            await process.said("no event waits on disk any more")
            assert (await process.health("ready"))["notices"] == []
            process.signal()
            assert await process.ended() == 0
            rows = ledger(process)
            total = sum(row["delivered"] for row in rows.values())
            await tap.until(lambda: len(tap.messages) == total)
    assert rows["trade"]["delivered"] == rows["trade"]["received"] > 1500
    assert rows["quote"]["conflated"] > 0
    drops = [event for _, event in tap.messages if isinstance(event, Status) and event.kind == "drop"]
    for kind in ("quote", "book_l2"):
        told = [event.detail for event in drops if event.detail["type"] == kind]
        assert sum(detail["missing"] for detail in told) == rows[kind]["conflated"]
        assert all(detail["latest_kept"] for detail in told)
    for subject in tap.subjects:
        assert [event.seq for event in tap.on(subject)] == list(range(1, len(tap.on(subject)) + 1))
    for subject in TRADES:
        assert_whole(tap.on(subject))


async def test_when_the_disk_bound_is_reached_too_the_sockets_stop_until_there_is_room(
    nats_server: NatsServer, service: Service, wiretap: Any
) -> None:
    variables = {"NATS_URL": nats_server.url, "BUS_CAPACITY": 60, "SPILL_MAX_MB": 1}
    async with exchange(4000) as sim, wiretap(nats_server.url) as tap:
        nats_server.pause()
        async with service("run", **variables, **endpoints(sim)) as process:
            await process.said("bus full: sockets are not read", 30)
            body = await process.health("not_ready")
            assert any("sockets are not read" in reason for reason in body["reasons"])
            assert body["bus"]["saturated"]
            assert body["providers"]["binance"]["paused"]
            _, stats = await process.get("/bus-stats")
            journal = stats["sinks"]["nats"]["journal"]
            assert journal["max_bytes"] - 1000 < journal["bytes"] <= journal["max_bytes"] == 1 << 20
            nats_server.resume()
            await process.said("bus has room: sockets are read again")
            await process.health("ready")
            await process.said("no event waits on disk any more")
            process.signal()
            assert await process.ended() == 0
            rows = ledger(process)
            total = sum(row["delivered"] for row in rows.values())
            await tap.until(lambda: len(tap.messages) == total)
    assert rows["trade"]["conflated"] == rows["trade"]["dropped"] == 0
    assert rows["trade"]["delivered"] == rows["trade"]["received"] > 3000
    for subject in TRADES:
        assert_whole(tap.on(subject))


async def test_without_spilling_memory_alone_decides_when_the_sockets_stop(service: Service) -> None:
    variables = {"NATS_URL": "nats://127.0.0.1:1", "BUS_CAPACITY": 60, "SPILL_MAX_MB": 0}
    async with exchange(1000) as sim, service("run", **variables, **endpoints(sim)) as process:
        await process.said("bus full: sockets are not read")
        body = await process.health("not_ready")
        assert body["bus"]["on_disk"] == {}
        process.signal()
        assert await process.ended(10) == 0
        rows = ledger(process)
    assert rows["trade"]["dropped"] > 50
    assert rows["trade"]["spilled"] == 0


async def test_what_nats_never_took_is_kept_for_the_next_run_or_dropped_by_name_and_no_output_holds_a_password(
    service: Service, nats_server: NatsServer, wiretap: Any
) -> None:
    variables = {"NATS_URL": "nats://user:canary@127.0.0.1:1,nats://canary@127.0.0.1:2", "LOG_LEVEL": "DEBUG"}
    async with exchange(200) as sim:
        async with service("run", **variables, **endpoints(sim)) as process:
            await process.queued("trade", 5)
            bodies = [await process.get(path) for path in ("/health", "/bus-stats", "/metrics", "/")]
            process.signal(signal.SIGINT)
            assert await process.ended(10) == 0
            rows = ledger(process)
            dropped = await process.said("events dropped at the end")
            kept = await process.said("events kept on disk at the end")
        assert rows["trade"]["spilled"] >= 5
        assert rows["trade"]["dropped"] == 0
        assert "canary" not in "\n".join(process.lines) + str(bodies)
        assert dropped["events"] == sum(row["dropped"] for row in rows.values())
        assert kept["events"] == rows["trade"]["spilled"] + rows.get("status", {"spilled": 0})["spilled"]

        async with (
            wiretap(nats_server.url) as tap,
            service("run", NATS_URL=nats_server.url, **endpoints(sim)) as process,
        ):
            assert (await process.said("an earlier run left events on disk"))["events"] == kept["events"]
            await process.health("ready")
            process.signal()
            assert await process.ended() == 0
            again = ledger(process)
            await tap.until(lambda: len(tap.messages) == sum(row["delivered"] for row in again.values()))
    assert again["trade"]["recovered"] == rows["trade"]["spilled"]
    for subject in TRADES:
        ids = [int(event.trade_id) for event in tap.on(subject) if isinstance(event, Trade)]
        assert ids == sorted(set(ids)), "those of the earlier run first, and none twice"
        assert [event.seq for event in tap.on(subject)] == list(range(1, len(ids) + 1))


async def test_a_second_service_on_the_same_folder_is_refused(nats_server: NatsServer, service: Service) -> None:
    async with exchange(50) as sim, service("run", NATS_URL=nats_server.url, **endpoints(sim)) as first:
        await first.said("started")
        async with service("run", NATS_URL=nats_server.url, **endpoints(sim)) as second:
            assert await second.ended() == 2
        assert len(second.lines) == 1
        assert "SPILL_DIR" in second.lines[0]
        assert f"is in use by another process (pid {first.process.pid})" in second.lines[0]
        first.signal()
        assert await first.ended() == 0


async def test_a_spill_folder_that_cannot_be_is_refused_at_the_start(service: Service, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with service("run", SPILL_DIR=tmp_path / "file") as process:
        assert await process.ended() == 2
    assert process.lines == [f"SPILL_DIR: cannot keep events in {tmp_path}/file/nats: File exists"]


async def test_a_second_signal_ends_it_at_once_with_the_ledger(nats_server: NatsServer, service: Service) -> None:
    async with exchange() as sim, service("run", NATS_URL=nats_server.url, **endpoints(sim)) as process:
        await process.health("ready")
        nats_server.pause()
        process.signal(signal.SIGTERM)
        await process.said("stopping")
        process.signal(signal.SIGTERM)
        assert await process.ended() == 1, "in its own time it would be 0, after some seconds"
        nats_server.resume()
        ledger(process)


async def test_a_frozen_nats_does_not_hold_the_stop_beyond_ten_seconds(
    nats_server: NatsServer, service: Service
) -> None:
    async with exchange() as sim, service("run", NATS_URL=nats_server.url, **endpoints(sim)) as process:
        await process.health("ready")
        nats_server.pause()
        process.signal()
        assert await process.ended(10) == 0
        nats_server.resume()
        ledger(process)


async def test_without_nats_by_setting_every_event_is_counted_and_let_go_by_name(service: Service) -> None:
    async with exchange() as sim, service("run", NATS_ENABLED="false", **endpoints(sim)) as process:
        body = await process.health("ready")
        assert body["nats"]["enabled"] is body["nats"]["connected"] is False
        assert body["nats"]["url"] is body["nats"]["last_error"] is None
        assert (await process.said("started"))["nats"] == "off: events are discarded"
        process.signal()
        assert await process.ended() == 0
        assert process.log[-1]["sink"] == "discard"
        rows = ledger(process)
    assert sum(row["received"] for row in rows.values()) > 0  # ready means that something has come, not which type
    assert all(row["delivered"] == row["received"] for row in rows.values())
