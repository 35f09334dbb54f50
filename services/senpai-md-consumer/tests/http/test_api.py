"""The endpoints over a real socket, on a running service that is fed by hand."""

import asyncio
import re
from typing import Any

import pytest

from md_contract import codec

SPECIFIED = {
    "mid",
    "spread_abs",
    "spread_bps",
    "trade_vwap_10s",
    "trade_vwap_60s",
    "trade_count_10s",
    "trade_volume_10s",
    "return_10s",
    "realized_vol_60s",
    "latency_ms_p50",
    "latency_ms_p95",
}


async def test_root_lists_every_endpoint_and_each_of_them_answers(api: Any) -> None:
    await api.feed(api.trade())
    status, body = await api.get("/")
    assert status == 200
    listed = set(body["endpoints"])
    assert listed >= {"/health", "/metrics", "/state/latest?symbol=", "/features/latest?symbol=", "/stats"}
    for path in listed:
        address = api.url + path.replace("symbol=", "symbol=BTCUSDT").partition("symbols=")[0]
        async with api.session.get(address) as response:
            assert response.status in {200, 503}
            status, kind = response.status, response.content_type
        async with api.session.head(address) as response:
            assert (response.status, response.content_type) == (status, kind)
            assert await response.read() == b""


async def test_health_is_503_without_nats_and_says_why(api: Any) -> None:
    status, body = await api.get("/health")
    assert status == 503
    assert body["status"] == "not_ready"
    assert "NATS" in body["reasons"][0]
    assert body["nats"]["connected"] is False
    assert body["symbols"] == []


async def test_ready_is_503_without_nats_and_while_something_else_is_not_done(api: Any) -> None:
    api.service.views.not_ready = lambda: ["warming up: 12 s of 60 s replayed"]
    status, body = await api.get("/ready")
    assert status == 503
    assert body["status"] == "not_ready"
    assert "NATS" in body["reasons"][0]
    assert body["reasons"][1] == "warming up: 12 s of 60 s replayed"


