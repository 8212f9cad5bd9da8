"""The description of the interface, as a program that generates a client reads it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Service

Schema = dict[str, Any]


@pytest.fixture
def description(empty: Service) -> Schema:
    found: Schema = empty.get("/openapi.json").json()
    return found


def operations(description: Schema) -> Iterator[tuple[str, Schema]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_every_reference_leads_somewhere(description: Schema) -> None:
    wanted = set(references(description))
    known = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    assert wanted <= known
    assert "$defs" not in str(description)


def test_the_description_is_the_same_when_asked_again(empty: Service, description: Schema) -> None:
    assert empty.get("/openapi.json").json() == description


def test_bodies_are_described(description: Schema) -> None:
    bodies = {
        name: operation["requestBody"] for name, operation in operations(description) if "requestBody" in operation
    }
    without = {name for name, _ in operations(description) if name.startswith("POST")} - set(bodies)
    assert without == {"POST /v1/schedules/{schedule}:trigger"}
    submission = bodies["POST /v1/evaluations"]["content"]["application/json"]["schema"]
    assert {"recipe", "protocol", "suite"} <= set(submission["required"])
    recipe = bodies["POST /v1/recipes"]["content"]["application/yaml"]["schema"]
    members = {kind["$ref"].rsplit("/", 1)[1] for kind in recipe["properties"]["sources"]["items"]["oneOf"]}
    assert members == {"Source", "Group"}
    assert "max_epochs" in description["components"]["schemas"]["Source"]["properties"]


def test_writes_and_nothing_else_ask_for_a_key(description: Schema) -> None:
    schemes = description["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    public = {name for name, operation in operations(description) if "security" not in operation}
    assert not {name for name in public if not name.startswith("GET")}
    assert "GET /v1/leaderboard" in public


def test_every_error_is_a_problem(description: Schema) -> None:
    for name, operation in operations(description):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert set(answer["content"]) == {"application/problem+json"}, (name, status)
    assert {"title", "status", "detail"} <= set(description["components"]["schemas"]["Problem"]["required"])
