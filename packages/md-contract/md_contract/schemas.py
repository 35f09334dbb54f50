"""JSON Schemas of every message, generated from the types so that they cannot drift from them."""

from typing import Any, Final

import msgspec

from md_contract.codec import Message
from md_contract.events import EVENT_TYPES
from md_contract.signals import Alert, FeatureVector, Signal

MESSAGES: Final[dict[str, type[Message]]] = {
    **EVENT_TYPES,
    "features": FeatureVector,
    "signal": Signal,
    "alert": Alert,
}


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the message `name`, one of MESSAGES."""
    body = msgspec.json.schema(MESSAGES[name])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:senpai:md-contract:v1:{name}",
        **body,
    }