async def test_symbols_are_shown_with_their_provider_age_and_flags(api: Any) -> None:
    assert await api.get("/symbols") == (200, {"symbols": []})
    await api.feed(api.trade("ETHUSDT"), api.quote("BTCUSDT"))
    _, body = await api.get("/symbols")
    assert [row["symbol"] for row in body["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    for row in body["symbols"]:
        assert row["provider"] == "binance"
        assert 0 <= row["last_event_age_ms"] < 10_000
        assert (row["warm"], row["stale"], row["gap"], row["reasons"]) == (False, False, False, ["warming_up"])


async def test_health_names_the_tracked_symbols(api: Any) -> None:
    await api.feed(api.trade("ETHUSDT"), api.quote("BTCUSDT"), api.book("BTC/USD"))
    _, body = await api.get("/health")
    assert body["symbols"] == ["BTC/USD", "BTCUSDT", "ETHUSDT"]
    assert 0 <= body["last_event_age_ms"] < 10_000


async def test_state_is_the_latest_of_each_kind_as_received(api: Any) -> None:
    await api.feed(api.trade(price="100.10"), api.trade(price="100.20", second=1), api.quote(), api.book())
    status, body = await api.get("/state/latest", symbol="BTCUSDT")
    assert status == 200
    assert body["symbol"] == "BTCUSDT"
    assert body["trade"]["price"] == "100.20"
    assert (body["quote"]["bid"], body["quote"]["ask_size"]) == ("99.99", "2")
    assert body["book"]["bids"] == [["99.99", "1"]]


async def test_state_is_null_where_nothing_has_come_yet(api: Any) -> None:
    await api.feed(api.trade())
    _, body = await api.get("/state/latest", symbol="BTCUSDT")
    assert body["quote"] is None
    assert body["book"] is None


async def test_features_are_a_feature_message_with_every_specified_name(api: Any) -> None:
    await api.feed(api.trade(price="100"), api.trade(price="101", second=1), api.quote(second=1))
    async with api.session.get(api.url + "/features/latest?symbol=BTCUSDT") as response:
        assert response.status == 200
        vector = codec.decode_features(await response.read())
    assert set(vector.features) >= SPECIFIED
    assert vector.features["mid"] == pytest.approx(100.0)
    assert vector.features["trade_vwap_10s"] == pytest.approx(100.5)
    assert vector.trust.source == "binance"
    assert vector.epoch == api.service.publisher.epoch


async def test_a_symbol_may_be_written_in_any_case(api: Any) -> None:
    await api.feed(api.trade("BTC/USD"), api.trade("stETH"))
    for symbol in ("BTC/USD", "btc/usd", " Btc/Usd "):
        assert (await api.get("/features/latest", symbol=symbol))[1]["symbol"] == "BTC/USD"
    for symbol in ("stETH", "STETH", "steth"):
        assert (await api.get("/state/latest", symbol=symbol))[1]["symbol"] == "stETH"
    async with api.session.get(f"{api.url}/features/latest?symbol=BTC/USD") as response:
        assert (await response.json())["symbol"] == "BTC/USD"


async def test_an_unknown_symbol_is_404_and_names_the_tracked_ones(api: Any) -> None:
    await api.feed(api.trade("ETHUSDT"), api.trade("BTCUSDT"))
    for path in ("/state/latest", "/features/latest"):
        status, body = await api.get(path, symbol="XYZ")
        assert status == 404
        assert body["error"] == "unknown symbol 'XYZ'"
        assert body["symbols"] == ["BTCUSDT", "ETHUSDT"]
        assert body["hint"]


async def test_an_unknown_symbol_before_any_event_says_what_to_look_at(api: Any) -> None:
    status, body = await api.get("/features/latest", symbol="BTCUSDT")
    assert status == 404
    assert body["symbols"] == []
    assert "market-data-service" in body["hint"]


async def test_a_missing_or_unusable_symbol_is_422_with_an_example(api: Any) -> None:
    for path in ("/state/latest", "/features/latest"):
        for query in ({}, {"symbol": ""}, {"symbol": "X" * 1_000}):
            status, body = await api.get(path, **query)
            assert status == 422
            assert "symbol" in body["error"]
            assert f"{path}?symbol=" in body["hint"]


async def test_unknown_and_repeated_parameters_are_422_with_a_hint(api: Any) -> None:
    await api.feed(api.trade("A"), api.trade("B"))
    status, body = await api.get("/stream?typs=signals")
    assert (status, body) == (422, {"error": "unknown parameter: 'typs'", "hint": "/stream takes symbols, types"})
    status, body = await api.get("/features/latest?symbl=A")
    assert (status, body["hint"]) == (422, "/features/latest takes symbol")
    status, body = await api.get("/features/latest?symbol=A&symbol=B")
    assert (status, body["error"]) == (422, "given more than once: 'symbol'")
    status, body = await api.get("/stream?symbols=A&symbols=B")
    assert (status, body["hint"]) == (422, "give it once, with commas between: symbols=BTCUSDT,ETHUSDT")
    assert (await api.get("/ready?probe=1"))[0] == 503  # probes and scrapers add what they like


async def test_hostile_symbols_are_404(api: Any) -> None:
    for symbol in ("__system__", "*", ">", "../etc", "\x00", "测试", "🙂", "a b", "   "):
        status, body = await api.get("/features/latest", symbol=symbol)
        assert (status, set(body)) == (404, {"error", "hint", "symbols"})


async def test_other_errors_are_json_too(api: Any) -> None:
    for path, method, expected in (("/nowhere", "GET", 404), ("/health", "POST", 405), ("/state", "DELETE", 404)):
        status, body = await api.get(path, method)
        assert status == expected
        assert body["error"]
        assert body["hint"]
    assert "/health" in (await api.get("/nowhere"))[1]["endpoints"]
    async with api.session.post(api.url + "/stats") as response:
        assert response.headers["allow"]


async def test_a_page_of_another_origin_may_not_read_anything(api: Any) -> None:
    headers = {"Origin": "http://elsewhere.example"}
    for path in ("/health", "/stream"):
        async with api.session.get(api.url + path, headers=headers) as response:
            assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_the_page_for_people_needs_nothing_from_the_internet(api: Any) -> None:
    page = await api.text("/docs")
    own = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert own
    for address in own:
        assert address.startswith("/")
        async with api.session.get(api.url + address) as response:
            assert response.status == 200
            assert len(await response.read()) > 1_000
    assert "://" not in re.sub(r"<!--.*?-->", "", page)


async def test_silent_connections_keep_nobody_out(api: Any) -> None:
    port = api.service.http.port
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    async with asyncio.timeout(5):
        assert (await api.get("/health"))[0] == 503
        assert "senpai_queue_fill_ratio" in await api.text("/metrics")
        _, stats = await api.get("/stats")
    assert stats["http"]["evicted"] >= 300 - stats["http"]["most_connections"]
    for _, writer in silent:
        writer.close()


async def test_stats_add_up(api: Any) -> None:
    await api.feed(*(api.trade(seq=seq, second=seq) for seq in (1, 2, 2, 6)), api.quote())
    api.service.subscriber.on_message("md.events.trade.X", b"no json")
    status, body = await api.get("/stats")
    assert status == 200
    assert body["ledger"]["trade"] == {
        "received": 4,
        "delivered": 3,
        "conflated": 0,
        "dropped": 1,
        "spilled": 0,
        "queued": 0,
        "difference": 0,
    }
    assert {line["difference"] for line in body["ledger"].values()} == {0}
    assert body["drops"]["duplicate"] == {"trade": 1}
    assert body["bus"]["gaps"]["trade"] == 1
    assert body["bus"]["missing"]["trade"] == 3
    assert body["bus"]["duplicates"]["trade"] == 1
    assert body["bad_input"]["not_json"]["count"] == 1
    assert body["bad_input"]["not_json"]["sample"]["payload"] == "no json"
    assert body["queue"]["fill_ratio"] == 0.0
    assert body["nats"]["connected"] is False
    assert body["events_per_second"] >= 0


async def test_values_the_heart_rejects_are_counted_in_stats_and_neighbours_kept(api: Any) -> None:
    await api.feed(
        api.trade(price="100"),
        api.trade(price="NaN", second=0.1),
        api.trade(price="-5", second=0.2),
        api.trade(size="inf", second=0.3),
        api.trade(price="102", second=0.4),
    )
    _, features = await api.get("/features/latest", symbol="BTCUSDT")
    assert features["features"]["trade_count_10s"] == 2
    assert features["features"]["trade_vwap_10s"] == pytest.approx(101.0)
    _, stats = await api.get("/stats")
    assert sum(by_type["trade"] for by_type in stats["pipeline"]["rejected"].values()) == 3


async def test_signals_are_shown_by_symbol(api: Any) -> None:
    await api.feed(api.quote(), *(api.trade(second=second, price="100") for second in range(12)))
    await api.feed(api.quote(second=12, bid="100.99", ask="101.01"), api.trade(second=12, price="101", size="3"))
    _, stats = await api.get("/stats")
    assert stats["publisher"]["outbox"]["waiting"] == 1
    assert stats["publisher"]["outbox"]["refused"] == 1


async def test_a_fault_is_500_json_without_a_trace(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(symbol: str) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(api.service.publisher, "features_now", broken)
    await api.feed(api.trade())
    status, body = await api.get("/features/latest", symbol="BTCUSDT")
    assert status == 500
    assert "secret" not in str(body)
    assert (await api.get("/state/latest", symbol="BTCUSDT"))[0] == 200


async def test_many_clients_at_once_are_served(api: Any) -> None:
    await api.feed(api.trade())
    answers = await asyncio.gather(*(api.get("/features/latest", symbol="BTCUSDT") for _ in range(60)))
    assert {status for status, _ in answers} == {200}
