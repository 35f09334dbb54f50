"""From messages to the heart: order, gaps in their place, overload, faults, the end."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from md_contract.events import Heartbeat, Status
from md_contract.subjects import SYSTEM


def test_events_reach_the_heart_in_order_and_their_symbols_the_outlet(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1), feed.quote(1), feed.trade(1, "ETHUSDT"), feed.trade(2))
    assert rig.recorder.seen == []
    rig.settle()
    assert rig.recorder.trail == ["trade 1", "quote 1", "trade 1", "trade 2"]
    assert rig.recorder.touched == ["BTCUSDT", "ETHUSDT"]
    rig.assert_ledger_closes()


def test_one_call_of_the_loop_serves_many_messages(rig: Any, feed: Any) -> None:
    rig.send(*(feed.trade(seq) for seq in range(1, 51)))
    assert len(rig.calls) == 1


def test_a_turn_of_the_loop_works_off_no_more_than_a_batch(make_rig: Any, feed: Any) -> None:
    rig = make_rig(capacity=1_000, hard_bound=1_000, batch=10)
    rig.send(*(feed.trade(seq) for seq in range(1, 36)))
    seen = []
    while rig.calls:
        rig.turn()
        seen.append(len(rig.recorder.seen))
    assert seen == [10, 20, 30, 35]


def test_a_turn_works_off_more_of_a_long_queue(make_rig: Any, feed: Any) -> None:
    rig = make_rig(capacity=1_000, hard_bound=1_000, batch=10)
    rig.send(*(feed.trade(seq) for seq in range(1, 401)))
    rig.turn()
    assert len(rig.recorder.seen) == 100


def test_a_gap_is_told_between_the_events_it_lies_between(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1), feed.trade(2), feed.trade(6), feed.trade(7))
    rig.settle()
    assert rig.recorder.trail == ["trade 1", "trade 2", ("trade", "BTCUSDT", 3), "trade 6", "trade 7"]
    assert rig.subscriber.sequences.holes["trade"] == 1
    assert rig.subscriber.sequences.missing["trade"] == 3


def test_a_new_epoch_is_told_before_its_first_event(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(8), feed.trade(1, epoch=2), feed.trade(2, epoch=2))
    rig.settle()
    assert rig.recorder.trail == ["trade 8", ("trade", "BTCUSDT", -1), "trade 1", "trade 2"]


def test_streams_have_their_own_sequence(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(5), feed.quote(9), feed.trade(5, "ETHUSDT"), feed.trade(6), feed.quote(10))
    rig.settle()
    assert rig.recorder.trail == ["trade 5", "quote 9", "trade 5", "trade 6", "quote 10"]


def test_duplicates_never_reach_the_heart_and_are_counted(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1), feed.trade(1), feed.trade(2), feed.trade(1))
    rig.settle()
    assert rig.recorder.trail == ["trade 1", "trade 2"]
    assert rig.queue.dropped_by_reason["duplicate", "trade"] == 2


def test_one_wrong_number_far_ahead_does_not_silence_the_trades_that_follow(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1), feed.trade(1_000_000_001), feed.trade(2), feed.trade(3))
    rig.settle()
    assert rig.recorder.trail == ["trade 1", "trade 2", "trade 3"]
    assert rig.queue.dropped_by_reason["implausible_seq", "trade"] == 1
    assert rig.queue.dropped_by_reason.get(("duplicate", "trade"), 0) == 0
    rig.assert_ledger_closes()


def test_events_of_other_producers_are_taken_as_they_come(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(0), feed.trade(0), feed.trade(0))
    rig.settle()
    assert rig.recorder.trail == ["trade 0", "trade 0", "trade 0"]


def test_a_message_that_cannot_be_read_leaves_a_gap_in_its_stream(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1))
    rig.subscriber.on_message("md.events.trade.BTCUSDT", b'{"type":"trade","seq":2}')
    rig.send(feed.trade(3))
    rig.settle()
    assert rig.recorder.trail == ["trade 1", ("trade", "BTCUSDT", 1), "trade 3"]


def test_system_events_reach_the_heart_and_touch_no_symbol(rig: Any, feed: Any) -> None:
    rig.send(
        Heartbeat("binance", SYSTEM, feed.now, "live", 0, synthetic=False, seq=1, epoch=1),
        Heartbeat("binance", SYSTEM, feed.now, "live", 0, synthetic=False, seq=5, epoch=1),
        Status("binance", SYSTEM, feed.now, "reconnect", {}, seq=1, epoch=1),
    )
    rig.settle()
    assert rig.recorder.trail == ["heartbeat 1", "heartbeat 5", "status 1"]
    assert rig.recorder.touched == []
    assert rig.subscriber.sequences.missing["heartbeat"] == 3


def test_overload_drops_quotes_and_no_trade_and_says_so_where_the_quotes_come_again(make_rig: Any, feed: Any) -> None:
    rig = make_rig(capacity=10, hard_bound=20)
    rig.send(*(feed.trade(seq) for seq in range(1, 10)))
    rig.send(feed.quote(1), feed.quote(2), feed.trade(10), feed.trade(11), feed.quote(3))
    rig.settle()
    assert rig.recorder.trail == [*(f"trade {seq}" for seq in range(1, 12)), ("quote", "BTCUSDT", 3)]
    rig.send(feed.quote(4))
    rig.settle()
    assert rig.recorder.trail[-1] == "quote 4"
    assert rig.subscriber.sequences.holes["quote"] == 0
    rig.assert_ledger_closes()


def test_quotes_missing_through_overload_are_told_before_the_next_quote(make_rig: Any, feed: Any) -> None:
    rig = make_rig(capacity=10, hard_bound=20, batch=5)
    rig.send(*(feed.trade(seq) for seq in range(1, 10)), feed.quote(1), feed.quote(2))
    rig.turn()
    rig.send(feed.quote(3), feed.trade(10))
    rig.settle()
    assert rig.recorder.trail[-3:] == [("quote", "BTCUSDT", 2), "quote 3", "trade 10"]


def test_trades_beyond_the_hard_bound_are_worked_off_before_more_is_taken(make_rig: Any, feed: Any) -> None:
    rig = make_rig(capacity=10, hard_bound=20, batch=5)
    rig.send(*(feed.trade(seq) for seq in range(1, 201)))
    assert len(rig.queue) <= 20
    assert len(rig.recorder.seen) >= 180
    rig.settle()
    assert rig.recorder.trail == [f"trade {seq}" for seq in range(1, 201)]
    rig.assert_ledger_closes()


def test_one_event_that_breaks_the_heart_is_set_aside_and_its_gap_told(rig: Any, feed: Any) -> None:
    rig.recorder.fail_on = lambda event: event.seq == 2
    rig.send(feed.trade(1), feed.trade(2), feed.trade(3))
    rig.settle()
    assert rig.recorder.trail == ["trade 1", ("trade", "BTCUSDT", 1), "trade 3"]
    assert rig.subscriber.quarantine.counts["failed"] == 1
    assert "ZeroDivisionError" in rig.subscriber.quarantine.samples["failed"].why
    rig.assert_ledger_closes()


def test_after_stop_nothing_is_taken_and_what_is_queued_is_worked_off(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1), feed.trade(2))
    rig.subscriber.stop()
    rig.send(feed.trade(3))
    rig.subscriber.finish()
    assert rig.recorder.trail == ["trade 1", "trade 2"]
    assert rig.subscriber.ignored == 1
    assert len(rig.queue) == 0
    rig.settle()
    rig.assert_ledger_closes()


def test_latency_runs_from_the_receipt_to_the_end_of_the_work(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1))
    rig.mono_ns += 40_000_000
    rig.settle()
    assert rig.subscriber.latency.count == 1
    buckets = dict(rig.subscriber.latency.cumulative())
    assert (buckets["25.0"], buckets["50.0"], buckets["+Inf"]) == (0, 1, 1)


def test_lag_is_the_mean_age_of_the_events_worked_off(rig: Any, feed: Any) -> None:
    rig.send(feed.trade(1), feed.quote(1))
    rig.settle()
    assert rig.recorder.seen[1].ts_event is None
    offset_ns = feed.now - 5 + 250_000_000 - 3_000_000
    assert rig.subscriber.take_lag_ms(offset_ns) == 250.0
    assert rig.subscriber.take_lag_ms(offset_ns) is None


actions = st.lists(
    st.tuples(st.sampled_from(["trade", "quote", "lost trade", "lost quote", "turn"]), st.sampled_from("AB")),
    max_size=120,
)


@settings(deadline=None)
@given(actions=actions, capacity=st.integers(4, 12), batch=st.integers(1, 6))
def test_the_heart_learns_of_every_loss_exactly_where_it_is(
    make_rig: Any, feed: Any, actions: list[tuple[str, str]], capacity: int, batch: int
) -> None:
    """Whatever is lost on the bus or dropped here: events seen and gaps told add up, in order, to what was sent."""
    rig = make_rig(capacity=capacity, hard_bound=2 * capacity, batch=batch)
    sent: dict[tuple[str, str], int] = {}
    for action, symbol in actions:
        if action == "turn":
            rig.turn()
            continue
        event_type = action.split()[-1]
        seq = sent[event_type, symbol] = sent.get((event_type, symbol), 0) + 1
        if not action.startswith("lost") or seq == 1:
            rig.send(getattr(feed, event_type)(seq, symbol))
    sent = {stream: count + 1 for stream, count in sent.items()}
    for (event_type, symbol), count in sent.items():
        rig.settle()
        rig.send(getattr(feed, event_type)(count, symbol))
    rig.settle()
    heard = dict.fromkeys(sent, 0)
    for item in rig.recorder.seen:
        if isinstance(item, tuple):
            heard[item[0], item[1]] += item[2]
        else:
            stream = (type(item).__name__.lower(), item.symbol)
            heard[stream] += 1
            assert heard[stream] == item.seq
    assert heard == sent
    assert sum(n for (_, event_type), n in rig.queue.dropped_by_reason.items() if event_type == "trade") == 0
    rig.assert_ledger_closes()
