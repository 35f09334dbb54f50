"""Two venues in virtual time: what they say is scripted by the test, what comes of it is looked at on the bus."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from app.liveness.active import Doors
from app.liveness.provider_watch import LivenessOptions
from app.liveness.watch import Liveness, Remark
from md_contract.events import BookL2, Event, Heartbeat, Quote, Status, Trade

LOOK_NS = 100_000_000
START_NS = 1_800_000_000_000_000_000


@dataclass
class FakeLine:
    symbols: tuple[str, ...]
    state: str = "live"
    opens: int = 1
    last_end: str | None = None
    next_attempt_ns: int | None = None
    refused: dict[str, str] = field(default_factory=dict)
    heard: Callable[[str], int | None] | None = None
    hang_up: Callable[[str], None] | None = None


@dataclass
class FakeFeed:
    connections: list[FakeLine]
    excluded: dict[str, str] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    frames: int = 0
    reconnects: int = 0
    paused: bool = False


class World:
    """`speaking` names the providers that send a trade, a quote and a book of every symbol before each look."""

    def __init__(
        self,
        providers: tuple[str, ...],
        symbols: tuple[str, ...],
        options: LivenessOptions,
        *,
        cold: bool,
        markets: dict[str, str] | None,
    ) -> None:
        self.symbols = symbols
        self.mono_ns = 5_000_000_000
        self.published: list[Event] = []
        self.remarks: list[Remark] = []
        self.hung_up: list[str] = []
        self.speaking = set(providers)
        self.late_ns = dict.fromkeys(providers, 20_000_000)
        self.sent: list[tuple[str, str]] = []  # (provider, trade id) of every trade the providers made
        self.feeds = {
            name: FakeFeed([FakeLine(symbols, hang_up=self.hung_up.append)] if name == providers[0] or not cold else [])
            for name in providers
        }
        self.doors = Doors(providers, symbols, self.published.append)
        self.liveness = Liveness(self.feeds, self.doors, options, self.mono_ns, markets=markets, cold=cold)

    @property
    def wall_ns(self) -> int:
        return START_NS + self.mono_ns

    @property
    def active(self) -> str:
        return self.liveness.active

    def speak(self, name: str, *symbols: str) -> None:
        for symbol in symbols or self.symbols:
            ts_recv, ts_event = self.wall_ns, self.wall_ns - self.late_ns[name]
            trade_id = str(len(self.sent))
            self.sent.append((name, trade_id))
            self.feeds[name].frames += 3
            publish = self.doors[name].publish
            publish(Trade(name, symbol, ts_recv, "1", "1", trade_id, ts_event=ts_event))
            publish(Quote(name, symbol, ts_recv, "1", "1", "2", "1"))
            publish(BookL2(name, symbol, ts_recv, [("1", "1")], [("2", "1")], ts_event))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 1e9 / LOOK_NS)):
            self.mono_ns += LOOK_NS
            for name in sorted(self.speaking):
                self.speak(name)
            self.remarks += self.liveness.look(self.mono_ns, self.wall_ns)

    def stall(self, seconds: float) -> None:
        """Time goes by in which this process does nothing, and the venues' frames wait."""
        self.mono_ns += round(seconds * 1e9)

    def statuses(self, *kinds: str) -> list[Status]:
        return [event for event in self.published if isinstance(event, Status) and event.kind in kinds]

    def heartbeats(self, provider: str) -> list[Heartbeat]:
        return [event for event in self.published if isinstance(event, Heartbeat) and event.provider == provider]

    def verdict(self, name: str) -> tuple[bool, tuple[str, ...]]:
        verdict = self.liveness.verdict(name)
        return verdict.healthy, verdict.reasons


@pytest.fixture(scope="session")
def world() -> Callable[..., World]:
    def make(
        *providers: str,
        symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
        cold: bool = False,
        markets: dict[str, str] | None = None,
        **options: float,
    ) -> World:
        names = providers or ("binance", "bybit")
        return World(names, symbols, LivenessOptions(**options), cold=cold, markets=markets)

    return make


@pytest.fixture(scope="session")
def fake_line() -> type[FakeLine]:
    return FakeLine
