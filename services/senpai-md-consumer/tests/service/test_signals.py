"""Signals taken back and withheld, and alerts of what is wrong with the system, on a real nats-server."""

from typing import Any

from md_contract import codec
from md_contract.events import Status


def path(bus: Any, *prices: float, start: float, step: float = 0.25) -> list[Any]:
    """A quote and a trade at each price."""
    events = []
    for number, price in enumerate(prices):
        second = start + number * step
        events += [
            bus.quote(second=second, bid=f"{price - 0.01:.4f}", ask=f"{price + 0.01:.4f}"),
            bus.trade(second=second, price=f"{price:.4f}"),
        ]
    return events


def signals(bus: Any) -> list[Any]:
    return [codec.decode_signal(payload) for payload in bus.on("senpai.signals.BTCUSDT")]


def alerts(bus: Any, kind: str) -> list[Any]:
    return [alert for alert in map(codec.decode_alert, bus.on("senpai.alerts")) if alert.kind == kind]


async def test_a_signal_whose_cause_vanishes_is_taken_back(bus: Any, consumer: Any, wait: Any) -> None:
    calm = path(bus, *[100.0] * 60, start=-20)
    await bus.send(*calm, *path(bus, 100.5, 100.5, 100.45, 100.1, 100.05, start=-5))
    await wait(lambda: len(signals(bus)) == 2, "both messages")
    new, cancel = signals(bus)
    assert (new.state, new.direction, cancel.state) == ("new", "long", "cancel")
    assert (cancel.id, cancel.valid_until, cancel.causes) == (new.id, new.valid_until, ["return_10s"])
    assert cancel.reason[0].value < 0.0015
    _, stats = await consumer.get("/stats")
    assert (stats["signals"], stats["publisher"]["signals_cancelled"]) == ({"BTCUSDT": {"long": 1, "short": 0}}, 1)


async def test_a_gap_takes_a_signal_back(bus: Any, consumer: Any, wait: Any) -> None:
    await bus.send(*path(bus, *[100.0] * 60, start=-20), *path(bus, 100.5, start=-5))
    await wait(lambda: len(signals(bus)) == 1, "the signal")
    bus.lose("trade", "BTCUSDT", 2)
    await bus.send(bus.trade(second=-4, price="100.5"))
    await wait(lambda: len(signals(bus)) == 2, "its cancel")
    assert signals(bus)[1].causes == ["warming_up", "trade_gap"]


async def test_a_withheld_signal_is_not_published_but_counted_with_its_reason(
    bus: Any, consumer: Any, wait: Any
) -> None:
    await bus.send(*path(bus, *[100.0] * 60, start=-20))
    await bus.send(Status("binance", "BTCUSDT", bus.start, "reconnect", {"reason": "closed"}))
    await bus.send(*path(bus, 100.5, 100.5, start=-5))
    await consumer.delivered(125)
    _, stats = await consumer.get("/stats")
    assert stats["withheld"]["counts"] == {"momentum": {"long": {"reconnect": 1}}}
    (sample,) = stats["withheld"]["samples"]
    assert (sample["symbol"], sample["reasons"]) == ("BTCUSDT", ["reconnect"])
    assert {condition["name"] for condition in sample["conditions"]} == {"return_10s", "trade_volume_10s", "spread_bps"}
    await bus.client.flush()
    assert signals(bus) == []
    await bus.send(*path(bus, *[100.5] * 20, start=-4.5), *path(bus, 101.1, 101.1, start=5.6))
    await wait(lambda: signals(bus), "the signal once there is trust again")
    assert [(found.state, found.direction) for found in signals(bus)] == [("new", "long")]


async def test_the_loss_of_nats_is_told_when_it_is_back(
    nats_server: Any, running: Any, connect: Any, wait: Any
) -> None:
    async with running(nats_server.url) as consumer:
        service = consumer.service
        await wait(lambda: service.link.connected, "the connection")
        nats_server.kill()
        await wait(lambda: service.alerts.firing == ["nats"], "the alert")
        assert service.publisher.alerts_emitted == {}
        nats_server.restart()
        async with connect(nats_server.url) as bus:
            await wait(lambda: service.publisher.alerts_emitted == {"nats": 2}, "both halves", 20)
            await wait(lambda: "resolved" in [alert.state for alert in alerts(bus, "nats")], "what was told")
        assert service.alerts.firing == []


async def test_forged_numbers_silence_a_stream_for_a_moment_and_are_told(bus: Any, consumer: Any, wait: Any) -> None:
    await bus.send(*(bus.trade(second=number / 100) for number in range(50)))
    for seq in (10**15, 10**15 + 1):
        forged = bus.trade(second=0.5)
        forged.seq, forged.epoch = seq, 1
        await bus.send_raw("md.events.trade.BTCUSDT", codec.encode(forged))
    await bus.send(*(bus.trade(second=0.5 + number / 100, price="101") for number in range(50)))
    await wait(lambda: consumer.service.queue.received == 102, "all messages")
    _, stats = await consumer.get("/stats")
    assert (stats["bus"]["rebased"]["trade"], stats["bus"]["duplicates"]["trade"]) == (1, 19)
    await wait(lambda: alerts(bus, "duplicates"), "the alert")
    await consumer.delivered(82)
    _, state = await consumer.get("/state/latest", symbol="BTCUSDT")
    assert state["trade"]["price"] == "101"
