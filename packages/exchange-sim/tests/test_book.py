from hypothesis import given
from hypothesis import strategies as st

from exchange_sim.book import Book, Change
from exchange_sim.fixed import decimals_of, format_fixed, parse_fixed

changes = st.lists(st.builds(Change, st.booleans(), st.integers(1, 30), st.integers(0, 5)), max_size=80)


@given(changes)
def test_a_book_equals_two_dicts_that_are_sorted_when_looked_at(history: list[Change]) -> None:
    book = Book()
    book.apply(history, update_id=7)
    plain: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for is_bid, price, size in history:
        plain[is_bid][price] = size
    bids = sorted(((p, s) for p, s in plain[True].items() if s), reverse=True)
    asks = sorted((p, s) for p, s in plain[False].items() if s)

    assert book.update_id == 7
    assert (book.bids.top(100), book.asks.top(100)) == (bids, asks)
    assert (book.bids.top(3), book.asks.top(0)) == (bids[:3], [])
    assert book.bids.better_than(15) == [price for price, _ in bids if price > 15]
    assert book.asks.better_than(15) == [price for price, _ in asks if price < 15]
    if bids and asks:
        assert book.top() == (*bids[0], *asks[0])
        assert (book.bids.worst(), book.asks.worst()) == (bids[-1][0], asks[-1][0])
    else:
        assert book.top() is None


@given(st.integers(0, 10**15))
def test_fixed_numbers_survive_being_written_and_read(value: int) -> None:
    assert parse_fixed(format_fixed(value)) == value


def test_fixed_numbers_are_read_from_any_number_of_decimals() -> None:
    assert [parse_fixed(text) for text in ("61837.63", "5", "0.00000001", "1.123456789")] == [
        6183763000000,
        500000000,
        1,
        112345678,
    ]
    assert [decimals_of(text) for text in ("0.01000000", "5", "2.00", "0.00000001")] == [2, 0, 0, 8]
