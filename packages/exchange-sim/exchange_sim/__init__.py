"""A local exchange that speaks the protocols of Binance, Bybit and Alpaca, for demos and tests. Nothing is real.

    async with ExchangeSim(MarketModel(seed=1, symbols=["BTCUSDT"])) as sim:
        ...  # connect to sim.ws_url and sim.rest_url

The parts, each apart: what happens (`market`: invented; `tape`: recorded; `script`: written down), a venue's dialect
(`binance`, `bybit`, `alpaca`: pure), the sockets (`server`, `connection`), and between them the `pump`, with the only
clock.
"""

from exchange_sim.frame import Frame, Raw
from exchange_sim.market import MarketModel, Move
from exchange_sim.script import Script
from exchange_sim.server import Patience, PortTakenError
from exchange_sim.sim import ExchangeSim
from exchange_sim.tape import Tape, TapeError

__all__ = [
    "ExchangeSim",
    "Frame",
    "MarketModel",
    "Move",
    "Patience",
    "PortTakenError",
    "Raw",
    "Script",
    "Tape",
    "TapeError",
]
