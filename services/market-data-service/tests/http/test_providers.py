"""Which provider is active and why, and who may change that."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from app.http import OrderRules
from app.http.order import carry_out

MakeRoom = Callable[..., Any]
BOTH = ("binance", "bybit")
TOKEN = OrderRules("open sesame")
AUTHORISED = {"Authorization": "Bearer open sesame"}


async def test_alone_a_provider_is_shown_with_its_health(make_room: MakeRoom) -> None:
    async with make_room() as room:
        room.pass_time(3, "binance")
        status, body = await room.get("/providers")
    assert status == 200
    assert (body["state"], body["active"], body["switches"], body["last_switch"]) == ("single", "binance", 0, None)
    binance = body["providers"]["binance"]
    assert (binance["role"], binance["active"], binance["healthy"], binance["reasons"]) == ("primary", True, True, [])
    assert (binance["connected"], binance["silent_for_s"], binance["standby_events"]) == (True, 0.0, 0)


async def test_a_failover_is_shown_with_its_reason_and_its_end_to_come(make_room: MakeRoom) -> None:
    async with make_room(*BOTH) as room:
        room.pass_time(3, *BOTH)
        assert (await room.get("/providers"))[1]["state"] == "primary"
        room.pass_time(11, "bybit")
        body = (await room.get("/providers"))[1]
        assert (body["state"], body["active"], body["switches"]) == ("standby", "bybit", 1)
        last = body["last_switch"]
        assert (last["from"], last["to"]) == BOTH
        assert last["reason"].startswith("primary failed: no market data for 10.")
        assert last["ago_s"] < 5
        assert 25 < body["no_switch_for_s"] <= 30
        assert not body["providers"]["binance"]["healthy"]
        assert body["providers"]["bybit"]["standby_events"] > 0
        health = (await room.get("/health"))[1]
        assert (health["status"], health["active"]) == ("ready", "bybit"), "a standby in trouble is no reason"
        room.pass_time(5, *BOTH)
        body = (await room.get("/providers"))[1]
        assert body["state"] == "probing"
        assert 55 < body["probation_left_s"] <= 60


async def test_when_neither_is_healthy_health_says_so(make_room: MakeRoom) -> None:
    async with make_room(*BOTH) as room:
        room.pass_time(3, *BOTH)
        room.pass_time(15)
        status, body = await room.get("/health")
        note = (await room.get("/providers"))[1]["note"]
    assert status == 503
    assert note == "neither binance nor bybit is healthy: staying on binance"
    assert body["reasons"] == ["binance: no market data for 15 s", note]


async def test_the_choice_is_in_the_metrics(make_room: MakeRoom) -> None:
    async with make_room(*BOTH) as room:
        room.pass_time(3, *BOTH)
        room.pass_time(11, "bybit")
        _, text = await room.get("/metrics")
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for provider, active, healthy in (("binance", 0, 0), ("bybit", 1, 1)):
        assert found["md_active_provider", ("provider", provider)] == active
        assert found["md_provider_healthy", ("provider", provider)] == healthy
    assert found["md_standby_events_total", ("provider", "bybit")] > 0
    assert found["md_failover_switches_total", ("from", "binance"), ("to", "bybit")] == 1
    assert found["md_failover_switches_total", ("from", "bybit"), ("to", "binance")] == 0


async def order(room: Any, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    status, answer = await room.get("/failover", "POST", json=body, headers=AUTHORISED if headers is None else headers)
    return status, answer


async def test_an_order_rehearses_a_switch(make_room: MakeRoom) -> None:
    async with make_room(*BOTH, orders=TOKEN) as room:
        room.pass_time(3, *BOTH)
        assert await order(room, {"to": "bybit"}) == (200, {"from": "binance", "to": "bybit", "state": "standby"})
        assert room.doors.last_switch == {"from": "binance", "to": "bybit", "reason": "ordered"}
        status, body = await order(room, {"to": "binance"})
        assert (status, body["error"]) == (409, "the last switch is too recent: try again in 30 s")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"to": "mars"}, 409, "unknown provider 'mars': expected binance or bybit"),
        ({"to": "binance"}, 409, "it is the active one already"),
        ({"to": "bybit"}, 409, "it is unhealthy: no market data yet"),
        ({"to": 1}, 400, "not an order"),
        ({}, 400, "not an order"),
        ([], 400, "not an order"),
        ({"to": "x" * 2_000}, 413, "body too long"),
    ],
)
async def test_an_order_that_cannot_be_carried_out_is_refused(
    make_room: MakeRoom, body: Any, status: int, error: str
) -> None:
    async with make_room(*BOTH, orders=TOKEN) as room:
        answer = await order(room, body)
        assert answer[0] == status
        assert answer[1]["error"] == error
        assert answer[1]["hint"]
        assert room.liveness.active == "binance"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic open sesame"}, {"Authorization": "Bearer é"}],
)
async def test_without_the_token_nothing_is_done(make_room: MakeRoom, headers: dict[str, str]) -> None:
    async with make_room(*BOTH, orders=TOKEN) as room:
        room.pass_time(3, *BOTH)
        status, body = await order(room, {"to": "bybit"}, headers)
        assert (status, body["error"]) == (401, "wrong or missing token")
        assert room.liveness.active == "binance"


async def test_without_a_token_in_the_settings_orders_are_off(make_room: MakeRoom) -> None:
    async with make_room(*BOTH) as room:
        room.pass_time(3, *BOTH)
        for headers in ({}, AUTHORISED, {"Authorization": "Bearer None"}, {"Authorization": "Bearer "}):
            status, body = await order(room, {"to": "bybit"}, headers)
            assert (status, body["error"]) == (403, "orders are off")
            assert "FAILOVER_TOKEN" in body["hint"]
        assert (await room.get("/providers"))[1]["orders"] == "off"


def request_from(host: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"to": "bybit"}'}

    headers = [(b"authorization", b"Bearer open sesame")]
    scope = {"type": "http", "method": "POST", "path": "/failover", "headers": headers, "client": (host, 1)}
    return Request(scope, receive)


@pytest.mark.parametrize(
    ("host", "remote", "status"),
    [
        ("127.0.0.1", False, 200),
        ("::1", False, 200),
        ("::ffff:127.0.0.1", False, 200),
        ("192.0.2.7", False, 403),
        ("::ffff:192.0.2.7", False, 403),
        ("2001:db8::1", False, 403),
        ("testclient", False, 403),
        ("192.0.2.7", True, 200),
    ],
)
async def test_orders_come_from_this_machine_unless_the_settings_say_otherwise(
    make_room: MakeRoom, host: str, remote: bool, status: int
) -> None:
    async with make_room(*BOTH) as room:
        room.pass_time(3, *BOTH)
        answer = await carry_out(request_from(host), OrderRules("open sesame", remote), room.liveness)
        assert answer.status_code == status


async def test_the_wrong_method_is_told_the_right_one(make_room: MakeRoom) -> None:
    async with make_room() as room:
        status, body = await room.get("/failover")
        assert status == 405
        assert "POST" in body["hint"]
        assert "/failover" in (await room.get("/"))[1]["orders"]
