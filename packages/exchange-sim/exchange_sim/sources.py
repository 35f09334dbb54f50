"""What feeds an exchange, and which venues tell of it: an invented market by all of them, a recording by its own."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from exchange_sim.alpaca import Alpaca, Door
from exchange_sim.binance import Binance, ErrorShape
from exchange_sim.binance import Survey as BinanceSurvey
from exchange_sim.binance import is_frame as is_binance_frame
from exchange_sim.bybit import Bybit
from exchange_sim.bybit import Survey as BybitSurvey
from exchange_sim.bybit import is_frame as is_bybit_frame
from exchange_sim.live import MarketPlayback, Teller
from exchange_sim.market import MarketModel, instrument, shape_of
from exchange_sim.replay import Contents
from exchange_sim.script import Script
from exchange_sim.tape import Tape, TapeError
from exchange_sim.venue import Playback

Source: TypeAlias = MarketModel | Tape | Script
_IsWanted: TypeAlias = Callable[[str], bool]


class Stage(NamedTuple):
    """Everything behind the sockets."""

    playback: Playback
    binance: Binance | None
    bybit: Bybit | None
    alpaca: Alpaca | None = None
    contents: Contents | None = None  # of a tape


def prepare(source: Source, is_wanted: _IsWanted, error_shape: ErrorShape, make_door: Callable[[], Door]) -> Stage:
    """Set the stage for a source; `is_wanted` tells whether anybody listens to a stream.

    Of an invented market every venue has the symbols that are shaped like its own; without any it is not there.

    Raises:
        TapeError: a tape cannot be read, or holds several venues.
    """
    if isinstance(source, MarketModel):
        return _invented(source, is_wanted, error_shape, make_door)
    if isinstance(source, Tape):
        return _recorded(source, is_wanted, error_shape)
    instruments = {symbol: instrument(symbol) for symbol in source.symbols}
    scripted = Binance(instruments, error_shape=error_shape) if "binance" in source.venues else None
    if scripted is not None:
        scripted.rest.depths.update(source.depths)
    bybit = Bybit.of(instruments) if "bybit" in source.venues else None
    return Stage(source, scripted, bybit, Alpaca(instruments, make_door) if "alpaca" in source.venues else None)


def _invented(
    model: MarketModel, is_wanted: _IsWanted, error_shape: ErrorShape, make_door: Callable[[], Door]
) -> Stage:
    pairs = {symbol: what for symbol, what in model.instruments.items() if shape_of(symbol) == "pair"}
    others = [symbol for symbol in model.symbols if symbol not in pairs]
    tellers: list[Teller] = []
    binance = bybit = alpaca = None
    if pairs or not others:
        binance, bybit = Binance(pairs, error_shape=error_shape), Bybit.of(pairs)
        tellers += [binance.teller(model, is_wanted), bybit.teller(model, is_wanted)]
    if others:
        alpaca = Alpaca(others, make_door)
        tellers.append(alpaca.teller(model, is_wanted))
    return Stage(MarketPlayback(model, tellers), binance, bybit, alpaca)


def _recorded(tape: Tape, is_wanted: _IsWanted, error_shape: ErrorShape) -> Stage:
    if _venue_on(tape) == "bybit":
        found = BybitSurvey(tape)
        bybit = Bybit(found.instruments)
        return Stage(bybit.recorded(found, is_wanted), None, bybit, contents=found)
    survey = BinanceSurvey(tape)
    binance = Binance(survey.instruments, error_shape=error_shape)
    return Stage(binance.recorded(survey, is_wanted), binance, None, contents=survey)


def _venue_on(tape: Tape) -> str:
    """Return whose frames are on a tape, by the first frame of each file."""
    found = ""
    for path in tape.paths:
        frames = (recorded.text for recorded in Tape(path).read() if not recorded.url)
        venue = next(filter(None, map(_venue_of, frames)), "")
        if found and venue and venue != found:
            raise TapeError(path, f"it holds frames of {venue}, and another file frames of {found}: play them apart")
        found = found or venue
    return found


def _venue_of(text: bytes) -> str:
    if is_binance_frame(text):
        return "binance"
    return "bybit" if is_bybit_frame(text) else ""
