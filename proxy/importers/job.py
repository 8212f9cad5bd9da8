"""One import while it runs: what was carried and lost so far, and which names corpora have here."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.errors import InvalidInputError
from proxy.importers.reading import read_number, step_into
from proxy.importers.report import Kind, Loss, shown
from proxy.recipes import LARGEST_WEIGHT

LONGEST_NAME = 100
_INVALID = re.compile(r"[^A-Za-z0-9._-]+")


class Job:
    """`content` is the parsed file. Importers say of each field where it went; what they never touch is lost."""

    def __init__(self, content: Any, corpora: Mapping[str, str] | None = None, name: str | None = None) -> None:
        self.content = content
        self.name = name
        self.approximations: list[Loss] = []
        self._carried: dict[str, None] = {}
        self._losses: dict[str, Loss] = {}
        self._given = dict(corpora or {})
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}

    def carry(self, *pointers: str) -> None:
        """These fields, with all below them, are in the recipe."""
        self._carried.update(dict.fromkeys(pointers))

    def carry_nearly(self, pointer: str, value: Any, how: str) -> None:
        """As `carry`, and the counterpart differs."""
        self.carry(pointer)
        self.differ(pointer, value, how)

    def differ(self, pointer: str, value: Any, how: str) -> None:
        """Says of something that is carried how its counterpart differs."""
        self.approximations.append(Loss(pointer=pointer, value=shown(value), reason=how))

    def lose(self, pointer: str, value: Any, kind: Kind, reason: str) -> None:
        """This field, with all below it, has no counterpart."""
        self._losses[pointer] = Loss(pointer=pointer, value=shown(value), reason=reason, kind=kind)

    def lose_known(self, fields: Mapping[str, tuple[Kind, str]], at: Mapping[str, Any], pointer: str = "") -> None:
        """Those of a mapping's keys whose fate is always the same."""
        for key, (kind, reason) in fields.items():
            if key in at:
                self.lose(step_into(pointer, key), at[key], kind, reason)

    @property
    def carried(self) -> tuple[str, ...]:
        """Pointers, in the order in which they were carried."""
        return tuple(self._carried)

    def losses(self) -> tuple[Loss, ...]:
        """What was lost, and last what nobody touched: the highest fields below which nothing was."""
        marks = {*self._carried, *self._losses}
        above = {pointer[:end] for pointer in marks for end in _cuts(pointer)}
        return (*self._losses.values(), *_untouched("", self.content, marks, above))

    def weight(self, pointer: str, value: Any) -> float:
        """A weight as written; InvalidInputError names one that is none."""
        weight = read_number(pointer, value)
        if not 0 <= weight <= LARGEST_WEIGHT:
            raise InvalidInputError.at(pointer, value, f"a weight is between 0 and {LARGEST_WEIGHT:g}")
        self.carry(pointer)
        return weight

    def corpus(self, pointer: str, theirs: str) -> str:
        """Our name of what the file calls `theirs`: as given, else the same made valid, and never two under one."""
        if theirs not in self._ours:
            ours = self._given.get(theirs) or valid_name(theirs)
            other = self._theirs.setdefault(ours, theirs)
            if other != theirs and theirs not in self._given:
                message = f"would be called {ours!r} as {other!r} is; say in corpora what each is called here"
                raise InvalidInputError.at(pointer, theirs, message)
            self._ours[theirs] = ours
        return self._ours[theirs]

    def require_names_used(self) -> None:
        """A name in `corpora` that the file does not have is a slip."""
        for theirs in self._given:
            if theirs not in self._ours:
                known = ", ".join(list(self._ours)[:50])
                raise InvalidInputError.at(
                    step_into("/corpora", theirs), theirs, f"is no name of this file, which has {known}"
                )

    def recipe_name(self, theirs: Any = None, otherwise: str = "imported") -> str:
        """The name that was asked for, else the file's own made valid."""
        return self.name or valid_name(theirs if isinstance(theirs, str) and theirs.strip() else otherwise)


def require_positive(pointer: str, weights: list[float]) -> None:
    """InvalidInputError where all weights are zero."""
    if not any(weight > 0 for weight in weights):
        raise InvalidInputError.at(pointer, weights[:20], "weights are all zero")


def valid_name(theirs: str) -> str:
    """The same name with other characters as dashes; a longer one ends in a hash of the whole."""
    name = _INVALID.sub("-", theirs).strip("-._") or "unnamed"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(theirs.encode()).hexdigest()[:8]}"


def _cuts(pointer: str) -> Iterator[int]:
    return (end for end, character in enumerate(pointer) if character == "/")


def _untouched(pointer: str, value: Any, marks: set[str], above: set[str]) -> Iterator[Loss]:
    if pointer in marks:
        return
    if pointer not in above:
        yield Loss(
            pointer=pointer, value=shown(value), reason="is no field that this importer knows", kind=Kind.UNKNOWN
        )
        return
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in members:
        yield from _untouched(step_into(pointer, key), part, marks, above)
