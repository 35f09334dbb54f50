"""Reads SenpAI's signals, features, alerts and events from NATS.

async with Client("nats://127.0.0.1:4222") as client:
    async for signal in client.signals("BTCUSDT"):
        print(signal.direction, seconds_left(signal))
"""

from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust
from senpai.client.client import Client
from senpai.client.errors import ClientError, NotConnectedError, NotOpenError
from senpai.client.judgement import is_trusted, is_valid, seconds_left
from senpai.client.stream import Stream

__all__ = [
    "Alert",
    "BookL2",
    "Client",
    "ClientError",
    "Condition",
    "Event",
    "FeatureVector",
    "Heartbeat",
    "NotConnectedError",
    "NotOpenError",
    "Quote",
    "Signal",
    "Status",
    "Stream",
    "Trade",
    "Trust",
    "is_trusted",
    "is_valid",
    "seconds_left",
]
