"""The whole service on a real nats-server: events in, features, signals and alerts out."""

import json
from pathlib import Path
from typing import Any

import pytest

from md_contract import codec
from md_contract.events import TYPE_OF, BookL2
from senpai.md_consumer.subscriber import RATE_WINDOW_S

PAGE = Path(__file__).parents[4] / "docs" / "input.md"
SAMPLED = ("bad_input", "tolerated_input")


async def test_a_burst_comes_out_at_the_rate_and_ends_with_its_last_state(bus: Any, consumer: Any, wait: Any) -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "BTC/USD")
    for number in range(300):
        for symbol in symbols:
            await bus.send(bus.trade(symbol, second=number / 1_000, price=str(100 + number)))
    await bus.send(*(bus.quote(symbol, second=0.301, bid="7", ask="9") for symbol in symbols))
    subjects = ("senpai.features.BTCUSDT", "senpai.features.ETHUSDT", "senpai.features.BTC_2FUSD")
    await wait(
        lambda: all(bus.on(to) and codec.decode_features(bus.on(to)[-1]).features["mid"] == 8 for to in subjects),
        "the last state of each symbol",
    )
    for subject in subjects:
        vectors = [codec.decode_features(payload) for payload in bus.on(subject)]
        assert vectors[-1].features["trade_count_10s"] == 300
        assert vectors[-1].features["trade_vwap_10s"] == pytest.approx(sum(range(100, 400)) / 300)
        assert [vector.seq for vector in vectors] == list(range(1, len(vectors) + 1))
        assert {vector.epoch for vector in vectors} == {consumer.service.publisher.epoch}
        emitted = [vector.ts_emit for vector in vectors]
        span_s = (emitted[-1] - emitted[0]) / 1e9
        assert len(vectors) <= span_s * 10 + 2
    _, body = await consumer.get("/features/latest", symbol="btcusdt")
    assert body["features"]["mid"] == 8
    assert body["seq"] == len(bus.on("senpai.features.BTCUSDT"))


async def test_a_move_makes_one_signal(bus: Any, consumer: Any, wait: Any) -> None:
    await bus.send(bus.quote(second=-20), *(bus.trade(second=second, price="100") for second in range(-20, -5)))
    for step in range(21):
        second = -5 + step / 4
        price = 100 + 0.5 * step / 20
        await bus.send(
            bus.quote(second=second, bid=f"{price - 0.01:.4f}", ask=f"{price + 0.01:.4f}"),
            bus.trade(second=second, price=f"{price:.4f}"),
        )
    await consumer.delivered(16 + 42)
    await wait(lambda: bus.on("senpai.signals.BTCUSDT"), "the signal")
    await bus.client.flush()
    (payload,) = bus.on("senpai.signals.BTCUSDT")
    found = codec.decode_signal(payload)
    assert (found.state, found.direction) == ("new", "long")
    assert {condition.name for condition in found.reason} >= {"return_10s", "trade_volume_10s", "spread_bps"}
    _, stats = await consumer.get("/stats")
    assert stats["signals"] == {"BTCUSDT": {"long": 1, "short": 0}}


