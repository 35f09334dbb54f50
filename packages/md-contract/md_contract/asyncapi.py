"""The AsyncAPI 3 document of both services: which message travels on which subject, generated from the types.

It is complete in itself, so that any AsyncAPI tool can be given the one file. AsyncAPI's own schema language is a
superset of JSON Schema draft 07, so the payloads are the schemas of `schemas` with the one word that draft 2020-12
spells differently put back.
"""

from typing import Any, Final

import msgspec

from md_contract import subjects
from md_contract.events import EVENT_TYPES
from md_contract.examples import example
from md_contract.schemas import MESSAGES

PRODUCER: Final = "market-data-service"
CONSUMER: Final = "senpai-md-consumer"
QUEUE: Final = "senpai-md"
VERSION: Final = "1.0.0"

_ABOUT: Final = """\
Normalised market data, and the features, signals and alerts that are computed from it, on NATS.

Every message is one JSON object in UTF-8. All times are integer nanoseconds since 1970-01-01 UTC; prices and sizes are
decimal text, exact to the last digit. `seq` grows by one per message and subject within one `epoch` (one run of the
sender), so a reader that sees a hole knows exactly how much it has missed. Fields that a reader does not know are to be
ignored. All events at once: subscribe to `md.events.>`; all features: `senpai.features.*`.
"""
_SYMBOL: Final = {
    "description": (
        "The canonical symbol as one token: `A-Z a-z 0-9 -` stay, every other byte of its UTF-8 becomes `_` and two"
        " upper-case hex digits. `__system__` is the system itself."
    ),
    "examples": [subjects.escape(symbol) for symbol in ("BTCUSDT", "BTC/USD", "BRK.B")],
}
_TITLES: Final = {
    "trade": "Trades",
    "quote": "Best bid and offer",
    "book_l2": "Snapshots of the order book",
    "heartbeat": "Signs of life of the providers",
    "status": "What a reader must know about the data itself",
    "features": "Features of a symbol, at most FEATURES_PUB_RATE_HZ a second",
    "signal": "Signals, and their cancellation",
    "alert": "Alerts about the system itself",
}
_MSG_ID: Final = {
    "type": "object",
    "properties": {
        "Nats-Msg-Id": {
            "type": "string",
            "description": "In JetStream mode: the same for the same event, so that the server stores it once.",
        }
    },
}


def document() -> dict[str, Any]:
    """The document, ready to be written as JSON."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:senpai:md-contract:v1",
        "info": {
            "title": "SenpAI market data",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": PRODUCER}, {"name": CONSUMER}],
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {"host": "127.0.0.1:4222", "protocol": "nats", "description": "NATS, where NATS_URL says it is."}
        },
        "channels": {name: _channel(name) for name in MESSAGES},
        "operations": _operations(),
        "components": {"messages": {name: _message(name) for name in MESSAGES}, "schemas": _schemas()},
    }


def address(name: str) -> str:
    """The subject of a message; `{symbol}` stands for the escaped symbol."""
    if name == "alert":
        return subjects.ALERTS
    if name == "heartbeat":
        return subjects.event_subject(name, subjects.SYSTEM)
    root = {"features": subjects.FEATURES, "signal": subjects.SIGNALS}.get(name, f"{subjects.EVENTS}.{name}")
    return f"{root}.{{symbol}}"


def _channel(name: str) -> dict[str, Any]:
    channel = {
        "address": address(name),
        "title": _TITLES[name],
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }
    return channel | ({"parameters": {"symbol": _SYMBOL}} if "{symbol}" in address(name) else {})


def _operations() -> dict[str, Any]:
    """Who sends and who receives; the services by name, and anybody else."""
    operations = {}
    for name in MESSAGES:
        sender = PRODUCER if name in EVENT_TYPES else CONSUMER
        operations[f"send_{name}"] = _operation("send", name, sender)
        if name in EVENT_TYPES:
            queue = {"bindings": {"nats": {"queue": QUEUE, "bindingVersion": "0.1.0"}}}
            operations[f"receive_{name}"] = _operation("receive", name, CONSUMER) | queue
        else:
            operations[f"receive_{name}"] = {**_operation("receive", name, None), "summary": "Anybody: bots, agents."}
    return operations


def _operation(action: str, name: str, tag: str | None) -> dict[str, Any]:
    operation = {
        "action": action,
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }
    return operation | ({"tags": [{"name": tag}]} if tag else {})


def _message(name: str) -> dict[str, Any]:
    cls = MESSAGES[name]
    message = {
        "name": name,
        "title": cls.__name__,
        "summary": (cls.__doc__ or "").split("\n\n")[0],
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{cls.__name__}"},
        "examples": [{"name": name, "payload": example(name)}],
    }
    return message | ({"headers": _MSG_ID} if name in EVENT_TYPES else {})


def _schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(MESSAGES.values(), ref_template="#/components/schemas/{name}")
    return {name: _draft_07(schema) for name, schema in schemas.items()}


def _draft_07(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """The same with tuples as draft 07 writes them."""
    if isinstance(schema, list):
        return [_draft_07(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {word: _draft_07(part) for word, part in schema.items()}
    if "prefixItems" in parts:
        parts["additionalItems"] = parts.pop("items")
        parts["items"] = parts.pop("prefixItems")
    return parts
