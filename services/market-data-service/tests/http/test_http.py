"""The HTTP side over real sockets: what people, probes and Prometheus see."""

import asyncio
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.bus import NATS
from app.feed import ConnectionState
from app.http import BadHostError, PortTakenError, describe_bus, describe_health, listen
from app.journal import Journal
from md_contract.events import EVENT_TYPES, Quote, Trade


def trade(ts_recv: int, symbol: str = "BTCUSDT") -> Trade:
    return Trade("binance", symbol, ts_recv, "1", "1", "1")


async def test_health_is_200_when_connected_and_fed(room: Any) -> None:
    room.see()
    status, body = await room.get("/health")
    assert (status, body["status"], body["reasons"]) == (200, "ready", [])
    assert body["symbols"]["BTCUSDT"]["last_event_age_s"] < 5
    assert body["symbols"]["ETHUSDT"]["last_event_age_s"] is None
    assert body["providers"]["binance"]["connected"]
    assert body["bus"] == {"saturated": False, "fill_ratio": {"nats": 0.0}, "on_disk": {}}
    assert (await room.get("/ready"))[0] == 200


async def test_each_reason_for_not_being_ready_is_said_in_plain_words(room: Any) -> None:
    assert (await room.get("/health"))[1]["reasons"] == ["no market data has come yet"]
    room.see()
    room.pass_time(12)
    assert (await room.get("/health"))[1]["reasons"] == ["binance: no market data for 12 s"]
    room.see()
    room.pass_time(1)
    room.connection.state = ConnectionState.WAITING
    room.parts.link = room.link
    room.shut = True
    for _ in range(12):
        room.bus.publish(trade(time.time_ns()))
    room.parts.stopping = True
    status, body = await room.get("/health")
    assert (status, body["status"]) == (503, "stopping")
    assert body["reasons"] == [
        "the service is stopping",
        "not connected to binance; it keeps trying",
        "not connected to NATS at nats://***@127.0.0.1:1; events are kept and it keeps trying",
        "the buffer of the sink 'nats' is full: sockets are not read until it has room",
    ]
    assert body["bus"] == {"saturated": True, "fill_ratio": {"nats": 1.2}, "on_disk": {}}


async def test_between_sessions_nothing_is_missing_and_a_notice_says_so(make_room: Any) -> None:
    sunday = int(datetime(2026, 11, 22, 17, tzinfo=UTC).timestamp()) * 10**9
    async with make_room(markets={"binance": "us_equity"}) as room:
        body = describe_health(room.parts, sunday)
        assert (body["status"], body["reasons"]) == ("ready", [])
        assert body["notices"] == ["binance: outside the regular session of its market, where no data is missed"]
        monday = describe_health(room.parts, sunday + 24 * 3_600 * 10**9)
        assert (monday["status"], monday["reasons"]) == ("not_ready", ["no market data has come yet"])
        assert monday["notices"] == []
        room.connection.state = ConnectionState.WAITING
        assert describe_health(room.parts, sunday)["reasons"] == ["not connected to binance; it keeps trying"]


async def test_what_the_venue_refuses_is_a_notice_and_stale(room: Any) -> None:
    room.see()
    room.connection.refused = {"ETHUSDT": "trade: code 2"}
    room.pass_time(1)
    body = (await room.get("/health"))[1]
    assert body["notices"] == [
        "binance: 1 subscribed in part or not at all: ETHUSDT (trade: code 2); change SYMBOLS or the account"
    ]
    shown = (await room.get("/providers"))[1]["providers"]["binance"]
    assert (shown["stale_symbols"], shown["refused"]) == (["ETHUSDT"], {"ETHUSDT": "trade: code 2"})


