"""What a body may hold once it is parsed: plain data of a depth and size that every later step can afford.

YAML is the reason. Its aliases let a hundred bytes stand for billions of values, or for a value inside itself, and
its tags make dates, sets and bytes that JSON columns and fingerprints cannot carry.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from proxy.errors import InvalidInputError
from worker.parsing import pointer_of

DEEPEST = 64  # specifications need fewer than 10; Python's recursion limit is 1,000
MOST_VALUES = 2_000_000  # a tokenizer.json of 10 MB has fewer
LARGEST_INTEGER = 2**63 - 1  # what the databases hold

Location = tuple[int | str, ...]


def require_plain(content: Any) -> None:
    """InvalidInputError names the first value that is no plain data, or says that there are too many or too deep.

    NaN and infinities pass, so that the field that does not take them can be named.
    """
    _require_plain((), content, itertools.count(1))


def _require_plain(location: Location, value: Any, counter: Iterator[int]) -> None:
    if next(counter) > MOST_VALUES:
        raise InvalidInputError.at("", "…", f"holds more than {MOST_VALUES:,} values once aliases are written out")
    if len(location) > DEEPEST:
        raise InvalidInputError.at(pointer_of(location[:3]), "…", f"is nested more than {DEEPEST} deep")
    for step, part in _parts(location, value):
        _require_plain((*location, step), part, counter)


def _parts(location: Location, value: Any) -> Iterator[tuple[int | str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InvalidInputError.at(pointer_of(location), key, "keys must be strings; put it in quotes")
            _require_text(location, key)
            yield key, part
    elif isinstance(value, list):
        yield from enumerate(value)
    elif isinstance(value, str):
        _require_text(location, value)
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise InvalidInputError.at(pointer_of(location), str(value)[:30], "is larger than 64 bits hold")
    elif value is not None and not isinstance(value, float):
        message = f"is a {type(value).__name__}, which JSON does not have; put it in quotes"
        raise InvalidInputError.at(pointer_of(location), str(value), message)


def _require_text(location: Location, text: str) -> None:
    if "\0" in text or not _is_unicode(text):
        raise InvalidInputError.at(pointer_of(location), text, "holds a NUL or half a surrogate pair")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
