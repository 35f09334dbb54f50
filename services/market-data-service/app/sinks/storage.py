"""Events to the store, through the writer's own queue."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from app.storage.rows import Storable
from app.storage.writer import Writer
from md_contract.events import Event

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar  # as in app.bus.item

    S = DefaultTypeVar("S", bound=Storable, default=Event)
else:
    S = TypeVar("S", bound=Storable)


class StorageSink(Generic[S]):
    """Hands over to a `Writer`; what that could not write by the end goes back to the buffer."""

    name = "storage"

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    @property
    def reachable(self) -> bool:
        """False while the database is away."""
        return self.writer.away is None

    @property
    def settled(self) -> int:
        """How many of the events that were taken have reached their end, in the order in which they were taken."""
        account = self.writer.account
        return account.stored + account.duplicates + account.quarantined

    def describe_health(self) -> dict[str, Any]:
        """Whether rows are written now, and if not, why."""
        writer = self.writer
        return {
            "store": writer.store.shown,
            "writing": writer.failing is None,
            "last_error": writer.failing,
            "pending": writer.account.pending,
        }

    def take(self, event: S) -> bool:
        """See `Sink.take`. An event that no database would hold is taken too: it goes to the quarantine."""
        return self.writer.take(event)

    async def writable(self) -> None:
        await self.writer.writable()

    async def run(self) -> None:
        await self.writer.run()

    async def close(self, timeout_s: float) -> Sequence[S]:
        """Write what was taken, as long as `timeout_s` lasts; return the rest, oldest first."""
        return cast("Sequence[S]", await self.writer.close(timeout_s))  # it gives back what it was given

    def surrender(self) -> Sequence[S]:
        """Stop at once; return what is not known to be written, oldest first."""
        return cast("Sequence[S]", self.writer.surrender())
