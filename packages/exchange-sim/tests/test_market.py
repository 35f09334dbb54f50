"""What the market model promises, measured on simulated time; nothing here waits."""

from bisect import bisect_right
from itertools import pairwise

import pytest

from exchange_sim.market import BookUpdate, Execution, MarketEvent, MarketModel, Move

S = 1_000_000_000
MINUTE = 60 * S
OPENED = 1_790_000_000 * S


def live(model: MarketModel, seconds: float, step_s: float | None = None) -> list[MarketEvent]:
    model.open(OPENED)
    if step_s is None:
        return list(model.until(OPENED + int(seconds * S)))
    steps = range(1, int(seconds / step_s) + 1)
    return [event for step in steps for event in model.until(OPENED + int(step * step_s * S))]


@pytest.fixture(scope="module")
def half_hour() -> dict[str, list[MarketEvent]]:
    """Thirty minutes of four symbols, whose prices and ticks are far apart."""
    symbols = ("BTCUSDT", "ETHUSDT", "DOGEUSDT", "FOOUSDT")
    events: dict[str, list[MarketEvent]] = {symbol: [] for symbol in symbols}
    for event in live(MarketModel(11, symbols, rate=60), 1800):
        events[event.symbol].append(event)
    return events


def trades(events: list[MarketEvent]) -> list[tuple[int, int, int]]:
    return [(e.ts_ns, fill.price, fill.size) for e in events if isinstance(e, Execution) for fill in e.fills]


def ten_second_returns(events: list[MarketEvent]) -> list[tuple[int, float]]:
    rows = trades(events)
    times = [ts_ns for ts_ns, _, _ in rows]
    returns = []
    for ts_ns, price, _ in rows:
        before = bisect_right(times, ts_ns - 10 * S) - 1
        if before >= 0:
            returns.append((ts_ns, price / rows[before][1] - 1))
    return returns


def episodes(events: list[MarketEvent]) -> list[list[tuple[int, float]]]:
    """Group the instants with more than 0.3 % in ten seconds; instants 20 s apart belong to different groups."""
    found: list[list[tuple[int, float]]] = []
    for ts_ns, change in ten_second_returns(events):
        if abs(change) > 0.003:
            if not found or ts_ns - found[-1][-1][0] > 20 * S:
                found.append([])
            found[-1].append((ts_ns, change))
    return found


def test_the_same_seed_makes_the_same_market_and_another_seed_another() -> None:
    assert live(MarketModel(5, ["BTCUSDT"], 200), 20) == live(MarketModel(5, ["BTCUSDT"], 200), 20)
    assert live(MarketModel(5, ["BTCUSDT"], 200), 20) != live(MarketModel(6, ["BTCUSDT"], 200), 20)


def test_the_steps_in_which_time_passes_change_nothing() -> None:
    whole = live(MarketModel(5, ["BTCUSDT", "ETHUSDT"], 200), 20)
    assert live(MarketModel(5, ["BTCUSDT", "ETHUSDT"], 200), 20, step_s=0.008) == whole


def test_a_symbol_does_not_depend_on_its_neighbours() -> None:
    alone = live(MarketModel(5, ["ETHUSDT"], 100), 20)
    among = live(MarketModel(5, ["BTCUSDT", "ETHUSDT"], 200), 20)
    assert alone == [event for event in among if event.symbol == "ETHUSDT"]


def test_events_are_in_order_of_time_over_all_symbols() -> None:
    times = [event.ts_ns for event in live(MarketModel(5, ["BTCUSDT", "ETHUSDT"], 200), 20)]
    assert times == sorted(times)
    assert OPENED <= times[0] < times[-1] <= OPENED + 20 * S


def test_ids_are_contiguous(half_hour: dict[str, list[MarketEvent]]) -> None:
    for events in half_hour.values():
        ids = [fill.trade_id for event in events if isinstance(event, Execution) for fill in event.fills]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        updates = [event for event in events if isinstance(event, BookUpdate)]
        assert all(after.first_id == before.last_id + 1 for before, after in pairwise(updates))
        assert all(update.last_id - update.first_id + 1 == len(update.changes) for update in updates)


def test_books_are_deep_never_crossed_and_on_the_tick_and_lot_grid() -> None:
    model = MarketModel(3, ["BTCUSDT", "DOGEUSDT"], 400)
    model.open(OPENED)
    for event in model.until(OPENED + 60 * S):
        what, book = model.instruments[event.symbol], model.book(event.symbol)
        top = book.top()
        assert top is not None
        assert top.bid < top.ask
        assert min(len(book.bids), len(book.asks)) >= 100
        assert max(len(book.bids), len(book.asks)) <= 200
        if isinstance(event, BookUpdate):
            assert all(price % what.tick == 0 and size % what.lot == 0 for _, price, size in event.changes)
            assert event.top is None or event.top == top


