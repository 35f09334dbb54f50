"""What a message is worth. Pure, but for the clock where no time is given."""

import time

from md_contract.signals import FeatureVector, Signal
from md_contract.units import NS_PER_S


def is_valid(signal: Signal, now_ns: int | None = None) -> bool:
    """Whether a signal may still be acted upon: not cancelled, and `valid_until` has not come.

    `valid_until` is event time: the exchange's clock. `now_ns` (UTC; None: this machine's clock) is the same but for
    the difference of the clocks; where event time is not now, as in a replay, give the time of the replay.
    """
    return signal.state == "new" and (time.time_ns() if now_ns is None else now_ns) < signal.valid_until


def seconds_left(signal: Signal, now_ns: int | None = None) -> float:
    """Seconds until the signal expires; 0 when it is not valid any more."""
    now = time.time_ns() if now_ns is None else now_ns
    return (signal.valid_until - now) / NS_PER_S if is_valid(signal, now) else 0.0


def is_trusted(message: FeatureVector | Signal) -> bool:
    """Whether its windows are full, nothing is missing from them, and the symbol still speaks."""
    trust = message.trust
    return trust.warm and not trust.stale and not trust.gap
