"""The AsyncAPI document: valid, drawn from the types, and true about subjects and payloads."""

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import md_contract
from md_contract import asyncapi, codec, subjects
from md_contract.events import EVENT_TYPES
from md_contract.examples import EXAMPLES, example
from md_contract.schemas import MESSAGES, schema

COMMITTED: dict[str, Any] = json.loads((Path(md_contract.__file__).parent / "schema" / "asyncapi.json").read_text())
OFFICIAL = Path(__file__).parent / "asyncapi" / "3.0.0.json.gz"
BY_NAME = pytest.mark.parametrize("name", sorted(MESSAGES))


@pytest.fixture(scope="module")
def official() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(gzip.decompress(OFFICIAL.read_bytes())))


def payload_validator(name: str) -> jsonschema.Draft7Validator:
    """Of the document's own schema of a message."""
    reference = COMMITTED["components"]["messages"][name]["payload"]
    return jsonschema.Draft7Validator({**reference, "components": COMMITTED["components"]})


def test_the_committed_document_is_the_one_of_the_types() -> None:
    assert asyncapi.document() == COMMITTED, "asyncapi.json has drifted: run 'python -m md_contract'"


def test_the_document_is_valid_by_the_official_schema(official: jsonschema.Draft7Validator) -> None:
    assert [f"{error.json_path}: {error.message}" for error in official.iter_errors(COMMITTED)] == []


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (("channels", "trade"), {"subject": "md.events.trade.X"}),
        (("operations", "send_trade", "action"), "publish"),
        (("operations", "receive_trade", "bindings"), {"nats": {"queue": 5, "bindingVersion": "0.1.0"}}),
        (("channels", "trade", "parameters", "symbol"), {"schema": {"type": "string"}}),
        (("asyncapi",), "2.6.0"),
        (("components", "schemas", "Trade", "type"), "thing"),
    ],
)
def test_the_official_schema_would_find_a_mistake(
    official: jsonschema.Draft7Validator, where: tuple[str, ...], what: Any
) -> None:
    broken = json.loads(json.dumps(COMMITTED))
    part = broken
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = what
    assert not official.is_valid(broken)


@BY_NAME
def test_every_message_has_a_channel_and_both_operations_and_every_reference_leads_somewhere(name: str) -> None:
    channel = COMMITTED["channels"][name]
    assert list(channel["messages"]) == [name]
    for action in ("send", "receive"):
        operation = COMMITTED["operations"][f"{action}_{name}"]
        assert (operation["action"], operation["channel"]) == (action, {"$ref": f"#/channels/{name}"})
    receives = COMMITTED["operations"][f"receive_{name}"]
    assert ("bindings" in receives) == (name in EVENT_TYPES)


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for value in part.values() for found in references(value)]
        return [found for value in part for found in references(value)] if isinstance(part, list) else []

    found = set(references(COMMITTED))
    assert found
    for reference in found:
        target = COMMITTED
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


@BY_NAME
def test_the_addresses_are_the_subjects_that_are_used(name: str) -> None:
    channel = COMMITTED["channels"][name]
    filled = channel["address"].replace("{symbol}", subjects.escape("BTC/USD"))
    expected = {
        "features": subjects.feature_subject("BTC/USD"),
        "signal": subjects.signal_subject("BTC/USD"),
        "alert": subjects.ALERTS,
        "heartbeat": subjects.event_subject("heartbeat", subjects.SYSTEM),
    }
    assert filled == expected.get(name, subjects.event_subject(name, "BTC/USD"))
    assert ("parameters" in channel) == ("{symbol}" in channel["address"])


@BY_NAME
def test_the_example_is_a_message_and_valid_by_every_schema_of_it(name: str) -> None:
    (shown,) = COMMITTED["components"]["messages"][name]["examples"]
    assert shown["payload"] == example(name) == json.loads(codec.encode(EXAMPLES[name]))
    payload_validator(name).validate(shown["payload"])
    jsonschema.Draft202012Validator(schema(name)).validate(shown["payload"])
    read: dict[str, Any] = {
        "features": codec.decode_features,
        "signal": codec.decode_signal,
        "alert": codec.decode_alert,
    }
    assert read.get(name, codec.decode_event)(codec.encode(EXAMPLES[name])) == EXAMPLES[name]


@BY_NAME
@given(data=st.data())
def test_the_document_and_the_schema_files_accept_the_same(name: str, data: st.DataObject) -> None:
    changed: Any = example(name)
    for _ in range(data.draw(st.integers(1, 2))):
        part = changed
        while isinstance(part, dict | list) and part:
            steps = sorted(part) if isinstance(part, dict) else list(range(len(part)))
            step = data.draw(st.sampled_from(steps))
            if not isinstance(part[step], dict | list) or data.draw(st.booleans()):
                part[step] = data.draw(
                    st.sampled_from([None, True, 1, 1.5, "x", "buy", [], ["1"], ["1", "2", "3"], {}])
                )
                break
            part = part[step]
    ours = jsonschema.Draft202012Validator(schema(name)).is_valid(changed)
    assert payload_validator(name).is_valid(changed) == ours
