"""Binance spot: the stream server's protocol and the REST calls for market data, without sockets or clock."""

from exchange_sim.binance.session import ErrorShape
from exchange_sim.binance.survey import Survey, is_frame
from exchange_sim.binance.venue import Binance

__all__ = ["Binance", "ErrorShape", "Survey", "is_frame"]
