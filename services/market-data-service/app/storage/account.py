"""What became of the messages that the store was given. Pure."""

from typing import Final

OUTCOMES: Final = ("taken", "stored", "duplicates", "quarantined", "given_back", "pending", "difference")


class StorageAccount:
    """Closes at every moment: taken = stored + duplicates + quarantined + given_back + pending."""

    __slots__ = ("batches", "duplicates", "given_back", "pending", "quarantined", "retries", "stored", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.stored = 0  # a new row, committed
        self.duplicates = 0  # its row was there already
        self.quarantined = 0  # cannot be stored; kept in the table `quarantine`
        self.given_back = 0  # not written by the end of the run; the bus has it again
        self.pending = 0
        self.batches = 0  # transactions committed
        self.retries = 0  # transactions that failed and were tried again

    @property
    def difference(self) -> int:
        """Messages nobody can account for; anything but 0 is a defect."""
        return self.taken - self.stored - self.duplicates - self.quarantined - self.given_back - self.pending

    def as_text(self) -> str:
        return (
            f"{self.taken} taken = {self.stored} stored + {self.duplicates} duplicates + {self.quarantined} quarantined"
            f" + {self.given_back} given_back + {self.pending} pending"
        )

    def as_dict(self) -> dict[str, int]:
        return {outcome: getattr(self, outcome) for outcome in OUTCOMES}
