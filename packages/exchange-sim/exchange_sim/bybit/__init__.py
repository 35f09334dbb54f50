"""Bybit V5 spot and linear: the public stream server's protocol and the REST calls for market data, without sockets
or clock.
"""

from exchange_sim.bybit.faults import BybitFaults
from exchange_sim.bybit.oddities import BadAck
from exchange_sim.bybit.survey import Survey, is_frame
from exchange_sim.bybit.venue import Bybit

__all__ = ["BadAck", "Bybit", "BybitFaults", "Survey", "is_frame"]
