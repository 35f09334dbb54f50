"""What a feature is, and the features of one symbol."""

from collections.abc import Callable, Mapping
from types import MappingProxyType, MethodType
from typing import Any, Final, NamedTuple, TypeAlias

from md_contract.signals import FeatureValue
from md_contract.units import NS_PER_S
from senpai.md_consumer.marks import Input
from senpai.md_consumer.state import SymbolState

Reader: TypeAlias = Callable[[], FeatureValue]

ROLLING_S: Final = 60  # windows of this length follow the setting that shortens them
GRID_S: Final = 1


class Feature(NamedTuple):
    """One value of a family.

    A family is made once for each symbol, from what it follows: a window of events; with `grid_s` a window of rows, one
    for every second (`seconds`); without `window_s` the symbol's state. Features that agree in all of that share it.
    """

    family: Callable[[Any], object]
    value: Callable[[Any], FeatureValue]  # a method of the family, or a function of it; its docstring is the formula
    source: Input  # what the value is made of
    window_s: int | None  # None: the latest state, no window
    unit: str
    grid_s: int | None = None  # None or GRID_S
    warm_up_s: int | None = None  # event time until the value means what it says; None: as long as the window
    inputs: Mapping[Input, int] = MappingProxyType({})  # where it reads several: seconds of each; 0: the latest state

    @property
    def spans_s(self) -> Mapping[Input, int]:
        """Everything that it is made of: the seconds of each input, 0 for its latest state."""
        return self.inputs or {self.source: self.window_s or 0}


class FeatureSet:
    """The features of one symbol. Those of one family and window share one object, so nothing is summed twice."""

    def __init__(self, state: SymbolState, features: Mapping[str, Feature]) -> None:
        self._state = state
        self._families: dict[tuple[Any, ...], object] = {}
        self.readers: Mapping[str, Reader] = {name: self._reader(feature) for name, feature in features.items()}

    def values(self) -> dict[str, FeatureValue]:
        """Every feature's value at the symbol's present clock."""
        return {name: read() for name, read in self.readers.items()}

    def _reader(self, feature: Feature) -> Reader:
        key = (feature.family, feature.source, feature.window_s, feature.grid_s)
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = feature.family(self._input(feature))
        return MethodType(feature.value, family)

    def _input(self, feature: Feature) -> object:
        """What the feature's family follows.

        Raises:
            ValueError: there is no such thing.
        """
        state, source = self._state, feature.source
        if feature.window_s is None:
            return state
        span_ns = state.span_ns if feature.window_s == ROLLING_S else feature.window_s * NS_PER_S
        if feature.grid_s is not None:
            if feature.grid_s != GRID_S or source not in ("trades", "quotes"):
                raise ValueError(
                    f"a grid is of {GRID_S} s, of trades or of quotes, found {feature.grid_s!r} of {source!r}"
                )
            return state.seconds(source).window(span_ns)
        if source == "trades":
            return state.trades.window(span_ns)
        if source == "delays":
            return state.delays.window(span_ns)
        if source == "quotes":
            return state.quote_history().window(span_ns)
        raise ValueError(f"there are windows of trades, quotes and delays, found {source!r}")
