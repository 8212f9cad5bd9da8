"""From words to specifications: JSON or YAML in, Pydantic models out, every fault with a JSON pointer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from proxy.errors import FieldProblem, InvalidInputError
from proxy.recipes.filters import KINDS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Model = TypeVar("Model", bound=BaseModel)
Media = Literal["json", "yaml"]
BRANCHES = {
    f"({name})" for name in (*KINDS, "word", "near", "set", "preset", "source", "group")
}  # which of several models was meant
# The last three are what PyYAML lets out for values such as `!!int ""`, `!!bool x` and `!!timestamp x`.
UNPARSABLE = (ValueError, yaml.YAMLError, RecursionError, LookupError, AttributeError, TypeError)


def parse_body(body: bytes | str, media: Media) -> Any:
    """JSON or YAML as Python data; InvalidInputError at the root if it is neither."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
        return json.loads(text) if media == "json" else yaml.safe_load(text)
    except UNPARSABLE as error:
        start = body[:80] if isinstance(body, str) else body[:80].decode(errors="replace")
        raise InvalidInputError.at("", start, f"the body is no {media.upper()}: {error}") from error


def validate(model: type[Model], content: Any, prefix: str = "") -> Model:
    """The model, or an InvalidInputError with one problem a field."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise InvalidInputError(problems_of(error, prefix)) from error


def problems_of(error: ValidationError, prefix: str = "") -> list[FieldProblem]:
    """Pydantic's errors as ours. One that only follows from a fault deeper down (a list that is too short because its
    items were wrong) is left out."""
    found = error.errors(include_url=False)
    deeper = {one["loc"][:depth] for one in found for depth in range(len(one["loc"]))}
    return [_problem(one, prefix) for one in found if one["loc"] not in deeper]


def _problem(one: "ErrorDetails", prefix: str) -> FieldProblem:
    """A fault that a model's own validator placed (`proxy.recipes.specification.fault`) says where it is itself."""
    place = prefix + pointer_of(tuple(part for part in one["loc"] if part not in BRANCHES))
    if one["type"] != "at":
        return FieldProblem(pointer=place, value=one["input"], message=one["msg"])
    return FieldProblem(pointer=place + one["ctx"]["pointer"], value=one["ctx"]["value"], message=one["msg"])


@contextmanager
def pointing_into(prefix: str) -> Iterator[None]:
    """Faults found in a part of what was sent point into the whole."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(replace(one, pointer=prefix + one.pointer) for one in error.problems) from error


def pointer_of(location: tuple[int | str, ...]) -> str:
    """A JSON pointer (RFC 6901) to a location."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
