"""From the content of a file to plain data, whatever the file tries.

YAML is read by a loader of its own: dates stay text, merge keys and numbers in base 60 cannot grow without bound, and
what aliases stand for is counted before anything walks over it.
"""

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import yaml

from proxy.errors import InvalidInputError

LARGEST_JSON_BYTES = 10_000_000
LARGEST_YAML_BYTES = 500_000  # some seconds in Python
MOST_VALUES = 100_000
MOST_MEMBERS = 10_000  # sources, weights or steps: as many as a recipe may have sources
LONGEST_POINTER = 1000  # a pointer is made for every value: names that are long and nested would fill the memory
DEEPEST = 64
LONGEST_NUMBER = 100  # characters
LARGEST_MERGE = 10_000  # keys that `<<` adds up to
_PARSER_ERRORS = (ValueError, ArithmeticError, yaml.YAMLError, RecursionError, LookupError, AttributeError, TypeError)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without what costs more than the file is long, and without keys that hide others."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if id(node) not in self._checked:  # later its merged keys stand among its own
            self._checked.add(id(node))
            _require_distinct(node)
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge" and len(getattr(value, "value", ())) > LARGEST_MERGE:
                raise yaml.constructor.ConstructorError(None, None, "merges too much", node.start_mark)
        super().flatten_mapping(node)
        if len(node.value) > LARGEST_MERGE and len(node.value) > len({id(key) for key, _ in node.value}):
            raise yaml.constructor.ConstructorError(None, None, "merges too much", node.start_mark)

    def _bounded(self, node: yaml.ScalarNode) -> Any:
        if len(node.value) > LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(None, None, "a number too long to be one", node.start_mark)
        is_whole = node.tag == "tag:yaml.org,2002:int"
        return self.construct_yaml_int(node) if is_whole else self.construct_yaml_float(node)


def _require_distinct(node: yaml.MappingNode) -> None:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is there twice", node.start_mark)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InvalidInputError.at("", twice, "is a key that is there twice")
    return members


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader._bounded)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader._bounded)


def read_content(content: str | bytes) -> Any:
    """Plain data: JSON where it is JSON, else YAML. InvalidInputError names what is wrong with it."""
    text = _decode(content)
    if not text.strip():
        raise InvalidInputError.at("", text[:80], "is empty")
    parsed = _parse_json(text) if text.lstrip()[:1] in "{[" else None
    if parsed is None:
        parsed = _parse_yaml(text)
    _require_plain(parsed)
    if not isinstance(parsed, dict | list) or not parsed:
        raise InvalidInputError.at("", parsed, "holds no fields: a recipe file is a mapping or a list")
    return parsed


def _decode(content: str | bytes) -> str:
    if len(content) > LARGEST_JSON_BYTES:
        raise InvalidInputError.at("", len(content), f"is larger than {LARGEST_JSON_BYTES:,} bytes")
    try:
        return content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        raise InvalidInputError.at("", repr(content[:80]), f"is no UTF-8 text: {error}") from error


def _parse_json(text: str) -> Any:
    """None where it is no JSON: flow-style YAML begins the same way."""
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return None


def _parse_yaml(text: str) -> Any:
    if len(text) > LARGEST_YAML_BYTES:
        message = f"is no JSON, and more than the {LARGEST_YAML_BYTES:,} characters of YAML that are read"
        raise InvalidInputError.at("", len(text), message)
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, narrowed
    except _PARSER_ERRORS as error:
        raise InvalidInputError.at("", text[:80], f"is neither JSON nor YAML: {error}") from error


def _require_plain(content: Any) -> None:
    """InvalidInputError unless it is JSON's kinds of values, few enough once aliases are written out."""
    _visit("", content, 0, itertools.count(1))


def _visit(pointer: str, value: Any, depth: int, counter: Iterator[int]) -> None:
    if next(counter) > MOST_VALUES:
        raise InvalidInputError.at("", "…", f"holds more than {MOST_VALUES:,} values once aliases are written out")
    if len(pointer) > LONGEST_POINTER:
        raise InvalidInputError.at(pointer[:100], "…", f"lies behind names of more than {LONGEST_POINTER} characters")
    if depth > DEEPEST:
        raise InvalidInputError.at(pointer[:100], "…", f"is nested more than {DEEPEST} deep")
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InvalidInputError.at(pointer, key, "keys must be text; put it in quotes")
            _require_scalar(pointer, key)
            _visit(step_into(pointer, key), part, depth + 1, counter)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            _visit(f"{pointer}/{index}", part, depth + 1, counter)
    else:
        _require_scalar(pointer, value)


def _require_scalar(pointer: str, value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidInputError.at(pointer, ascii(value[:80]), "holds a NUL or half a surrogate pair")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidInputError.at(pointer, str(value)[:30], "is larger than 64 bits hold")
    elif value is not None and not isinstance(value, float):
        raise InvalidInputError.at(pointer, str(value)[:80], f"is a {type(value).__name__}; put it in quotes")


def step_into(pointer: str, key: str | int) -> str:
    """The JSON pointer (RFC 6901) of a member."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def read_number(pointer: str, value: Any) -> float:
    """A finite number. Text such as 1e-05 is one too: YAML 1.1 wants a point in it, and writers forget it."""
    number = as_number(value)
    if number is None or not math.isfinite(number):
        raise InvalidInputError.at(pointer, value, "must be a finite number")
    return number


def as_number(value: Any) -> float | None:
    """The number that a value is or spells; None for others."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def read_mapping(pointer: str, value: Any) -> dict[str, Any]:
    """A mapping that is not empty."""
    if not isinstance(value, dict) or not value:
        raise InvalidInputError.at(pointer, value, "must be a mapping that is not empty")
    _require_few(pointer, value)
    return value


def read_list(pointer: str, value: Any) -> list[Any]:
    """A list that is not empty."""
    if not isinstance(value, list) or not value:
        raise InvalidInputError.at(pointer, value, "must be a list that is not empty")
    _require_few(pointer, value)
    return value


def _require_few(pointer: str, value: dict[str, Any] | list[Any]) -> None:
    if len(value) > MOST_MEMBERS:
        raise InvalidInputError.at(pointer, len(value), f"has more than {MOST_MEMBERS:,} members")


def read_text(pointer: str, value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError.at(pointer, value, "must be text that is not empty")
    return value