async def test_bad_input_of_every_kind_is_set_aside_and_its_neighbours_kept(bus: Any, consumer: Any, wait: Any) -> None:
    good = json.loads(codec.encode(bus.trade()))
    bad = {
        "not_json": b'{"type":"trade",',
        "unknown_type": json.dumps(good | {"type": "liquidation"}).encode(),
        "wrong_shape": json.dumps(good | {"price": True}).encode(),
        "too_large": json.dumps(good | {"trade_id": "x" * 700_000}).encode(),
        "bad_symbol": json.dumps(good | {"symbol": ""}).encode(),
        "bad_time": json.dumps(good | {"ts_recv": 1}).encode(),
    }
    rejected = ({"price": "NaN"}, {"price": "inf"}, {"price": "-1"}, {"size": "-1"}, {"price": "0"}, {"price": "abc"})
    for number, payload in enumerate([*bad.values(), *(json.dumps(good | change).encode() for change in rejected)]):
        await bus.send_raw("md.events.trade.BTCUSDT", payload)
        await bus.send(bus.trade(second=number / 10))
    await bus.send_raw("md.events.trade.BTCUSDT", json.dumps(good | {"seq": 0}).encode())
    await wait(lambda: consumer.service.queue.received == 25, "all messages")
    await consumer.delivered(12 + len(rejected) + 1)
    _, features = await consumer.get("/features/latest", symbol="BTCUSDT")
    assert features["features"]["trade_count_10s"] == 13
    _, stats = await consumer.get("/stats")
    assert {kind: stats["bad_input"][kind]["count"] for kind in bad} == dict.fromkeys(bad, 1)
    assert all(len(stats["bad_input"][kind]["sample"]["payload"]) <= 200 for kind in bad)
    assert sum(by_type["trade"] for by_type in stats["pipeline"]["rejected"].values()) == len(rejected)
    assert {line["difference"] for line in stats["ledger"].values()} == {0}


def _rows_of_the_page() -> list[tuple[dict[str, Any], str]]:
    """From the page's table of messages that fit: what is changed, and where it counts ('': nowhere)."""
    section = PAGE.read_text().partition("## Messages that fit the contract")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in section.splitlines() if row[:3] == "| `"]
    return [(json.loads(changed), counted) for changed, _, counted in rows]


def _counted(stats: dict[str, Any]) -> dict[str, int]:
    """What can be counted for a single message, by path."""
    found = {f"{part}.{kind}.count": each["count"] for part in SAMPLED for kind, each in stats[part].items()}
    nested = {"drops": stats["drops"], "pipeline.rejected": stats["pipeline"]["rejected"]}
    for part, reasons in nested.items():
        found |= {f"{part}.{why}.{name}": n for why, types in reasons.items() for name, n in types.items()}
    return found | {"pipeline.crossed_quotes": stats["pipeline"]["crossed_quotes"]}


async def test_messages_that_fit_the_contract_are_treated_as_the_page_says(bus: Any, consumer: Any, wait: Any) -> None:
    rows = _rows_of_the_page()
    assert len(rows) > 20
    book = BookL2("x", "BTCUSDT", bus.start, [("2", "1")], [("3", "1")])
    shaped = {TYPE_OF[type(event)]: event for event in (bus.trade(), bus.quote(), book)}
    before = _counted((await consumer.get("/stats"))[1])
    for number, (changed, counted) in enumerate(rows):
        body = json.loads(codec.encode(shaped[changed["type"]])) | changed
        subject = body.pop("subject", f"md.events.{changed['type']}.BTCUSDT")
        await bus.send_raw(subject, json.dumps(body).encode())
        await wait(lambda n=number: consumer.service.queue.received == n + 1, f"message {number}")
        await wait(lambda: not len(consumer.service.queue), "an empty queue")
        after = _counted((await consumer.get("/stats"))[1])
        more = {path for path, n in after.items() if n != before.get(path, 0)}
        assert counted in more if counted else not more, changed
        before = after


async def test_gaps_duplicates_and_a_restarted_producer_are_told(bus: Any, consumer: Any, wait: Any) -> None:
    await bus.send(bus.trade(second=0), bus.trade(second=1))
    bus.lose("trade", "BTCUSDT", 3)
    again = bus.trade(second=2)
    await bus.send(again)
    await bus.send_raw("md.events.trade.BTCUSDT", codec.encode(again))
    await consumer.delivered(3)
    _, features = await consumer.get("/features/latest", symbol="BTCUSDT")
    assert features["trust"]["gap"] is True
    bus.restart()
    await bus.send(bus.trade(second=3), epoch=2)
    await consumer.delivered(4)
    _, stats = await consumer.get("/stats")
    assert stats["bus"]["gaps"]["trade"] == 1
    assert stats["bus"]["missing"]["trade"] == 3
    assert stats["bus"]["duplicates"]["trade"] == 1
    assert stats["bus"]["new_epochs"]["trade"] == 1
    await wait(lambda: bus.on("senpai.alerts"), "the alert")
    alert = codec.decode_alert(bus.on("senpai.alerts")[0])
    assert (alert.kind, alert.state, alert.value) == ("gap", "firing", 3)
    assert (await consumer.get("/health"))[1]["alerts"] == ["gap"]


