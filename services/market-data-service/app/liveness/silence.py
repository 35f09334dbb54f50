"""How long a silence may be: by venue, and as a detector that tells of each change once.

All times are of the listening clock, ns: it stands still while we are the ones who do not listen.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from app.liveness.standing import Standing
from md_contract.units import NS_PER_MS, NS_PER_S

MAX_STEP_NS: Final = 500 * NS_PER_MS
RECOVERY_SHARE: Final = 5  # signs of life must span this part of the limit before a silence counts as over


class Limits(Struct, frozen=True):
    """How long a venue may be silent, in seconds.

    A venue that is never silent for long on its busiest instruments may well be on others, so a connection that
    carries none of `busy` is given more time.
    """

    data_s: float = 10.0  # market data on a connection
    quiet_data_s: float = 60.0  # the same, on a connection without a busy symbol
    transport_s: float = 5.0  # without an open and subscribed connection
    symbol_s: float | None = None  # a sign of life of one symbol; None: the venue promises no cadence
    busy: frozenset[str] = frozenset()
    reconnect: bool = False  # a connection that is mute for that long is given up and made anew

    def data_ns(self, symbols: Collection[str], override_s: float | None = None) -> int:
        """The limit for market data on a connection that carries `symbols`, unless the settings say otherwise."""
        if override_s is not None:
            return int(override_s * NS_PER_S)
        return int((self.quiet_data_s if self.busy.isdisjoint(symbols) else self.data_s) * NS_PER_S)


_BUSY_USDT: Final = frozenset(
    f"{coin}USDT"
    for coin in [
        "BTC",
        "ETH",
        "SOL",
        "XRP",
        "BNB",
        "DOGE",
        "ADA",
        "TRX",
        "LINK",
        "AVAX",
        "SUI",
        "LTC",
        "DOT",
        "BCH",
        "TON",
        "PEPE",
        "SHIB",
    ]
)
_BUSY_USD: Final = frozenset({"SPY", "QQQ", "AAPL", "NVDA", "TSLA", "BTC/USD", "ETH/USD"})
LIMITS: Final[Mapping[str, Limits]] = MappingProxyType(
    {
        "binance": Limits(busy=_BUSY_USDT, reconnect=True),
        "bybit": Limits(
            quiet_data_s=10.0, symbol_s=10.0, reconnect=True
        ),  # every symbol repeats its best quote every 3 s
        "bybit_linear": Limits(quiet_data_s=10.0, symbol_s=10.0, reconnect=True),
        "alpaca": Limits(  # a 406 after our own last connection can take a minute to clear
            data_s=60.0, quiet_data_s=600.0, transport_s=75.0, busy=_BUSY_USD, reconnect=True
        ),
    }
)


def limits_of(provider: str) -> Limits:
    """The limits of one venue, or cautious ones for a venue without a line of its own."""
    return LIMITS.get(provider, Limits())


class ListeningClock:
    """Monotonic time without the times in which we did not listen.

    While the sockets are not read (backpressure), or the process was held up, silence is no fault of the venue.
    """

    def __init__(self, mono_ns: int) -> None:
        self.now = 0
        self.skipped = False  # the last step left time out
        self._mono_ns = mono_ns

    def advance(self, mono_ns: int, *, paused: bool) -> int:
        """Go on to the monotonic time `mono_ns`; return the new listening time."""
        elapsed = max(mono_ns - self._mono_ns, 0)
        counted = 0 if paused else min(elapsed, MAX_STEP_NS)
        self.skipped = counted < elapsed
        self.now += counted
        self._mono_ns += elapsed
        return self.now


class Change(StrEnum):
    """What a detector has to tell; the values are kinds of status events."""

    STALE = "stale"
    RECOVERED = "recovered"


class Silence:
    """Tells once when something has been silent for too long, and once when it speaks again."""

    __slots__ = ("_base", "_speaks_since", "_standing", "limit_ns", "silent_ns")

    def __init__(self, limit_ns: int, now: int) -> None:
        self.limit_ns = limit_ns
        self.silent_ns = 0  # how long it has been silent; after `RECOVERED`, how long it had been
        self._base = now  # the last sign of life, or when we began to wait for the first
        self._speaks_since: int | None = None  # the first sign of life since it was found stale
        self._standing = Standing()

    @property
    def stale(self) -> bool:
        return not self._standing.good

    def heard(self, now: int) -> None:
        """A sign of life."""
        if self.stale and self._speaks_since is None:
            self._speaks_since = now
            self.silent_ns = now - self._base
        self._base = now

    def restart(self, now: int) -> None:
        """Wait anew from here on, although nothing was heard."""
        self._base = now
        self._speaks_since = None

    def look(self, now: int) -> Change | None:
        silent_ns = now - self._base
        too_long = silent_ns > self.limit_ns
        if too_long:
            self._speaks_since = None
        if self._speaks_since is None:
            self.silent_ns = silent_ns
            changed = self._standing.judge(fault=too_long or self.stale, steady=False)
        else:
            spoken_ns = self._base - self._speaks_since
            changed = self._standing.judge(fault=False, steady=spoken_ns >= self.limit_ns // RECOVERY_SHARE)
        if not changed:
            return None
        return Change.STALE if self.stale else Change.RECOVERED
