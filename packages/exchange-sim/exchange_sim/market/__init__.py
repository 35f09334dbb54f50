"""The market model: a seeded, invented market that no venue's protocol knows of. Pure: time is an argument."""

from exchange_sim.market.events import BookUpdate, Execution, Fill, MarketEvent
from exchange_sim.market.fair_price import FairPrice, Move
from exchange_sim.market.instruments import Instrument, instrument, shape_of, split_symbol
from exchange_sim.market.model import MarketModel

__all__ = [
    "BookUpdate",
    "Execution",
    "FairPrice",
    "Fill",
    "Instrument",
    "MarketEvent",
    "MarketModel",
    "Move",
    "instrument",
    "shape_of",
    "split_symbol",
]
