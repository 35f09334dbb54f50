"""Events as other producers write them, read as far as there is one way to read them.

`codec.decode_event` reads the contract and nothing else. What it refuses may still be an event: with numbers for text,
times in another unit, another name for a field, or without what its subject says anyway. `read_event` turns such a
message into the contract's own form, which then has to pass the strict decoder like any other. Where two readings are
possible there is none: the message is refused with the kind `ambiguous`. What is read and what is not, and why, is in
docs/input.md.

It costs tens of times what the strict decoder does, so it is for messages that one has refused.
"""

from md_contract.tolerant.fields import TOLERANCES
from md_contract.tolerant.head import contradiction
from md_contract.tolerant.reading import Tolerated, read_event
from md_contract.tolerant.side import OWN_END, read_side

__all__ = ["OWN_END", "TOLERANCES", "Tolerated", "contradiction", "read_event", "read_side"]
