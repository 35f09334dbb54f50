from collections.abc import Callable
from heapq import heappop, heappush

import pytest

from md_contract import codec
from md_contract.signals import Alert, Condition, FeatureVector, Signal, Trust
from senpai.md_consumer.publisher import Publisher, PublisherOptions

MS = 1_000_000
START = 5_000 * MS


class Bench:
    """A publisher in virtual time, with a link and a heart that do what the test says."""

    def __init__(self, rate_hz: float = 10.0, outbox_size: int = 100) -> None:
        self.now_ns = START
        self.writable = True
        self.state: dict[str, float] = {}
        self.sent: list[tuple[int, str, bytes]] = []
        self.computed = 0
        self.broken: set[str] = set()
        self._timers: list[tuple[int, int, _Timer]] = []
        self._armed = 0
        self.publisher = Publisher(
            PublisherOptions(epoch=77, rate_hz=rate_hz, outbox_size=outbox_size),
            self,
            self,
            call_later=self._call_later,
            mono_ns=lambda: self.now_ns,
            wall_ns=lambda: self.now_ns + 10**18,
        )

    def publish(self, subject: str, payload: bytes) -> bool:
        if self.writable:
            self.sent.append((self.now_ns - START, subject, payload))
        return self.writable

    def features(self, symbol: str, mono_ns: int, wall_ns: int) -> FeatureVector | None:
        self.computed += 1
        if symbol in self.broken:
            raise ZeroDivisionError("a fault")
        if symbol not in self.state:
            return None
        return FeatureVector(symbol, "binance", 1, wall_ns, {"mid": self.state[symbol]}, trust())

    def change(self, symbol: str, value: float) -> None:
        self.state[symbol] = value
        self.publisher.touch([symbol], self.now_ns)

    def run_until(self, ms: float) -> None:
        """Let virtual time pass, up to `ms` after the start."""
        end = START + round(ms * MS)
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heappop(self._timers)
            self.now_ns = max(self.now_ns, due)
            if not timer.cancelled:
                timer.callback()
        self.now_ns = end

    @property
    def timers(self) -> int:
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def features_of(self, symbol: str) -> list[tuple[float, float]]:
        """(ms after the start, mid) of each message published."""
        return [
            (at / MS, float(codec.decode_features(payload).features["mid"] or 0))
            for at, subject, payload in self.sent
            if subject == f"senpai.features.{symbol}"
        ]

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> "_Timer":
        timer = _Timer(callback)
        self._armed += 1
        heappush(self._timers, (self.now_ns + round(delay_s * 1e9), self._armed, timer))
        return timer


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def trust() -> Trust:
    return Trust(warm=True, stale=False, gap=False, age_ms=0.0, trades_60s=1, source="binance")


def make_signal(symbol: str = "BTCUSDT", valid_ms: int = 1_000, state: str = "new", direction: str = "long") -> Signal:
    ts = 1_600_000_000_000_000_000  # an old recording: its event time is years ago
    return codec.decode_signal(
        codec.encode(
            Signal(
                f"{symbol}-{ts}",
                "new",
                symbol,
                "binance",
                "long",
                "momentum",
                ts,
                ts + valid_ms * MS,
                [Condition("return_10s", 0.004, ">", 0.003)],
                {},
                trust(),
            )
        )
        .replace(b'"state":"new"', f'"state":"{state}"'.encode())
        .replace(b'"direction":"long"', f'"direction":"{direction}"'.encode())
    )


def make_alert(kind: str = "latency") -> Alert:
    return Alert(f"{kind}-1", kind, "firing", "warning", None, None, 2.0, 1.0, "late", 1)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def make_bench() -> type[Bench]:
    return Bench


@pytest.fixture(scope="session")
def signal() -> Callable[..., Signal]:
    return make_signal


@pytest.fixture(scope="session")
def alert() -> Callable[..., Alert]:
    return make_alert
