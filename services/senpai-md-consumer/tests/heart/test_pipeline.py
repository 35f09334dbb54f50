"""The pipeline as a whole: many symbols, anything as input, the same output for the same input."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from md_contract.codec import decode_features, encode
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade
from md_contract.units import NS_PER_S
from senpai.md_consumer.pipeline import Pipeline, PipelineOptions

TEXTS = st.one_of(
    st.sampled_from(["100", "0.5", "0", "-1", "NaN", "inf", "1e300", "1e-300", "x", ""]), st.text(max_size=3)
)
TIMES = st.one_of(st.integers(0, 10**12), st.sampled_from([-1, 0, 10**18, 1 << 62, 1 << 63, 1 << 90]))
KINDS = st.sampled_from(["gap", "drop", "stale", "recovered", "reconnect", "source_switch", "correction", "new"])


@st.composite
def anything(draw: st.DrawFn) -> Event:
    provider, symbol = draw(st.sampled_from(["binance", "bybit"])), draw(st.sampled_from(["A", "B", "C", "__system__"]))
    recv, ts = draw(TIMES), draw(st.none() | TIMES)
    match draw(st.sampled_from(["trade", "trade", "quote", "book", "status", "heartbeat"])):
        case "trade":
            return Trade(provider, symbol, recv, draw(TEXTS), draw(TEXTS), "1", None, ts)
        case "quote":
            return Quote(provider, symbol, recv, draw(TEXTS), draw(TEXTS), draw(TEXTS), draw(TEXTS), ts)
        case "book":
            levels = st.lists(st.tuples(TEXTS, TEXTS), max_size=2)
            return BookL2(provider, symbol, recv, draw(levels), draw(levels), ts)
        case "status":
            detail = draw(st.dictionaries(st.just("type"), st.sampled_from(["trade", "quote", 7, None])))
            return Status(provider, symbol, recv, draw(KINDS), detail, ts)
        case _:
            return Heartbeat(provider, symbol, recv, "silent", 5_000, True, ts)


@given(st.lists(st.tuples(anything(), st.integers(0, 10**11)), max_size=60))
def test_whatever_comes_nothing_breaks_and_the_same_input_gives_the_same_output(steps: list[tuple[Event, int]]) -> None:
    def outputs() -> list[Any]:
        pipeline, mono_ns, seen = Pipeline(PipelineOptions(max_symbols=2)), 0, list[Any]()
        for event, elapsed_ns in steps:
            mono_ns += elapsed_ns
            seen.append(pipeline.on_event(event, mono_ns))
            seen.append(pipeline.on_time(mono_ns))
            seen += [pipeline.features(symbol, mono_ns, 0) for symbol in sorted(pipeline.symbols)]
        assert len(pipeline.symbols) <= 2
        return seen

    first = outputs()
    assert first == outputs()
    for message in first:
        if hasattr(message, "features"):
            assert decode_features(encode(message)) == message


def test_symbols_do_not_know_each_other(make_market: Any) -> None:
    one = make_market("BTCUSDT")
    other = type(one)(one.pipeline, "ETHUSDT")
    one.trade(0, 100)
    other.trade(5_000, 7)
    one.trade(1, 102)
    assert (one.clock_s, other.clock_s) == (1, 5_000)
    assert (one.features["trade_vwap_10s"], other.features["trade_vwap_10s"]) == (101, 7)
    assert sorted(one.pipeline.symbols) == ["BTCUSDT", "ETHUSDT"]


def test_symbols_beyond_the_bound_are_refused_and_counted(make_market: Any) -> None:
    market = make_market(max_symbols=3)
    for name in "ABCDEAE":
        type(market)(market.pipeline, name).trade(0)
    assert sorted(market.pipeline.symbols) == ["A", "B", "C"]
    assert market.pipeline.counters.refused == 3


def test_unless_told_otherwise_4096_symbols_are_tracked() -> None:
    pipeline = Pipeline(PipelineOptions(features={}), rules={})
    for number in range(4_097):
        pipeline.on_event(Trade("binance", f"S{number}", NS_PER_S, "1", "1", "1"), 0)
    assert (len(pipeline.symbols), pipeline.counters.refused) == (4_096, 1)


def test_a_symbol_is_tracked_from_its_first_usable_event_on(market: Any) -> None:
    market.trade(0, "NaN")
    market.status("gap")
    assert not market.pipeline.symbols
    market.trade(1)
    assert market.message.features["trade_count_10s"] == 1


def test_system_events_make_no_symbol(market: Any) -> None:
    market.feed(Heartbeat("binance", "__system__", 0, "silent", 10_000, True))
    market.feed(Trade("binance", "__system__", 0, "1", "1", "1"))
    market.status("reconnect", "__system__")
    assert not market.pipeline.symbols


def test_an_unknown_symbol_has_no_message_and_no_state(market: Any) -> None:
    assert market.pipeline.features("NOPE", 0, 0) is None
    assert market.pipeline.latest("NOPE") is None
    assert market.pipeline.trust("NOPE", 0) is None


def test_a_message_holds_the_symbol_its_provider_and_its_times(market: Any) -> None:
    market.trade(3)
    message = market.pipeline.features("BTCUSDT", 0, 42)
    assert (message.symbol, message.provider, message.ts, message.ts_emit) == ("BTCUSDT", "binance", market.ns(3), 42)
    assert (message.seq, message.epoch, message.v) == (0, 0, 1)


def test_a_symbol_that_says_nothing_for_an_hour_is_forgotten_and_gives_its_place_back(make_market: Any) -> None:
    market = make_market(max_symbols=3)
    for name in "ABCD":
        type(market)(market.pipeline, name).trade(0)
    market.mono_ns += 3_599 * NS_PER_S
    awake = type(market)(market.pipeline, "A")
    awake.mono_ns = market.mono_ns
    awake.trade(3_599)
    assert market.pipeline.expire(market.mono_ns) == []
    market.mono_ns += NS_PER_S
    assert sorted(market.pipeline.expire(market.mono_ns)) == ["B", "C"]
    assert (sorted(market.pipeline.symbols), market.pipeline.expired) == (["A"], 2)
    type(market)(market.pipeline, "D").trade(0)
    assert sorted(market.pipeline.symbols) == ["A", "D"]


def test_unless_told_otherwise_a_signal_is_valid_for_ten_seconds_and_the_next_of_its_kind_ten_seconds_away(
    market: Any,
) -> None:
    market.quote(0)
    for second in range(15):
        market.trade(second, 100)
    (first,) = market.trade(15, 100.5)
    assert (first.state, first.valid_until - first.ts) == ("new", 10 * NS_PER_S)
    (cancel,) = market.trade(16, 100)
    assert cancel.state == "cancel"
    assert market.trade(24, 102) == []
    assert market.pipeline.withheld == {("momentum", "long", "cooldown"): 1}
    (second,) = market.trade(25, 102)
    assert (second.state, second.ts - first.ts) == ("new", 10 * NS_PER_S)


def test_a_signal_that_had_to_wait_is_told_with_an_event_and_not_by_time_alone(market: Any) -> None:
    market.quote(0)
    for second in range(15):
        market.trade(second, 100)
    market.trade(15, 100.5)
    market.trade(16, 100)
    market.trade(24, 102, 5)
    market.silence(2)  # nothing but time stood against it
    assert (market.clock_s, market.pipeline.review(market.mono_ns)) == (26, [])
    (signal,) = market.trade(27, 102)
    assert signal.state == "new"
