"""What a buffer and its journal hold: the events of the contract, unless somebody says otherwise."""

from typing import TYPE_CHECKING, Protocol, TypeVar

from md_contract.events import Event


class Item(Protocol):
    """One message in memory."""

    @property
    def symbol(self) -> str | None:
        """With its kind, what tells which messages a newer one makes superfluous."""
        ...


if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar  # what Python has from 3.13 on

    M = DefaultTypeVar("M", bound=Item, default=Event)
else:
    M = TypeVar("M", bound=Item)
