"""What senpai-md-consumer publishes: features, signals and alerts, each with how far it can be trusted."""

from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field

from md_contract.events import VERSION

Direction: TypeAlias = Literal["long", "short"]
SignalState: TypeAlias = Literal["new", "cancel"]
AlertState: TypeAlias = Literal["firing", "resolved"]
Severity: TypeAlias = Literal["info", "warning", "critical"]
FeatureValue: TypeAlias = float | int | None


class Trust(Struct):
    """How far the numbers beside it can be trusted."""

    warm: bool  # the longest window has been filled once since its last restart
    stale: bool
    gap: bool  # something is known to be missing from the windows
    age_ms: float | None  # silence of the symbol when the message was made; null before its first event
    trades_60s: int  # trades in the 60-second window
    source: str | None  # the provider all of this came from
    reasons: list[str] = field(default_factory=list)  # why any of the above is not as it should be


class FeatureVector(Struct):
    """All features of one symbol at one instant, on `senpai.features.{symbol}`; null where there is no answer."""

    symbol: str
    provider: str | None
    ts: int | None  # ns: the event-time clock the values hold for; null before the first event
    ts_emit: int  # ns
    features: dict[str, FeatureValue]
    trust: Trust
    seq: int = 0
    epoch: int = 0
    v: int = VERSION


class Condition(Struct):
    """One condition of a rule, as it stood when the signal was made."""

    name: str
    value: float
    op: Literal[">", "<"]
    threshold: float


class Signal(Struct):
    """A rule's finding, on `senpai.signals.{symbol}`."""

    id: str
    state: SignalState
    symbol: str
    provider: str | None
    direction: Direction
    rule: str
    ts: int  # ns, event time
    valid_until: int  # ns, event time
    reason: list[Condition]
    features: dict[str, FeatureValue]
    trust: Trust
    v: int = VERSION
    causes: list[str] | UnsetType = (
        UNSET  # of a cancel: the conditions that are lost, or why the inputs are not trusted
    )


class Alert(Struct):
    """Something is wrong with the system itself, on `senpai.alerts`; each `firing` has its `resolved`."""

    id: str
    kind: str
    state: AlertState
    severity: Severity
    symbol: str | None
    provider: str | None
    value: float | None
    threshold: float | None
    message: str
    ts: int  # ns, wall clock
    v: int = VERSION
