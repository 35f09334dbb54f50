"""Features of plug-ins as the heart knows features: families over a symbol's state, every call of them guarded."""

from collections.abc import Callable
from functools import partial
from math import isfinite
from numbers import Integral, Real
from typing import Any, Final

from md_contract.signals import FeatureValue
from md_contract.units import NS_PER_S
from senpai.md_consumer.features import Feature
from senpai.md_consumer.marks import Input
from senpai.md_consumer.plugins.declared import FeatureDeclaration
from senpai.md_consumer.plugins.guard import Failed, Guard
from senpai.md_consumer.plugins.views import Book, Quote, Quotes, Trades
from senpai.md_consumer.state import SymbolState
from senpai.md_consumer.window import Window

_MOST_EXACT: Final = 1 << 53
_REBUILD_EVERY: Final = 8  # windows' worth of removals, after which a running feature is made anew


def feature_of(declared: FeatureDeclaration, guard: Guard) -> Feature:
    """The entry for the table of features."""
    inputs = _inputs(declared)
    source = next(iter(inputs))
    family: type[Computed | Running] = Running if declared.is_running else Computed
    made = partial(family, declared, guard)
    return Feature(made, family.value, source, None, declared.unit, None, declared.warm_up_s or None, inputs)


def as_number(answer: object) -> FeatureValue:
    """The answer as a plain number, NaN and infinity among them.

    Raises:
        TypeError: it is no number.
    """
    if answer is None:
        return None
    if isinstance(answer, bool) or not isinstance(answer, Real):
        raise TypeError(f"expected a number or None, found {type(answer).__name__}")
    if isinstance(answer, Integral) and -_MOST_EXACT <= int(answer) <= _MOST_EXACT:
        return int(answer)
    return float(answer)


def _inputs(declared: FeatureDeclaration) -> dict[Input, int]:
    """What it is made of, in seconds; 0: the latest state."""
    inputs, spans = declared.inputs, dict[Input, int]()
    if inputs.trades is not None:
        spans["trades"] = inputs.trades
    if inputs.quotes is not None or inputs.quote:
        spans["quotes"] = inputs.quotes or 0
    if inputs.book:
        spans["books"] = 0
    return spans


def _asked(guard: Guard, ask: Callable[[], Any]) -> FeatureValue:
    """The value a plug-in gives, fit to be published."""
    value = guard.call(lambda: as_number(ask()))
    if isinstance(value, Failed) or value is None:
        return None
    if not isfinite(value):
        guard.not_finite += 1
        return None
    return value


def _trades_window(state: SymbolState, span_s: int) -> Window[Any]:
    """No longer than the longest one there is, so that a plug-in changes nothing for anybody else."""
    return state.trades.window(min(span_s * NS_PER_S, state.trades.span_ns))


def _quotes_window(state: SymbolState, span_s: int) -> Window[Any]:
    return state.quote_history().window(min(span_s * NS_PER_S, state.trades.span_ns))


class Computed:
    """A function of its inputs, called once for every change of the symbol, and only if anybody asks."""

    def __init__(self, declared: FeatureDeclaration, guard: Guard, state: SymbolState) -> None:
        inputs = declared.inputs
        self._function = declared.made_by
        self._least = declared.least
        self._guard = guard
        self._state = state
        self._trades = None if inputs.trades is None else _trades_window(state, inputs.trades)
        self._quotes = None if inputs.quotes is None else _quotes_window(state, inputs.quotes)
        self._reads_quote, self._reads_book = inputs.quote, inputs.book
        self._as_of: tuple[Any, ...] = ()
        self._value: FeatureValue = None

    def value(self) -> FeatureValue:
        """The function of the inputs as they are now."""
        if self._guard.why_off is not None:
            return None
        inputs = self._inputs()
        if inputs is None:
            return None
        state = self._state
        as_of = (state.events, state.clock.now, *[len(view) for view in inputs.values()])
        if as_of != self._as_of:
            self._as_of = as_of
            self._value = _asked(self._guard, partial(self._function, **inputs))
        return self._value

    def _inputs(self) -> dict[str, Any] | None:
        """The arguments; None when one of them is missing, or a window holds too few events."""
        state, inputs = self._state, dict[str, Any]()
        if self._trades is not None:
            rows = self._trades.series
            inputs["trades"] = Trades(rows, self._trades.advance(), len(rows))
        if self._quotes is not None:
            rows = self._quotes.series
            inputs["quotes"] = Quotes(rows, self._quotes.advance(), len(rows))
        if any(len(window) < self._least for window in inputs.values()):
            return None
        if self._reads_quote:
            quote = (state.bid, state.bid_size, state.ask, state.ask_size)
            if None in quote:
                return None
            inputs["quote"] = Quote._make(quote)
        if self._reads_book:
            book = state.book
            if book is None or not (book.bids and book.asks):
                return None
            levels = [tuple((float(price), float(size)) for price, size in side) for side in (book.bids, book.asks)]
            inputs["book"] = Book._make(levels)
        return inputs


class Running:
    """A class that is told what enters and what leaves its window.

    One that has failed holds nobody knows what: it is made anew from the window when its value is wanted again. So it
    is now and then in any case, which keeps rounding errors from adding up.
    """

    lead = reach = 0

    def __init__(self, declared: FeatureDeclaration, guard: Guard, state: SymbolState) -> None:
        inputs = declared.inputs
        self._make = declared.made_by
        self._least = declared.least
        self._guard = guard
        self._made: Any = None
        self._broken = False
        self._removed = 0  # events since it was made
        self._view: type[Trades | Quotes] = Quotes if inputs.trades is None else Trades
        if inputs.trades is not None:
            self._window = _trades_window(state, inputs.trades)
        else:
            self._window = _quotes_window(state, inputs.quotes or 0)
        self._window.follow(self)

    def add(self, start: int, stop: int) -> None:
        self._tell("add", start, stop)

    def remove(self, start: int, stop: int) -> None:
        self._removed += stop - start
        self._tell("remove", start, stop)

    def reset(self) -> None:
        self._made = None
        self._broken = False
        self._removed = 0

    def value(self) -> FeatureValue:
        """What the class makes of the events in its window."""
        if self._guard.why_off is not None:
            return None
        count = self._window.sync()
        if self._broken or self._removed > _REBUILD_EVERY * (count + 1_000):
            self._window.resum(self)
        if count < self._least or not self._is_made():
            return None
        return _asked(self._guard, self._told)

    def _told(self) -> object:
        return self._made.value()  # looked up in here, because that may fail as well

    def _tell(self, method: str, start: int, stop: int) -> None:
        if self._broken or not self._is_made():
            return
        events = self._view(self._window.series, start, stop)
        self._broken = isinstance(self._guard.call(lambda: getattr(self._made, method)(events)), Failed)

    def _is_made(self) -> bool:
        if self._made is None and not self._broken:
            made = self._guard.call(self._make)
            self._broken = isinstance(made, Failed)
            self._made = None if self._broken else made
        return self._made is not None and not self._broken
