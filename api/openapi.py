"""What `/openapi.json` says beyond what FastAPI sees by itself: the bodies, and the one form of every error.

Endpoints parse their bodies themselves (JSON or YAML, NaN kept so that its field can be named), so FastAPI knows of
none; the schemas are those of the models that the bodies are checked against.
"""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from api.errors import MEDIA_TYPE, Problem

BODY_TYPES = ("application/json", "application/yaml")
FILE_TYPES = (*BODY_TYPES, "text/yaml", "text/plain")
REFERENCE = "#/components/schemas/{model}"

Schema = dict[str, Any]


def takes(model: type[BaseModel]) -> Schema:
    """`openapi_extra` of an endpoint whose body is this model."""
    content = {media_type: {"schema": model.model_json_schema(ref_template=REFERENCE)} for media_type in BODY_TYPES}
    return {"requestBody": {"required": True, "content": content}}


def takes_table(columns: str) -> Schema:
    """`openapi_extra` of an endpoint whose body is a CSV table with these columns."""
    schema = {"type": "string", "description": f"UTF-8, comma-separated, with a header. {columns}"}
    return {"requestBody": {"required": True, "content": {"text/csv": {"schema": schema}}}}


def takes_file(what: str) -> Schema:
    """`openapi_extra` of an endpoint whose body is a file in another system's format."""
    schema = {"description": what}
    return {"requestBody": {"required": True, "content": {name: {"schema": dict(schema)} for name in FILE_TYPES}}}


def install(app: FastAPI) -> None:
    """Completes the description when it is first asked for."""
    described: Callable[[], Schema] = app.openapi

    def openapi() -> Schema:
        is_new = app.openapi_schema is None
        description = described()
        if is_new:
            _complete(description)
        return description

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _complete(description: Schema) -> None:
    components = description["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template=REFERENCE)
    components |= problem.pop("$defs") | {Problem.__name__: problem}
    for operation in _operations(description):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            components |= media["schema"].pop("$defs", {})
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                response["content"] = {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model=Problem.__name__)}}}
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form of errors, which nobody is sent
        components.pop(unused, None)


def _operations(description: Schema) -> Iterator[Schema]:
    for path in description["paths"].values():
        yield from path.values()
