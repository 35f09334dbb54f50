"""What Alpaca's error codes mean, and what follows from each."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

STOP_S: Final = 600.0  # before a try that nobody expects to succeed


class Action(StrEnum):
    """What to do about an error."""

    SPLIT = "split"  # ask again in halves, until the symbol at fault stands alone
    REDUCE = "reduce"  # ask again in halves, until no more fits
    GO_ON = "go_on"  # nothing is wrong
    LOG_IN_AGAIN = "log_in_again"  # on this connection, after a while
    RECONNECT = "reconnect"
    STOP = "stop"  # only people can help: tell them, and try again much later


class Rule(Struct, frozen=True):
    """What follows from one code; `advice` is for people, and empty where they need not be told."""

    action: Action
    advice: str = ""


_KEYS: Final = "check ALPACA_API_KEY and ALPACA_API_SECRET (paper and live keys both work here), then restart"
_PLAN: Final = "this key's plan does not include the feed: change ALPACA_FEED or the plan, then restart"

RULES: Final[Mapping[int, Rule]] = MappingProxyType(
    {
        400: Rule(Action.SPLIT, "the venue found the request malformed"),
        401: Rule(Action.RECONNECT),
        402: Rule(Action.STOP, _KEYS),
        403: Rule(Action.GO_ON),
        404: Rule(Action.RECONNECT),
        405: Rule(Action.REDUCE, "follow fewer symbols, or change the plan"),
        406: Rule(Action.LOG_IN_AGAIN, "another program uses this key, or our own last connection has not ended yet"),
        407: Rule(Action.RECONNECT, "the venue found us too slow: give the service more CPU, or fewer symbols"),
        408: Rule(Action.STOP, _PLAN),
        409: Rule(Action.STOP, _PLAN),
        410: Rule(Action.STOP, "this feed does not know one of the channels we asked for: please report it"),
        411: Rule(Action.STOP, "the OAuth token does not cover market data: use another, then restart"),
        500: Rule(Action.RECONNECT),
    }
)
UNKNOWN: Final = Rule(Action.RECONNECT, "an error code that is not known here: connecting anew")
