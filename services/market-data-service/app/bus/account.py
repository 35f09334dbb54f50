"""The ledger of one sink and type of event.

It closes at every moment: received + recovered = delivered + conflated + dropped + spilled + queued
"""

from collections.abc import Iterable

from app.bus.item import M


class Account:
    """What became of the events of one type at one sink."""

    __slots__ = ("conflated", "delivered", "dropped", "queued", "received", "recovered", "spilled")

    def __init__(self) -> None:
        self.received = 0
        self.recovered = 0  # left on disk by an earlier run, and read back by this one
        self.delivered = 0  # the sink took it
        self.conflated = 0  # a newer one of its symbol took its place
        self.dropped = 0
        self.spilled = 0  # on disk now
        self.queued = 0  # in memory now

    @property
    def difference(self) -> int:
        """Events nobody can account for; anything but 0 is a defect."""
        known = self.delivered + self.conflated + self.dropped + self.spilled + self.queued
        return self.received + self.recovered - known


def open_accounts(kinds: Iterable[type[M]]) -> dict[type[M], Account]:
    """One for each type of event."""
    return {kind: Account() for kind in kinds}