def test_trades_take_what_the_book_offers() -> None:
    model = MarketModel(3, ["ETHUSDT"], 400)
    sides: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for is_bid, price, size in model.book("ETHUSDT").levels():
        sides[is_bid][price] = size
    model.open(OPENED)
    for event in model.until(OPENED + 60 * S):
        if isinstance(event, Execution):
            resting = dict(sides[event.buyer_is_maker])
            for _, price, size in event.fills:
                assert price == (max(resting) if event.buyer_is_maker else min(resting))
                assert 0 < size <= resting[price]
                resting[price] -= size
                if not resting[price]:
                    del resting[price]
        else:
            for is_bid, price, size in event.changes:
                sides[is_bid][price] = size
                if not size:
                    del sides[is_bid][price]


def test_a_move_of_three_to_five_per_mille_comes_every_minute_or_two(half_hour: dict[str, list[MarketEvent]]) -> None:
    directions = set()
    for events in half_hour.values():
        found = episodes(events)
        assert OPENED + 20 * S < found[0][0][0] < OPENED + MINUTE
        assert all(0.9 * MINUTE < after[0][0] - before[0][0] < 2.2 * MINUTE for before, after in pairwise(found))
        peaks = [max(abs(change) for _, change in episode) for episode in found]
        assert all(0.003 < peak <= 0.005 for peak in peaks)
        directions |= {change > 0 for episode in found for _, change in episode[:1]}
    assert directions == {True, False}


def test_a_move_has_volume_and_a_tight_spread(half_hour: dict[str, list[MarketEvent]]) -> None:
    for events in half_hour.values():
        rows = trades(events)
        for episode in episodes(events):
            peak_ns = max(episode, key=lambda instant: abs(instant[1]))[0]
            assert sum(size for ts_ns, _, size in rows if peak_ns - 10 * S < ts_ns <= peak_ns) > 10**8
        tops = [event.top for event in events if isinstance(event, BookUpdate) and event.top is not None]
        assert max((top.ask - top.bid) / top.bid for top in tops) < 10e-4


def test_it_is_calm_between_moves(half_hour: dict[str, list[MarketEvent]]) -> None:
    for events in half_hour.values():
        busy = [(episode[0][0] - 10 * S, episode[-1][0] + 10 * S) for episode in episodes(events)]
        calm = [
            abs(change)
            for ts_ns, change in ten_second_returns(events)
            if not any(begin <= ts_ns <= end for begin, end in busy)
        ]
        assert len(calm) > 1000
        assert max(calm) < 0.0025


@pytest.mark.parametrize("rate", [5.0, 200.0, 4000.0])
def test_the_rate_is_about_what_was_asked_for(rate: float) -> None:
    seconds = min(1800.0, 40_000 / rate)
    count = 0
    for event in live(MarketModel(2, ["BTCUSDT", "ETHUSDT"], rate), seconds):
        count += len(event.fills) if isinstance(event, Execution) else event.top is not None
    assert 0.6 * rate < count / seconds < 1.6 * rate


def test_trades_come_in_bursts_and_share_milliseconds(half_hour: dict[str, list[MarketEvent]]) -> None:
    rows = trades(half_hour["BTCUSDT"])
    same = sum(before[0] // 10**6 == after[0] // 10**6 for before, after in pairwise(rows))
    assert 0.3 < same / len(rows) < 0.9
    seconds = [ts_ns // S for ts_ns, _, _ in rows]
    counts = [seconds.count(second) for second in range(OPENED // S + 50, OPENED // S + 350)]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert variance > 2 * mean  # a Poisson process has them equal


def test_given_moves_replace_the_recurring_ones() -> None:
    moves = {"BTCUSDT": [Move(at_s=20, size=0.005, over_s=5), Move(at_s=60, size=-0.005, over_s=5)]}
    events = live(MarketModel(1, ["BTCUSDT"], 100, moves=moves, wander=0), 100)
    found = episodes(events)
    assert [round((episode[0][0] - OPENED) / S) for episode in found] == pytest.approx([23, 63], abs=1.5)
    assert [episode[0][1] > 0 for episode in found] == [True, False]
    prices = [price / 60_000e8 for _, price, _ in trades(events)]
    assert prices[0] == pytest.approx(1, abs=1e-4)
    assert max(prices) == pytest.approx(1.005, abs=1e-4)
    assert prices[-1] == pytest.approx(1.005 * 0.995, abs=1e-4)


def test_a_market_opened_later_has_higher_ids() -> None:
    first, second = MarketModel(1, ["BTCUSDT"], 5000), MarketModel(1, ["BTCUSDT"], 5000)
    live(first, 20)
    second.open(OPENED + 20 * S)
    assert second.last_trade_id("BTCUSDT") > first.last_trade_id("BTCUSDT")
    assert second.book("BTCUSDT").update_id > first.book("BTCUSDT").update_id
