"""Alpaca's stock and crypto streams: login, subscriptions and messages, without sockets or clock."""

from exchange_sim.alpaca.door import Door
from exchange_sim.alpaca.faults import AlpacaFaults
from exchange_sim.alpaca.session import AlpacaSession
from exchange_sim.alpaca.venue import Alpaca

__all__ = ["Alpaca", "AlpacaFaults", "AlpacaSession", "Door"]
