"""The specified metrics in the real output of /metrics."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

MANDATED = {
    "senpai_events_in_total": ("counter", {"type", "provider"}),
    "senpai_events_dropped_total": ("counter", {"reason", "type"}),
    "senpai_queue_fill_ratio": ("gauge", set()),
    "senpai_processing_latency_ms_bucket": ("histogram", {"le"}),
    "senpai_processing_latency_ms_sum": ("histogram", set()),
    "senpai_processing_latency_ms_count": ("histogram", set()),
    "senpai_feature_publish_total": ("counter", {"symbol"}),
    "senpai_signals_emitted_total": ("counter", {"symbol", "direction"}),
    "senpai_nats_connected": ("gauge", set()),
    "senpai_alerts_emitted_total": ("counter", {"kind"}),
    "senpai_bus_gaps_total": ("counter", {"type"}),
    "senpai_symbols_tracked": ("gauge", set()),
    "senpai_stream_readers": ("gauge", set()),
    "senpai_stream_messages_total": ("counter", set()),
    "senpai_stream_conflated_total": ("counter", set()),
    "senpai_stream_refused_total": ("counter", {"why"}),
}
TYPES = {"trade", "quote", "book_l2", "heartbeat", "status"}


async def _scrape(api: Any) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
    for family in text_string_to_metric_families(await api.text("/metrics")):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return samples


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


async def test_every_mandated_name_is_there_from_the_start_with_its_type_and_labels(api: Any) -> None:
    found = {}
    for family in text_string_to_metric_families(await api.text("/metrics")):
        for sample in family.samples:
            found[sample.name] = (family.type, set(sample.labels))
    assert {name: found.get(name) for name in MANDATED} == MANDATED
    assert all(name.startswith("senpai_") for name in found)


async def test_known_types_are_zero_before_the_first_event(api: Any) -> None:
    samples = await _scrape(api)
    assert samples["senpai_bus_gaps_total"] == {_labels(type=name): 0 for name in TYPES}
    events_in = samples["senpai_events_in_total"]
    assert {dict(labels)["type"] for labels in events_in} == TYPES | {"unknown"}
    assert set(events_in.values()) == {0}
    dropped = samples["senpai_events_dropped_total"]
    for droppable in ("heartbeat", "quote", "book_l2"):
        assert dropped[_labels(reason="queue_90_percent", type=droppable)] == 0
    assert dropped[_labels(reason="not_json", type="unknown")] == 0
    assert {dict(labels)["kind"] for labels in samples["senpai_alerts_emitted_total"]} >= {
        "latency",
        "gap",
        "backpressure",
    }


async def test_metrics_count_what_happened(api: Any) -> None:
    await api.feed(*(api.trade(seq=seq, second=seq) for seq in (1, 2, 2, 6)), api.quote(), api.trade(price="NaN"))
    api.service.subscriber.on_message("md.events.trade.X", b"no json")
    samples = await _scrape(api)
    events_in = samples["senpai_events_in_total"]
    assert events_in[_labels(type="trade", provider="binance")] == 5
    assert events_in[_labels(type="quote", provider="binance")] == 1
    assert events_in[_labels(type="unknown", provider="other")] == 1
    dropped = samples["senpai_events_dropped_total"]
    assert dropped[_labels(reason="duplicate", type="trade")] == 1
    assert dropped[_labels(reason="not_json", type="unknown")] == 1
    assert samples["senpai_bus_gaps_total"][_labels(type="trade")] == 1
    assert samples["senpai_symbols_tracked"][_labels()] == 1
    assert samples["senpai_nats_connected"][_labels()] == 0
    assert samples["senpai_queue_fill_ratio"][_labels()] == 0
    count = samples["senpai_processing_latency_ms_count"][_labels()]
    assert count == samples["senpai_processing_latency_ms_bucket"][_labels(le="+Inf")] == 5
    rejected = api.service.pipeline.counters.rejected
    assert sum(rejected.values()) == 1
    for (event_type, reason), number in rejected.items():
        assert dropped[_labels(reason=reason, type=event_type)] == number


async def test_no_created_series(api: Any) -> None:
    await api.feed(api.trade())
    assert "_created" not in await api.text("/metrics")


async def test_a_scrape_with_ten_thousand_hostile_symbols_stays_bounded_and_adds_up(api: Any) -> None:
    publisher = api.service.publisher
    for number in range(10_000):
        symbol = f'{number}"\n\\{{}}🙂' + "x" * (number % 100)
        publisher.features_published[symbol] = 3
        publisher.signals_emitted[symbol, "long"] = 2
    text = await api.text("/metrics")
    assert len(text) < 500_000
    samples = await _scrape(api)
    assert sum(samples["senpai_feature_publish_total"].values()) == 30_000
    assert sum(samples["senpai_signals_emitted_total"].values()) == 20_000
    assert len(samples["senpai_feature_publish_total"]) < 1_000
    assert len(samples["senpai_signals_emitted_total"]) < 2_000


async def test_series_of_a_symbol_keep_their_name_and_never_go_down(api: Any) -> None:
    publisher = api.service.publisher
    for number in range(600):
        publisher.features_published[f"S{number}"] = 1
    before = (await _scrape(api))["senpai_feature_publish_total"]
    for number in range(700):
        publisher.features_published[f"S{number}"] = 2
    after = (await _scrape(api))["senpai_feature_publish_total"]
    assert set(before) == set(after)
    assert all(after[labels] >= value for labels, value in before.items())