async def test_a_venue_that_turns_us_away_is_quoted_with_the_time_of_the_next_attempt(room: Any) -> None:
    room.see()
    connection, now_ns = room.connection, time.time_ns()
    connection.state, connection.last_end = ConnectionState.WAITING, "error 409: insufficient subscription"
    connection.next_attempt_ns = now_ns + 600 * 10**9
    assert describe_health(room.parts, now_ns)["reasons"] == [
        "not connected to binance: error 409: insufficient subscription; next attempt in 600 s"
    ]


async def test_of_many_refused_symbols_a_notice_names_few(room: Any) -> None:
    room.connection.symbols = symbols = tuple(f"S{number}USDT" for number in range(2_000))
    room.connection.refused = dict.fromkeys(symbols, "trade: code 2")
    room.pass_time(1)
    (notice,) = describe_health(room.parts, time.time_ns())["notices"]
    assert "S4USDT (trade: code 2); and 1995 more, see /providers; change SYMBOLS" in notice
    assert len(notice) < 300


async def test_events_on_disk_are_a_notice_and_a_full_disk_is_a_reason(room: Any, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 8 * 1024)
    buffer = room.bus.attach("slow", lambda _: False, 10, NATS, journal)
    room.see()
    for number in range(19):
        room.bus.publish(trade(number))
    status, body = await room.get("/health")
    assert (status, body["reasons"]) == (200, [])
    assert body["bus"]["on_disk"] == {"slow": 10}
    assert [re.sub(r"\d+ %|\d+%", "N%", notice) for notice in body["notices"]] == [
        "10 events for the sink 'slow' wait on disk, which is N% full; they go out in order when it takes them"
    ]
    _, stats = await room.get("/bus-stats")
    assert stats["sinks"]["slow"]["types"]["trade"]["spilled"] == stats["sinks"]["slow"]["journal"]["records"] == 10
    assert stats["sinks"]["nats"]["journal"] is None
    _, metrics = await room.get("/metrics")
    assert 'md_sink_spilled_events{sink="slow",type="trade"} 10.0' in metrics
    assert 'md_journal_records{sink="slow"} 10.0' in metrics
    assert f'md_journal_bytes{{sink="slow"}} {journal.bytes}.0' in metrics
    while not buffer.saturated:
        room.bus.publish(trade(1))
    status, body = await room.get("/health")
    assert status == 503
    assert body["reasons"] == ["the buffer of the sink 'slow' is full: sockets are not read until it has room"]
    journal.close()


async def test_symbols_the_venue_does_not_know_are_shown_with_the_reason(room: Any) -> None:
    room.feed.symbols = ("BTCUSDT",)
    room.feed.excluded = {"ETHUSDT": "not listed"}
    room.see()
    status, body = await room.get("/health")
    assert (status, body["excluded"]) == (200, {"ETHUSDT": "not listed"})
    room.feed.symbols = ()
    assert (await room.get("/health"))[1]["reasons"] == ["nothing to follow: binance has none of the symbols (ETHUSDT)"]


async def test_livez_is_200_whatever_the_venue_and_nats_do(room: Any) -> None:
    room.connection.state = ConnectionState.WAITING
    assert await room.get("/livez") == (200, {"status": "alive"})


async def test_bus_stats_are_the_ledger_and_its_sums_close(room: Any) -> None:
    room.see()
    room.shut = True
    for number in range(20):
        room.bus.publish(Quote("binance", "BTCUSDT", number + 1, "1", "1", "2", "1"))
        room.see("ETHUSDT")
    status, body = await room.get("/bus-stats")
    assert status == 200
    sink = body["sinks"]["nats"]
    assert body["saturated"]
    assert sink["types"]["quote"]["conflated"] > 0
    assert sink["types"]["trade"]["delivered"] == 1
    assert sink["total"]["received"] == 41
    assert set(sink["types"]) == set(EVENT_TYPES)
    for row in (*sink["types"].values(), sink["total"]):
        parts = ("delivered", "conflated", "dropped", "spilled", "queued")
        assert row["received"] == sum(row[name] for name in parts)
        assert row["difference"] == 0
    assert body == describe_bus(room.bus, None)


