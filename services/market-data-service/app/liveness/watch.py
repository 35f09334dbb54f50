"""The watch over all providers of a run, and the choice among them.

Everything is decided here and in the modules beside this one. `service.py` only calls `look` a few times a second,
connects a cold standby while it is `wanted`, and writes the remarks to the log.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from app.liveness.active import Doors
from app.liveness.calendar import expects_data
from app.liveness.failover import FailoverManager, RefusedError, Role, State, Switch
from app.liveness.health import LAG_OVER_S, Verdict
from app.liveness.provider_watch import FeedView, LivenessOptions, ProviderWatch
from app.liveness.silence import ListeningClock
from md_contract.events import Status
from md_contract.units import NS_PER_S

CALLED_UP_S: Final = 60.0  # how long an order keeps a cold standby connected, so that it can be given again
COLD: Final = Verdict(healthy=False, failing=True, reasons=("on cold standby: connects when it is needed",), since=0)


class Remark(Struct, frozen=True):
    """Something for the log."""

    level: Literal["info", "warning", "error"]
    event: str
    fields: Mapping[str, Any]


class Liveness:
    """Watches one provider, or a primary and its backup."""

    def __init__(
        self,
        feeds: Mapping[str, FeedView],
        doors: Doors,
        options: LivenessOptions,
        mono_ns: int,
        *,
        markets: Mapping[str, str] | None = None,
        cold: bool = False,
    ) -> None:
        """Begin to watch.

        Args:
            feeds: by provider name, the primary first, then the backup if there is one.
            doors: one for each of them.
            options: see `LivenessOptions`.
            mono_ns: monotonic time.
            markets: whose sessions each provider keeps, as `calendar` names them; one that is not here never closes.
            cold: the backup is connected only when it is needed.
        """
        self.doors = doors
        self.primary, *rest = feeds
        self.backup: str | None = rest[0] if rest else None
        self.cold = cold
        self.wanted = not cold  # the backup should be connected
        self.switched_ns: int | None = None  # wall clock
        self.failover = FailoverManager(
            0, dwell_s=options.failover_min_dwell_s, probation_s=options.failover_probation_s
        )
        self.clock = ListeningClock(mono_ns)
        self.watches: dict[str, ProviderWatch] = {}  # of the providers that are connected, or should be
        self._feeds = feeds
        self._options = options
        self._markets = markets or {}
        self._probation_ns = int(options.failover_probation_s * NS_PER_S)
        self._called_up_until = 0
        self._lag_from = 0  # until then, what comes is late through our own fault
        self._undecidable = False
        self._remarks: list[Remark] = []  # since the last look
        for name in feeds if self.wanted else (self.primary,):
            self.began(name)

    def began(self, name: str) -> None:
        """A provider's feed begins to connect."""
        self.watches[name] = ProviderWatch(
            self.doors[name],
            self.doors.symbols,
            self._options,
            self.clock.now,
            market=self._markets.get(name, ""),
            presumed=name == self.primary,
        )

    def ended(self, name: str) -> None:
        """A cold standby is no longer connected."""
        del self.watches[name]

    def verdict(self, name: str) -> Verdict:
        return self.watches[name].verdict if name in self.watches else COLD

    def silence(self, name: str) -> str | None:
        """What the detectors have found: that a connection is not there, or that no market data comes on it."""
        watch = self.watches.get(name)
        return None if watch is None else watch.monitor.silence()

    def refused(self, name: str) -> Mapping[str, str]:
        """The symbols that the venue would not give, or not all of, and why."""
        watch = self.watches.get(name)
        return {} if watch is None else watch.monitor.refusals.standing

    def between_sessions(self, name: str, wall_ns: int) -> bool:
        """True while the market of a provider keeps no regular session, so that no data is missed."""
        return not expects_data(self._markets.get(name, ""), wall_ns)

    @property
    def active(self) -> str:
        return self.doors.active

    @property
    def undecidable(self) -> str | None:
        """Why there is no switch although the active one is unhealthy, when there is a backup."""
        if self.backup is None or any(self.verdict(name).healthy for name in (self.primary, self.backup)):
            return None
        return f"neither {self.primary} nor {self.backup} is healthy: staying on {self.active}"

    def look(self, mono_ns: int, wall_ns: int) -> list[Remark]:
        """Take one look at everything, say what has to be said on the bus, and switch if that has become right."""
        now = self.clock.advance(mono_ns, paused=any(self._feeds[name].paused for name in self.watches))
        if self.clock.skipped:
            self._lag_from = now + LAG_OVER_S * NS_PER_S
        for name, watch in self.watches.items():
            was_healthy = watch.verdict.healthy
            for event in watch.look(self._feeds[name], now, wall_ns, lag_counts=now >= self._lag_from):
                watch.door.publish(event)
            self._remarks += _flip(name, was_healthy, watch.verdict)
        if self.backup is not None:
            self._choose(self.backup, now, wall_ns)
        remarks, self._remarks = self._remarks, []
        return remarks

    def order(self, to: str, wall_ns: int) -> Switch:
        """Make `to` the active provider because somebody says so.

        Raises:
            RefusedError: that cannot be done now; the text says why.
        """
        if self.backup is None:
            raise RefusedError("there is no backup: start with --backup, or set BACKUP")
        if to not in (self.primary, self.backup):
            raise RefusedError(f"unknown provider {to!r}: expected {self.primary} or {self.backup}")
        now = self.clock.now
        if to == self.backup and self.cold:
            self._called_up_until = now + int(CALLED_UP_S * NS_PER_S)
            if to not in self.watches:
                raise RefusedError("it is on cold standby and begins to connect now: try again in a few seconds")
        role = Role.PRIMARY if to == self.primary else Role.BACKUP
        switch = self.failover.order(role, self.verdict(self.primary), self.verdict(self.backup), now)
        self._switch(to, switch, wall_ns)
        return switch

    def _choose(self, backup: str, now: int, wall_ns: int) -> None:
        primary = self.verdict(self.primary)
        switch = self.failover.look(primary, self.verdict(backup), now)
        if switch is not None:
            self._switch(self.primary if switch.to is Role.PRIMARY else backup, switch, wall_ns)
        if self.cold:
            self._keep_wanted(primary, now)
        why, before = self.undecidable, self._undecidable
        self._undecidable = why is not None
        if why is not None and not before:
            reasons = {name: "; ".join(self.verdict(name).reasons) for name in (self.primary, backup)}
            self._remarks.append(Remark("error", "no healthy provider", {"active": self.active, **reasons}))

    def _keep_wanted(self, primary: Verdict, now: int) -> None:
        """A cold standby is wanted from the first trouble until the primary has been well for a probation."""
        if self.failover.state is not State.PRIMARY or not primary.healthy or now < self._called_up_until:
            self.wanted = True
        elif now - primary.since >= self._probation_ns:
            self.wanted = False

    def _switch(self, to: str, switch: Switch, wall_ns: int) -> None:
        fields = {"left": self.active, "to": to, "reason": switch.reason}
        self._remarks.append(Remark("warning", "source switched", fields))
        watch = self.watches[to]
        not_carried = [
            Status(to, symbol, wall_ns, "stale", {"detector": "listing", "reason": why})
            for symbol, why in self._feeds[to].excluded.items()
        ]
        self.doors.switch(to, switch.reason, wall_ns, [*watch.monitor.stale(wall_ns), *not_carried])
        self.switched_ns = wall_ns


def _flip(name: str, was_healthy: bool, verdict: Verdict) -> Iterator[Remark]:
    if was_healthy and not verdict.healthy:
        yield Remark("warning", "provider unhealthy", {"provider": name, "reasons": "; ".join(verdict.reasons)})
    elif verdict.healthy and not was_healthy:
        yield Remark("info", "provider healthy", {"provider": name})
