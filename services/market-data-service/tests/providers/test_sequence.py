"""Trade ids: every id judged as a set that remembers everything would judge it."""

from hypothesis import given
from hypothesis import strategies as st

from app.providers import sequence
from app.providers.sequence import TradeSequence, Verdict


def test_ids_that_follow_are_next_and_a_jump_is_a_gap_with_its_range() -> None:
    ids = TradeSequence()
    assert ids.last is None
    assert [ids.judge(n, n) for n in (100, 101, 102)] == [Verdict.NEXT] * 3
    assert ids.judge(110, 110) is Verdict.GAP
    assert ids.holes[-1] == (103, 109)
    assert ids.last == 110


def test_a_repeat_is_a_duplicate_and_one_of_the_missing_is_late_once() -> None:
    ids = TradeSequence()
    for n in (100, 105):
        ids.judge(n, n)
    assert ids.judge(105, 105) is Verdict.DUPLICATE
    assert ids.judge(100, 100) is Verdict.DUPLICATE
    assert ids.judge(102, 102) is Verdict.LATE
    assert ids.judge(102, 102) is Verdict.DUPLICATE
    assert ids.holes == [(101, 101), (103, 104)]


def test_an_old_id_on_a_younger_trade_begins_a_new_numbering() -> None:
    ids = TradeSequence()
    for n in (100, 105):
        ids.judge(n, 1_000)
    assert ids.judge(1, 2_000) is Verdict.RESTART
    assert ids.judge(2, 2_000) is Verdict.NEXT
    assert ids.judge(103, 2_000) is Verdict.GAP, "the holes of the old numbering are forgotten"


def test_the_oldest_hole_is_forgotten_first(monkeypatch: object) -> None:
    ids = TradeSequence()
    for n in range(0, 4 * sequence.MAX_HOLES, 2):
        ids.judge(n, n)
    assert len(ids.holes) == sequence.MAX_HOLES
    assert ids.judge(1, 1) is Verdict.DUPLICATE
    assert ids.judge(4 * sequence.MAX_HOLES - 3, 0) is Verdict.LATE


@given(st.lists(st.integers(0, 40), max_size=80))
def test_every_id_is_judged_as_a_complete_memory_would(stream: list[int]) -> None:
    """Times that follow the ids, as a venue's do, so that nothing looks like a new numbering."""
    ids = TradeSequence()
    seen: set[int] = set()
    for n in stream:
        verdict = ids.judge(n, n)
        if not seen or n == max(seen) + 1:
            assert verdict is Verdict.NEXT
        elif n > max(seen):
            assert verdict is Verdict.GAP
            assert ids.holes[-1] == (max(seen) + 1, n - 1)
        elif n in seen or n < min(seen):
            assert verdict is Verdict.DUPLICATE
        else:
            assert verdict is Verdict.LATE
        if verdict is not Verdict.DUPLICATE:
            seen.add(n)
        missing = set(range(min(seen), max(seen) + 1)) - seen
        assert {n for first, last in ids.holes for n in range(first, last + 1)} == missing
