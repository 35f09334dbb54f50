"""The book against a rebuild that sorts everything, in exact decimals."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.books.book import Book, Change

prices = st.integers(1, 40).map(lambda n: f"{n / 8:.8f}")
sizes = st.sampled_from(["0.00000000", "0", "0.5", "1.25000000", "1000"])
levels = st.tuples(prices, sizes)
updates = st.lists(st.tuples(st.lists(levels, max_size=8), st.lists(levels, max_size=8)), max_size=30)


def change(level: tuple[str, str]) -> Change:
    return float(level[0]), float(level[1]), level


def rebuilt(changes: list[tuple[str, str]], *, best_first: bool) -> list[tuple[str, str]]:
    held: dict[Decimal, tuple[str, str]] = {}
    for price, size in changes:
        held.pop(Decimal(price), None)
        if Decimal(size):
            held[Decimal(price)] = (price, size)
    return [held[key] for key in sorted(held, reverse=best_first)]


@given(updates, st.integers(1, 50))
def test_the_top_equals_a_rebuild_from_all_updates_at_every_step(
    batches: list[tuple[list[tuple[str, str]], list[tuple[str, str]]]], depth: int
) -> None:
    book = Book()
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []
    for number, (new_bids, new_asks) in enumerate(batches):
        put = book.load if number == 0 else book.apply
        bids += new_bids
        asks += new_asks
        put([change(level) for level in new_bids], [change(level) for level in new_asks])
        all_bids, all_asks = rebuilt(bids, best_first=True), rebuilt(asks, best_first=False)
        assert book.bids.top(depth) == all_bids[:depth]
        assert book.asks.top(depth) == all_asks[:depth]
        assert book.bids.best() == (float(all_bids[0][0]) if all_bids else None)
        assert book.asks.worst() == (float(all_asks[-1][0]) if all_asks else None)
        for n in (depth, max(len(all_bids), 1), len(all_bids) + 1):
            assert book.bids.nth(n) == (float(all_bids[n - 1][0]) if len(all_bids) >= n else None)
        assert len(book.asks) == len(all_asks)
        crossed = bool(all_bids and all_asks) and Decimal(all_bids[0][0]) >= Decimal(all_asks[0][0])
        assert book.is_crossed() == crossed


def test_prices_that_differ_in_the_fifteenth_digit_are_two_levels() -> None:
    book = Book()
    book.apply([change(("1234567.00000001", "1")), change(("1234567.00000002", "2"))], [])
    assert book.bids.top(5) == [("1234567.00000002", "2"), ("1234567.00000001", "1")]
