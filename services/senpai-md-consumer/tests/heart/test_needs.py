"""How much of each input a rule needs before its signals are told."""

import pytest

from md_contract.units import NS_PER_S
from senpai.md_consumer.features import FEATURES
from senpai.md_consumer.tracked import needs_of


@pytest.mark.parametrize(
    ("names", "needs_s"),
    [
        (["trade_count_10s"], {"trades": 10}),
        (["trade_count_10s", "trade_vwap_60s"], {"trades": 30}),  # the windows of 60 s are 30 s long here
        (["trade_vwap_60s", "trade_count_10s"], {"trades": 30}),
        (["mid"], {"quotes": 0}),
        (["mid", "trade_count_10s"], {"quotes": 0, "trades": 10}),
    ],
)
def test_a_rule_needs_the_longest_window_of_each_input_it_reads(names: list[str], needs_s: dict[str, int]) -> None:
    found = needs_of([FEATURES[name] for name in names], window_s=30)
    assert found == {source: seconds * NS_PER_S for source, seconds in needs_s.items()}


@pytest.mark.parametrize(("warm_up_s", "needs_s"), [(None, 10), (5, 10), (45, 45)])
def test_a_feature_that_warms_up_for_longer_than_its_window_needs_that_long(
    warm_up_s: int | None, needs_s: int
) -> None:
    feature = FEATURES["trade_count_10s"]._replace(warm_up_s=warm_up_s)
    assert needs_of([feature], window_s=30) == {"trades": needs_s * NS_PER_S}
