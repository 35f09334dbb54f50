"""The description of the API: every answer has a schema, examples and live answers agree with it."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

OF_SYMBOL = ("/state/latest", "/features/latest", "/signals/latest")
PATHS = {"/", "/health", "/ready", "/metrics", "/symbols", *OF_SYMBOL, "/stream", "/stats"}


@pytest.fixture
async def schema(api: Any) -> Any:
    return (await api.get("/openapi.json"))[1]


def validator(schema: Any, of: Any) -> Draft202012Validator:
    return Draft202012Validator({**of, "components": schema["components"]})


def contents(schema: Any) -> list[tuple[str, str, str, Any]]:
    return [
        (path, status, kind, content)
        for path, item in schema["paths"].items()
        for status, answer in item["get"]["responses"].items()
        for kind, content in answer["content"].items()
    ]


async def test_every_endpoint_is_described(api: Any, schema: Any) -> None:
    assert set(schema["paths"]) == PATHS
    listed = {path.partition("?")[0] for path in (await api.get("/"))[1]["endpoints"]}
    assert listed | {"/"} == PATHS | {"/docs"}
    for path in OF_SYMBOL:
        assert {"200", "404", "422", "500"} <= set(schema["paths"][path]["get"]["responses"])
    for path in ("/health", "/ready", "/stream"):
        assert "503" in schema["paths"][path]["get"]["responses"]


async def test_every_answer_has_examples_and_each_agrees_with_its_schema(schema: Any) -> None:
    for path, status, kind, content in contents(schema):
        assert content["examples"], (path, status)
        for name, example in content["examples"].items():
            problems = [error.message for error in validator(schema, content["schema"]).iter_errors(example["value"])]
            assert problems == [], (path, status, kind, name)


async def test_an_example_that_lacks_something_would_be_found(schema: Any) -> None:
    check = validator(schema, {"$ref": "#/components/schemas/Health"})
    assert not check.is_valid({"status": "ready"})


async def test_every_reference_leads_somewhere(schema: Any) -> None:
    text = json.dumps(schema)
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(schema["components"]["schemas"])


async def test_live_answers_agree_with_their_schemas(api: Any, schema: Any) -> None:
    for events in ([], [api.trade("ETHUSDT")], [api.trade(), api.quote(), api.book()]):
        await api.feed(*events)
        for path in PATHS - {"/metrics", "/stream"}:
            for query in ({}, {"symbol": "BTCUSDT"}, {"symbol": "XYZ"}):
                status, body = await api.get(path, **query)
                described = schema["paths"][path]["get"]["responses"][str(status)]["content"]["application/json"]
                problems = [error.message for error in validator(schema, described["schema"]).iter_errors(body)]
                assert problems == [], (path, query, status)


async def test_a_signal_agrees_with_its_schema(api: Any, schema: Any) -> None:
    await api.move()
    _, body = await api.get("/signals/latest", symbol="BTCUSDT")
    assert len(body["signals"]) == 1
    validator(schema, {"$ref": "#/components/schemas/Signals"}).validate(body)
