"""Features at their rate, signals and alerts at once, and NATS being away: in virtual time."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from md_contract import codec


def test_a_burst_is_published_at_once_and_its_last_state_when_the_time_is_up(bench: Any) -> None:
    for value in range(1, 51):
        bench.run_until(value - 1)
        bench.change("BTCUSDT", value)
    bench.run_until(1_000)
    assert bench.features_of("BTCUSDT") == [(0, 1), (100, 50)]


def test_a_steady_stream_is_published_at_the_rate(bench: Any) -> None:
    for ms in range(0, 2_000, 5):
        bench.run_until(ms)
        bench.change("BTCUSDT", ms)
    bench.run_until(3_000)
    times = [at for at, _ in bench.features_of("BTCUSDT")]
    assert times == [100 * n for n in range(21)]
    assert bench.features_of("BTCUSDT")[-1][1] == 1_995


def test_a_slow_stream_is_published_event_by_event(bench: Any) -> None:
    for ms in (0, 150, 400, 900):
        bench.run_until(ms)
        bench.change("BTCUSDT", ms)
    assert bench.features_of("BTCUSDT") == [(0, 0), (150, 150), (400, 400), (900, 900)]


def test_features_are_computed_only_to_be_published(bench: Any) -> None:
    for ms in range(1_000):
        bench.run_until(ms)
        bench.change("BTCUSDT", ms)
    assert bench.computed == len(bench.features_of("BTCUSDT")) == 10


def test_symbols_do_not_share_their_rate_and_need_one_timer(bench: Any) -> None:
    for ms in range(0, 500, 10):
        bench.run_until(ms)
        for number in range(200):
            bench.change(f"S{number}", ms)
        assert bench.timers <= 1
    bench.run_until(1_000)
    for number in range(200):
        published = bench.features_of(f"S{number}")
        assert len(published) == 6
        assert published[-1][1] == 490


def test_every_message_of_a_symbol_has_the_next_seq_and_the_runs_epoch(bench: Any) -> None:
    for ms in range(0, 1_000, 100):
        bench.run_until(ms)
        bench.change("BTC/USD", ms)
        bench.change("ETHUSDT", ms)
    for subject in ("senpai.features.BTC_2FUSD", "senpai.features.ETHUSDT"):
        messages = [codec.decode_features(payload) for _, to, payload in bench.sent if to == subject]
        assert [message.seq for message in messages] == list(range(1, 11))
        assert {message.epoch for message in messages} == {77}


def test_features_are_refused_while_nats_is_away_and_the_latest_are_sent_when_it_is_back(bench: Any) -> None:
    bench.change("BTCUSDT", 1)
    bench.writable = False
    for ms in range(100, 1_000, 100):
        bench.run_until(ms)
        bench.change("BTCUSDT", ms)
    assert bench.publisher.features_refused == 9
    assert bench.computed == 1
    bench.writable = True
    bench.publisher.on_writable()
    bench.run_until(2_000)
    assert [value for _, value in bench.features_of("BTCUSDT")] == [1, 900]
    assert [codec.decode_features(payload).seq for _, _, payload in bench.sent] == [1, 2]
    assert bench.publisher.features_waiting == 0


def test_what_waits_is_tried_again_once_a_second_even_when_nobody_says_that_nats_is_back(
    bench: Any, signal: Callable[..., Any]
) -> None:
    bench.writable = False
    bench.change("BTCUSDT", 1)
    bench.publisher.emit([signal("BTCUSDT")])
    bench.run_until(500)
    bench.writable = True
    bench.publisher.on_second(bench.now_ns)
    assert [subject for _, subject, _ in bench.sent] == ["senpai.signals.BTCUSDT", "senpai.features.BTCUSDT"]


def test_symbols_unknown_to_the_heart_are_not_published_nor_kept(bench: Any) -> None:
    bench.publisher.touch(["XYZ"], bench.now_ns)
    bench.run_until(1_000)
    assert bench.sent == []
    assert bench.publisher.features_waiting == 0


def test_a_symbol_whose_features_cannot_be_made_is_counted_and_holds_up_no_other(bench: Any) -> None:
    bench.broken.add("BAD")
    bench.state["GOOD"] = 1.0
    bench.publisher.touch(["BAD", "GOOD"], bench.now_ns)
    bench.run_until(1_000)
    assert bench.publisher.errors == 1
    assert bench.features_of("GOOD") == [(0, 1)]


def test_more_symbols_than_one_turn_publishes_are_all_published(bench: Any) -> None:
    names = [f"S{number}" for number in range(1_000)]
    bench.state = dict.fromkeys(names, 1.0)
    bench.publisher.touch(names, bench.now_ns)
    assert len(bench.sent) < 1_000
    bench.run_until(50)
    assert {subject for _, subject, _ in bench.sent} == {f"senpai.features.{name}" for name in names}


def test_at_the_end_the_last_state_is_published_before_its_time(bench: Any) -> None:
    bench.change("BTCUSDT", 1)
    bench.change("BTCUSDT", 2)
    bench.publisher.finish()
    assert bench.features_of("BTCUSDT") == [(0, 1), (0, 2)]
    assert bench.timers == 0


def test_the_body_of_http_has_the_seq_of_the_last_message_published(bench: Any) -> None:
    assert bench.publisher.features_now("BTCUSDT") is None
    bench.change("BTCUSDT", 1)
    bench.change("BTCUSDT", 2)
    now = bench.publisher.features_now("BTCUSDT")
    assert (now.seq, now.epoch, now.features["mid"]) == (1, 77, 2)


def test_signals_and_alerts_go_out_at_once(bench: Any, signal: Callable[..., Any], alert: Callable[..., Any]) -> None:
    bench.publisher.emit([signal("BTC/USD"), signal("BTC/USD", direction="short"), signal("BTC/USD", state="cancel")])
    bench.publisher.alert([alert("gap"), alert("gap")])
    assert [subject for _, subject, _ in bench.sent] == ["senpai.signals.BTC_2FUSD"] * 3 + ["senpai.alerts"] * 2
    assert bench.publisher.signals_emitted == {("BTC/USD", "long"): 1, ("BTC/USD", "short"): 1}
    assert bench.publisher.signals_cancelled == 1
    assert bench.publisher.alerts_emitted == {"gap": 2}


def test_a_signal_waits_for_nats_no_longer_than_it_is_valid(bench: Any, signal: Callable[..., Any]) -> None:
    bench.writable = False
    bench.publisher.emit([signal("SHORT-LIVED", valid_ms=100), signal("LASTING", valid_ms=1_000)])
    bench.run_until(500)
    bench.publisher.on_second(bench.now_ns)
    assert bench.publisher.outbox.expired == 1
    bench.writable = True
    bench.publisher.on_writable()
    assert [subject for _, subject, _ in bench.sent] == ["senpai.signals.LASTING"]
    assert bench.publisher.signals_emitted == {("LASTING", "long"): 1}


def test_signals_keep_their_order_over_an_outage(bench: Any, signal: Callable[..., Any]) -> None:
    bench.writable = False
    bench.publisher.emit([signal("A"), signal("B")])
    bench.writable = True
    bench.publisher.emit([signal("C")])
    bench.publisher.on_writable()
    assert [subject[-1] for _, subject, _ in bench.sent] == ["A", "B", "C"]
    assert bench.publisher.outbox_refused == 3


def test_alerts_of_an_outage_are_told_after_it(bench: Any, alert: Callable[..., Any]) -> None:
    bench.writable = False
    bench.publisher.alert([alert("latency")])
    bench.run_until(3_600_000)
    bench.publisher.on_second(bench.now_ns)
    bench.writable = True
    bench.publisher.on_writable()
    assert [subject for _, subject, _ in bench.sent] == ["senpai.alerts"]


def test_what_waits_for_nats_is_bounded_and_the_oldest_is_given_up(make_bench: Any, signal: Callable[..., Any]) -> None:
    bench = make_bench(outbox_size=3)
    bench.writable = False
    bench.publisher.emit([signal(f"S{number}", valid_ms=10_000) for number in range(10)])
    assert (len(bench.publisher.outbox), bench.publisher.outbox.overflowed) == (3, 7)
    bench.writable = True
    bench.publisher.on_writable()
    assert [subject[-1] for _, subject, _ in bench.sent] == ["7", "8", "9"]


@settings(deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from(["A", "B", "down", "up"])), min_size=1, max_size=100
    ),
    rate_hz=st.sampled_from([10.0, 50.0]),
)
def test_after_any_history_the_last_state_is_out_and_never_faster_than_the_rate(
    make_bench: Any, changes: list[tuple[int, str]], rate_hz: float
) -> None:
    bench = make_bench(rate_hz=rate_hz)
    at = 0
    for number, (wait, what) in enumerate(changes):
        at += wait
        bench.run_until(at)
        if what == "down":
            bench.writable = False
        elif what == "up":
            bench.writable = True
            bench.publisher.on_writable()
        else:
            bench.change(what, number)
    bench.writable = True
    bench.publisher.on_writable()
    bench.run_until(at + 1_000)
    for symbol, value in bench.state.items():
        published = bench.features_of(symbol)
        assert published[-1][1] == value
        times = [ms for ms, _ in published]
        gaps = [later - sooner for sooner, later in pairwise(times)]
        assert min(gaps, default=1_000) >= 1_000 / rate_hz - 1e-6


def test_a_forgotten_symbol_that_comes_back_begins_a_new_epoch_and_the_totals_stay(
    bench: Any, signal: Callable[..., Any]
) -> None:
    for ms in (0, 200, 400):
        bench.run_until(ms)
        bench.change("BTCUSDT", ms)
    bench.change("ETHUSDT", 1)
    bench.publisher.emit([signal("BTCUSDT"), signal("BTCUSDT", direction="short")])
    bench.publisher.forget(["BTCUSDT", "NEVER-PUBLISHED"])
    bench.run_until(600)
    bench.change("BTCUSDT", 7)
    bench.change("ETHUSDT", 2)
    bench.run_until(1_000)
    sent = [codec.decode_features(payload) for _, to, payload in bench.sent if to.startswith("senpai.features")]
    numbers = {symbol: [(m.epoch, m.seq) for m in sent if m.symbol == symbol] for symbol in ("BTCUSDT", "ETHUSDT")}
    assert numbers == {"BTCUSDT": [(77, 1), (77, 2), (77, 3), (78, 1)], "ETHUSDT": [(77, 1), (77, 2)]}
    assert (bench.publisher.features_forgotten, bench.publisher.signals_forgotten) == (3, {"long": 1, "short": 1})
    assert bench.publisher.signals_emitted == {}
