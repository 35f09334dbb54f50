"""What people and alerts ask of the pipeline: the last signals, what was withheld, who is silent, who has switched."""

from collections.abc import Iterable
from typing import Any

import pytest

from md_contract.codec import decode_signal, encode
from md_contract.units import NS_PER_S
from senpai.md_consumer.features import select


def symbols(market: Any, names: Iterable[str]) -> list[Any]:
    """More symbols in the same pipeline, with the same time."""
    return [type(market)(market.pipeline, name) for name in names]


def rise(market: Any, until_s: int) -> list[Any]:
    """Trades each second at 100, and the last one at 101."""
    market.quote(0)
    for second in range(until_s):
        market.trade(second, 100)
    return market.trade(until_s, 101)  # type: ignore[no-any-return]  # `market` is Any on purpose


def test_the_last_signal_of_each_direction_is_kept_as_it_was_told_last(make_market: Any) -> None:
    market = make_market()
    market.quote(0)
    for second in range(15):
        market.trade(second, 100)
    (new,) = market.trade(15, 100.5)
    assert market.pipeline.last_signals("BTCUSDT") == market.pipeline.last_signals() == [new]
    cancel, short = market.trade(16, 99.5)
    assert [signal.id for signal in market.pipeline.last_signals("BTCUSDT")] == [new.id, short.id]
    assert (cancel.id, cancel.state, cancel.valid_until) == (new.id, "cancel", new.valid_until)
    assert cancel.causes == ["return_10s"]
    assert decode_signal(encode(cancel)) == cancel
    assert b"causes" not in encode(new)
    assert market.pipeline.last_signals("NOPE") == []


def test_signals_are_listed_with_the_newest_first(market: Any) -> None:
    told = [rise(one, until_s) for one, until_s in zip(symbols(market, "ABC"), (20, 40, 30), strict=True)]
    assert market.pipeline.last_signals() == [*told[1], *told[2], *told[0]]
    assert market.pipeline.last_signals("C") == told[2]


def test_withheld_signals_are_listed_with_the_newest_first_and_up_to_a_limit(market: Any) -> None:
    for one, until_s in zip(symbols(market, "ABC"), (12, 16, 14), strict=True):
        for second in range(until_s):
            one.trade(second, 100)
        one.quote(until_s)
        one.status("correction")
        assert one.trade(until_s, 101) == []
    found = market.pipeline.withheld_samples(10)
    assert [withheld.symbol for withheld in found] == ["B", "C", "A"]
    assert market.pipeline.withheld_samples(2) == found[:2]


def test_silences_are_of_the_stale_symbols_in_seconds_since_their_last_event(market: Any) -> None:
    awake, asleep = symbols(market, "AB")
    for second in range(90):
        awake.mono_ns = asleep.mono_ns = second * NS_PER_S
        awake.trade(second)
        if second < 60:
            asleep.trade(second)
        market.pipeline.on_time(awake.mono_ns)
        if second < 65:
            assert market.pipeline.silences(awake.mono_ns) == {}
    unseen = type(market)(market.pipeline, "C")
    unseen.trade(0)
    assert market.pipeline.silences(90 * NS_PER_S) == {"B": 31.0}
    assert "C" not in market.pipeline.switched()


@pytest.mark.parametrize(
    ("to", "shown"), [("x" * 64, "x" * 64), ("x" * 65, "binance"), ("a\nb", "binance"), (7, "binance")]
)
def test_a_switch_names_the_provider_that_a_status_names_if_that_is_a_name(market: Any, to: Any, shown: str) -> None:
    market.trade(0)
    assert market.pipeline.switched() == {}
    market.status("source_switch", to=to)
    market.silence(0.1)
    assert market.pipeline.switched() == {"BTCUSDT": shown}


@pytest.mark.parametrize(
    ("kind", "detail", "said"),
    [
        ("gap", {"from": 1, "to": 50, "missing": 50}, "50 trade events"),
        ("drop", {"type": "quote", "missing": 1, "latest_kept": True}, "1 quote events"),
        ("gap", {"missing": None}, "some trade events"),
        ("gap", {"missing": 0}, "some trade events"),
        ("gap", {"missing": True}, "some trade events"),
        ("gap", {"missing": 10**12}, "1000000000000 trade events"),
        ("gap", {"missing": 10**12 + 1}, "some trade events"),
        ("gap", {"missing": "50"}, "some trade events"),
        ("gap", {"type": ["odd"], "missing": 50}, "50 other events"),
    ],
)
def test_what_the_producer_has_lost_is_told_once_and_in_words(
    market: Any, kind: str, detail: dict[str, Any], said: str
) -> None:
    market.trade(0)
    market.status("backfill", missing=3)
    assert market.pipeline.take_feed_gaps() == {}
    market.status(kind, **detail)
    market.status("gap", "UNKNOWN")
    assert market.pipeline.take_feed_gaps() == {"BTCUSDT": said}
    assert market.pipeline.take_feed_gaps() == {}


def test_a_loss_of_all_symbols_is_one_of_each(market: Any) -> None:
    for one in symbols(market, "AB"):
        one.trade(0)
    market.status("gap", "__system__")
    assert market.pipeline.take_feed_gaps() == dict.fromkeys("AB", "some trade events")


def test_trust_can_be_asked_for_by_itself(make_market: Any) -> None:
    market = make_market(features=select("none"))
    market.trade(0)
    assert market.pipeline.trust("BTCUSDT", market.mono_ns) == market.message.trust
