"""The writer's queue against a plain list: nothing is lost, doubled or overtaken, and the bounds hold."""

from hypothesis import given
from hypothesis import strategies as st

from app.storage.queue import BATCH_ROWS, BatchQueue
from app.storage.rows import Storable, Unreadable
from md_contract.events import BookL2, Trade


def trade(number: int) -> Trade:
    return Trade("x", "Y", number, "1", "1", str(number))


def book(number: int, levels: int) -> BookL2:
    return BookL2("x", "Y", number, [("1", "1")] * levels, [("2", "1")] * (levels // 2))


def unreadable(number: int, size: int) -> Unreadable:
    return Unreadable("md.x", "why", "x" * size, number)


def bytes_of(message: Storable) -> int:
    """About what a message takes in memory: 1 KiB, 192 bytes a level, and what nobody can read as it is."""
    if isinstance(message, BookL2):
        return 1_024 + 192 * (len(message.bids) + len(message.asks))
    return 1_024 + (len(message.payload) if isinstance(message, Unreadable) else 0)


messages = st.one_of(
    st.builds(trade, st.integers(1, 99)),
    st.builds(book, st.integers(1, 99), st.integers(0, 40)),
    st.builds(unreadable, st.integers(1, 99), st.integers(0, 5_000)),
)


@given(st.lists(messages | st.just("take"), max_size=60), st.integers(1, 12), st.integers(1_024, 40_000))
def test_it_is_a_list_with_two_bounds(steps: list[Storable | str], max_rows: int, max_bytes: int) -> None:
    queue, model = BatchQueue(max_rows, max_bytes), list[Storable]()
    for step in steps:
        if isinstance(step, str):
            assert queue.next_batch() == model
            model.clear()
        else:
            fits = len(model) < max_rows and sum(map(bytes_of, model)) < max_bytes
            model += [step] * fits
            assert queue.put(step) == len(model) * fits
        assert (len(queue), queue.bytes) == (len(model), sum(map(bytes_of, model)))
        assert queue.has_room == (len(model) <= max_rows // 2 and queue.bytes <= max_bytes // 2)
        assert not queue.has_batch


def test_a_batch_is_a_thousand_of_the_oldest() -> None:
    queue, events = BatchQueue(), [trade(number) for number in range(2_001)]
    assert BATCH_ROWS == 1_000
    for number, event in enumerate(events, 1):
        assert queue.put(event) == number
        assert queue.has_batch == (number >= 1_000)
    assert [queue.next_batch() for _ in range(4)] == [events[:1_000], events[1_000:2_000], events[2_000:], []]
    assert (len(queue), queue.bytes) == (0, 0)


def test_by_default_it_holds_twenty_thousand_messages_or_64_mebibytes() -> None:
    queue, event = BatchQueue(), trade(1)
    assert [queue.put(event) for _ in range(20_001)][-2:] == [20_000, 0]
    queue = BatchQueue()
    one_mebibyte = unreadable(1, (1 << 20) - 1_024)
    assert [queue.put(one_mebibyte) for _ in range(65)][-2:] == [64, 0]