async def test_metrics_have_our_prefix_known_labels_and_no_created_series(room: Any) -> None:
    room.see()
    room.bus.publish(trade(1, "HOSTILE\n{}"))
    room.feed.counters.gaps = 3
    status, text = await room.get("/metrics")
    assert status == 200
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert all(name.startswith(("md_", "process_")) for name in families)
    assert "_created" not in text
    assert "HOSTILE" not in text
    assert "canary" not in text
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families.values() for s in f.samples}
    assert samples["md_events_received_total", (("type", "trade"),)] == 2
    assert samples["md_events_received_total", (("type", "quote"),)] == 0
    assert samples["md_sink_events_total", (("outcome", "delivered"), ("sink", "nats"), ("type", "trade"))] == 2
    assert samples["md_feed_gaps_total", (("provider", "binance"),)] == 3
    assert samples["md_feed_connected", (("provider", "binance"),)] == 1
    assert samples["md_feed_quarantined_total", (("provider", "binance"), ("reason", "not_json"))] == 0
    assert samples["md_nats_connected", ()] == 0
    last = samples["md_last_event_timestamp_seconds", (("symbol", "BTCUSDT"), ("type", "trade"))]
    assert last == pytest.approx(time.time(), abs=5)


async def test_every_endpoint_that_is_listed_answers_get_and_head(room: Any) -> None:
    room.see()
    status, body = await room.get("/")
    assert status == 200
    for path in body["endpoints"]:
        assert (await room.get(path))[0] == 200
        assert await room.get(path, "HEAD") == (200, "")


async def test_errors_are_json_with_a_hint(room: Any) -> None:
    status, body = await room.get("/healthz")
    assert (status, body["error"], body["path"]) == (404, "not found", "/healthz")
    assert "/health" in body["hint"]
    status, body = await room.get("/health", "POST")
    assert (status, body["error"]) == (405, "method not allowed")


async def test_a_defect_behind_an_endpoint_shows_no_inside(room: Any) -> None:
    def broken() -> bytes:
        raise RuntimeError("canary")

    room.parts.metrics = broken
    status, body = await room.get("/metrics")
    assert status == 500
    assert body == {"error": "internal error", "path": "/metrics", "hint": "the reason is in the service's log"}


def test_a_taken_port_is_one_line_that_names_the_port_and_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port} .* HTTP_PORT") as refused:
            listen("127.0.0.1", port)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "nohost.invalid", "a..b"])
def test_a_host_that_is_not_this_machine_is_refused_by_the_name_of_its_setting(host: str) -> None:
    with pytest.raises(BadHostError, match=f"^HTTP_HOST: expected an address of this machine.*'{host}'"):
        listen(host, 0)


async def test_silent_connections_keep_nobody_out(room: Any) -> None:
    port = int(room.base.rpartition(":")[2])
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    async with asyncio.timeout(5):
        assert (await room.get("/livez"))[0] == 200
        assert (await room.get("/metrics"))[0] == 200
    assert room.server.gate.evicted >= 300 - room.server.gate.max_connections
    for _, writer in silent:
        writer.close()


async def test_every_endpoint_of_the_page_stands_below_a_heading(room: Any) -> None:
    _, schema = await room.get("/openapi.json")
    assert all(method["tags"] for path in schema["paths"].values() for method in path.values())


async def test_the_page_for_people_needs_nothing_from_the_internet(room: Any) -> None:
    _, page = await room.get("/docs")
    own = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert own
    assert all(address.startswith("/") for address in own)
    for address in own:
        async with aiohttp.ClientSession() as client, client.get(room.base + address) as answer:
            assert answer.status == 200


async def test_stop_ends_the_server_though_a_client_holds_its_connection(room: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(room.base.rpartition(":")[2]))
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    room.server.stop()
    async with asyncio.timeout(3):
        await reader.read()
    writer.close()
