from typing import Any

import pytest

from md_contract.signals import FeatureVector, Signal, Trust
from senpai.client import is_trusted, is_valid, seconds_left

S = 1_000_000_000


def signal(state: Any = "new", until: int = 10 * S) -> Signal:
    trust = Trust(True, False, False, None, 0, None)
    return Signal("1", state, "A", None, "long", "momentum", 0, until, [], {}, trust)


@pytest.mark.parametrize(
    ("state", "now", "left"),
    [("new", 0, 10.0), ("new", 10 * S - 1, 1e-9), ("new", 10 * S, 0.0), ("new", 11 * S, 0.0), ("cancel", 0, 0.0)],
)
def test_a_signal_is_valid_until_its_end_or_its_cancel(state: str, now: int, left: float) -> None:
    assert is_valid(signal(state), now) == (left > 0)
    assert seconds_left(signal(state), now) == pytest.approx(left)


def test_without_a_time_it_is_now() -> None:
    assert not is_valid(signal())
    assert seconds_left(signal(until=2**62)) > 1e6


@pytest.mark.parametrize(
    ("warm", "stale", "gap", "trusted"),
    [(True, False, False, True), (False, False, False, False), (True, True, False, False), (True, False, True, False)],
)
def test_trust_needs_full_windows_fresh_events_and_no_hole(warm: bool, stale: bool, gap: bool, trusted: bool) -> None:
    assert is_trusted(FeatureVector("A", None, 1, 1, {}, Trust(warm, stale, gap, None, 0, None))) is trusted
