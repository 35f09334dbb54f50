"""Holes in `seq`: how many messages the way over NATS has lost. Pure."""

from typing import Final

MAX_SUBJECTS: Final = 20_000  # those that come on top are not looked at


class Holes:
    """Within one `epoch` of a subject, `seq` grows by one per message."""

    def __init__(self) -> None:
        self.missed = 0
        self._last: dict[str, tuple[int, int]] = {}  # subject -> epoch, seq

    def see(self, subject: str, epoch: int, seq: int) -> None:
        """One message more; `epoch` 0 is that of a producer that does not count."""
        if not epoch:
            return
        last_epoch, last_seq = self._last.get(subject, (0, 0))
        if epoch == last_epoch and seq <= last_seq:
            return
        if epoch == last_epoch:
            self.missed += seq - last_seq - 1
        if last_epoch or len(self._last) < MAX_SUBJECTS:
            self._last[subject] = (epoch, seq)