async def test_overload_loses_quotes_by_the_rule_and_no_trade(
    bus: Any, nats_server: Any, running: Any, wait: Any
) -> None:
    async with running(nats_server.url, queue_size=10) as consumer:
        await wait(lambda: consumer.service.link.connected, "the connection")
        count = 5_000
        for number in range(count):
            for event in (bus.trade(second=number / 1_000, price=str(number + 1)), bus.quote(second=number / 1_000)):
                event.seq, event.epoch = number + 1, 1
                await bus.client.publish(f"md.events.{TYPE_OF[type(event)]}.BTCUSDT", codec.encode(event))
        await bus.client.flush()
        await wait(lambda: consumer.service.queue.received == 2 * count, "all messages", 20)
        await wait(lambda: not len(consumer.service.queue), "an empty queue")
        _, stats = await consumer.get("/stats")
        assert stats["ledger"]["trade"]["delivered"] == count
        assert stats["ledger"]["quote"]["dropped"] > 0
        assert stats["drops"]["queue_90_percent"] == {
            "heartbeat": 0,
            "quote": stats["ledger"]["quote"]["dropped"],
            "book_l2": 0,
        }
        assert {line["difference"] for line in stats["ledger"].values()} == {0}
        assert stats["bus"]["gaps"]["trade"] == stats["bus"]["duplicates"]["trade"] == 0
        _, state = await consumer.get("/state/latest", symbol="BTCUSDT")
        assert state["trade"]["price"] == str(count)
        await wait(lambda: bus.on("senpai.alerts"), "the alert")
        assert codec.decode_alert(bus.on("senpai.alerts")[0]).kind == "backpressure"


async def test_members_of_the_queue_group_share_the_events(bus: Any, consumer: Any, wait: Any) -> None:
    others: list[bytes] = []

    async def take(message: Any) -> None:
        others.append(message.data)

    await bus.client.subscribe("md.events.>", queue="senpai-md", cb=take)
    await bus.client.flush()
    await bus.send(*(bus.trade(second=number / 100) for number in range(200)))
    await wait(lambda: len(others) + consumer.service.queue.received == 200, "every event once")
    assert others
    assert consumer.service.queue.received


async def test_a_quiet_symbol_is_published_again_when_its_window_empties(bus: Any, consumer: Any, wait: Any) -> None:
    bus.start -= int(8.5 * 1e9)
    await bus.send(bus.trade(second=0, size="5"), bus.quote(second=8.5))
    subject = "senpai.features.BTCUSDT"
    await wait(lambda: bus.on(subject), "features")
    assert codec.decode_features(bus.on(subject)[0]).features["trade_volume_10s"] == 5
    await wait(
        lambda: codec.decode_features(bus.on(subject)[-1]).features["trade_volume_10s"] in (0, None),
        "an empty window",
    )


async def test_events_per_second_is_the_real_rate(bus: Any, consumer: Any, wait: Any) -> None:
    """While nothing more comes, `count / (t - start)` falls with the time `t`: two readings give the count."""
    await bus.send(*(bus.trade(second=number / 1_000) for number in range(500)))
    await consumer.delivered(500)
    readings = []
    for _ in range(2):
        uptime_s = consumer.service.views.uptime_s
        await wait(lambda: consumer.service.views.uptime_s > uptime_s + 1.1, "the next second")  # noqa: B023 - called here
        readings.append((await consumer.get("/stats"))[1])
    first, last = readings
    if last["uptime_s"] > RATE_WINDOW_S:
        pytest.skip("too slow here: the rate is over the last seconds alone")
    count = (last["uptime_s"] - first["uptime_s"]) / (1 / last["events_per_second"] - 1 / first["events_per_second"])
    assert count == pytest.approx(500, rel=0.1)
