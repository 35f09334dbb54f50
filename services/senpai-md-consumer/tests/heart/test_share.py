"""What part of the messages of the last ten seconds was bad."""

from md_contract.units import NS_PER_S
from senpai.md_consumer.alerts.share import Share


def shares(*looks: tuple[int, int, int]) -> list[float]:
    """What is found after each look (seconds, bad so far, all so far)."""
    share = Share()
    return [share.look(bad, every, seconds * NS_PER_S) for seconds, bad, every in looks]


def test_a_share_is_that_of_the_last_ten_seconds() -> None:
    assert shares((0, 0, 0), (1, 50, 100), (9, 50, 200), (10, 50, 300), (11, 50, 400), (12, 50, 500)) == [
        0, 0.5, 50 / 200, 50 / 300, 0, 0,
    ]  # fmt: skip


def test_of_fewer_than_twenty_messages_nothing_is_said() -> None:
    assert shares((0, 0, 0), (1, 19, 19), (2, 20, 20), (11, 38, 39), (12, 38, 39)) == [0, 0, 1, 19 / 20, 0]


def test_a_share_goes_back_to_the_last_look_that_is_ten_seconds_old() -> None:
    assert shares((0, 0, 0), (4, 100, 100), (30, 150, 200)) == [0, 1, 0.5]
