"""Field columns: the values that documents bring along (language, date, quality), an array a field.

A field whose values are all numbers is float64[D] with NaN where it is missing. Any other is int32[D] codes (MISSING
where it is missing) into its distinct JSON values, which are sorted by their JSON text and read only when asked for.
Neither depends on the order in which documents were read.
"""

import fnmatch
import json
import re
import sys
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.arrays import map_array, save_array, save_json
from proxy.errors import InvalidInputError

BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Bound = float | str | None

MISSING = -1
LARGEST = sys.float_info.max


class FieldColumn(ABC):
    """One field of all documents of a corpus, in the order of the table's rows."""

    name: str

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, row: int) -> Any:
        """The JSON value of one row; None where it is missing."""

    @abstractmethod
    def take(self, order_D: Int64Array) -> "FieldColumn":
        """The same values with row i from row `order_D[i]`."""

    @abstractmethod
    def missing(self) -> BoolArray:
        """Which documents have no value, bool[D]."""

    @abstractmethod
    def numbers(self, pointer: str = "") -> Float64Array:
        """float64[D], NaN where missing. InvalidInputError at `pointer` if a value is no number."""

    @abstractmethod
    def categories(self) -> Int64Array:
        """A number a distinct value, MISSING where there is none, int64[D]."""

    @abstractmethod
    def isin(self, values: Iterable[Any]) -> BoolArray:
        """Which documents have one of these values, bool[D]; None among them asks for the missing ones."""

    @abstractmethod
    def between(self, low: Bound = None, high: Bound = None, pointer: str = "") -> BoolArray:
        """low <= value <= high, bool[D]; None leaves a side open, and what is missing is never within.

        Text is compared by code points, as ISO dates want it. InvalidInputError at `pointer` if no value could be.
        """

    @abstractmethod
    def glob(self, pattern: str) -> BoolArray:
        """Which documents hold text that matches the whole pattern (`*`, `?`, `[…]`, case matters), bool[D]."""

    def equals(self, value: Any) -> BoolArray:
        """Which documents have this value, bool[D]; None asks for the missing ones."""
        return self.isin([value])

    def values(self, rows: Iterable[int]) -> list[Any]:
        """JSON values of some rows."""
        return [self[row] for row in rows]


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberColumn(FieldColumn):
    """A field of nothing but numbers."""

    name: str
    number_D: Float64Array

    def __len__(self) -> int:
        return len(self.number_D)

    def __getitem__(self, row: int) -> Any:
        return _number(float(self.number_D[row]))

    def take(self, order_D: Int64Array) -> "NumberColumn":
        return NumberColumn(name=self.name, number_D=self.number_D[order_D])

    def missing(self) -> BoolArray:
        return np.isnan(self.number_D)

    def numbers(self, pointer: str = "") -> Float64Array:
        return self.number_D

    def categories(self) -> Int64Array:
        codes_D = np.unique(self.number_D, return_inverse=True)[1].astype(np.int64)
        codes_D[self.missing()] = MISSING
        return codes_D

    def isin(self, values: Iterable[Any]) -> BoolArray:
        asked = list(values)
        found = np.isin(self.number_D, np.array([value for value in asked if _fits(value)], dtype=np.float64))
        return found | self.missing() if any(value is None for value in asked) else found

    def between(self, low: Bound = None, high: Bound = None, pointer: str = "") -> BoolArray:
        if isinstance(low, str) or isinstance(high, str):
            bound = low if isinstance(low, str) else high
            raise InvalidInputError.at(pointer, bound, f"field {self.name} holds numbers, not text")
        lowest, highest = -np.inf if low is None else low, np.inf if high is None else high
        return (self.number_D >= lowest) & (self.number_D <= highest)

    def glob(self, pattern: str) -> BoolArray:
        return np.zeros(len(self), dtype=bool)


@dataclass(frozen=True, kw_only=True, eq=False)
class CategoryColumn(FieldColumn):
    """A field of text, truth values, lists, objects, or several kinds; each distinct value is looked at once."""

    name: str
    code_D: Int32Array
    load_distinct: Callable[[], list[Any]]

    @cached_property
    def distinct(self) -> list[Any]:
        """The distinct values; a code is an index into them."""
        return self.load_distinct()

    def __len__(self) -> int:
        return len(self.code_D)

    def __getitem__(self, row: int) -> Any:
        code = int(self.code_D[row])
        return None if code == MISSING else self.distinct[code]

    def take(self, order_D: Int64Array) -> "CategoryColumn":
        return CategoryColumn(name=self.name, code_D=self.code_D[order_D], load_distinct=self.load_distinct)

    def missing(self) -> BoolArray:
        return np.equal(self.code_D, MISSING)

    def numbers(self, pointer: str = "") -> Float64Array:
        is_wrong = self._where(lambda value: not _is_in_range(value))
        if is_wrong.any():
            message = f"{int(is_wrong.sum())} of {len(self)} documents hold no number in this field"
            raise InvalidInputError.at(pointer, self.name, f"{message}, such as {self[int(is_wrong.argmax())]!r}")
        return np.array([*map(float, self.distinct), np.nan]).take(self.code_D)

    def categories(self) -> Int64Array:
        return self.code_D.astype(np.int64)

    def isin(self, values: Iterable[Any]) -> BoolArray:
        asked = list(values)
        words = {_word(value) for value in asked}
        return self._where(lambda value: _word(value) in words, if_missing=any(value is None for value in asked))

    def between(self, low: Bound = None, high: Bound = None, pointer: str = "") -> BoolArray:
        given = [bound for bound in (low, high) if bound is not None]
        is_text = any(isinstance(bound, str) for bound in given)
        if is_text and not all(isinstance(bound, str) for bound in given):
            raise InvalidInputError.at(pointer, [low, high], "one bound is text, the other a number")
        is_kind = _is_text if is_text else _is_number
        if given and len(self.distinct) and not any(map(is_kind, self.distinct)):
            kind = "text" if is_text else "number"
            raise InvalidInputError.at(pointer, given[0], f"no value of field {self.name} is a {kind}")
        return self._where(lambda value: not given or (is_kind(value) and _is_within(value, low, high)))

    def glob(self, pattern: str) -> BoolArray:
        matches = re.compile(fnmatch.translate(pattern)).match
        return self._where(lambda value: isinstance(value, str) and matches(value) is not None)

    def _where(self, test: Callable[[Any], bool], if_missing: bool = False) -> BoolArray:
        answer_K1 = np.array([*map(test, self.distinct), if_missing], dtype=bool)  # MISSING is the last
        return answer_K1.take(self.code_D)


class FieldBuilder:
    """Gathers one field while documents stream by: 8 bytes a document for numbers, 4 and the distinct values else."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._numbers: array[float] | None = array("d")
        self._codes = array("i")
        self._distinct: dict[str, int] = {}

    def add(self, value: Any) -> None:
        """One document more."""
        if self._numbers is not None and (value is None or _fits(value)):
            self._numbers.append(float("nan") if value is None else float(value))
            return
        if self._numbers is not None:
            before, self._numbers = self._numbers, None
            for number in before:
                self.add(_number(number))
        code = MISSING if value is None else self._distinct.setdefault(_word(value), len(self._distinct))
        self._codes.append(code)

    def is_empty(self) -> bool:
        """Whether no document has a value, of one or more."""
        values: array[Any] = self._codes if self._numbers is None else self._numbers
        return len(values) > 0 and not self._distinct and all(value != value for value in self._numbers or [])

    def column(self, order_D: Int64Array) -> FieldColumn:
        """Everything added so far, row i from document `order_D[i]`."""
        if self._numbers is not None:
            return NumberColumn(name=self._name, number_D=np.array(self._numbers, dtype=np.float64)[order_D])
        words = sorted(self._distinct)
        place_K1 = np.full(len(words) + 1, MISSING, dtype=np.int32)
        place_K1[[self._distinct[word] for word in words]] = np.arange(len(words))
        code_D = place_K1[np.array(self._codes, dtype=np.int32)[order_D]]
        return CategoryColumn(name=self._name, code_D=code_D, load_distinct=lambda: [json.loads(w) for w in words])


def save_fields(folder: Path, fields: Mapping[str, FieldColumn]) -> list[dict[str, str]]:
    """Writes the columns into `folder`; what to put into its manifest for `load_fields`."""
    described = []
    for index, (name, column) in enumerate(sorted(fields.items())):
        file = f"field-{index}"
        if isinstance(column, CategoryColumn):
            save_array(folder / f"{file}.npy", column.code_D)
            save_json(folder / f"{file}.json", column.distinct)
        else:
            save_array(folder / f"{file}.npy", column.numbers())
        described.append(
            {"name": name, "file": file, "kind": "category" if isinstance(column, CategoryColumn) else "number"}
        )
    return described


def load_fields(folder: Path, described: Iterable[Mapping[str, str]]) -> dict[str, FieldColumn]:
    """What `save_fields` wrote, memory-mapped."""
    return {entry["name"]: _load_field(folder, entry) for entry in described}


def _load_field(folder: Path, entry: Mapping[str, str]) -> FieldColumn:
    values_D = np.asarray(map_array(folder / f"{entry['file']}.npy"))
    if entry["kind"] == "number":
        return NumberColumn(name=entry["name"], number_D=values_D)
    path = folder / f"{entry['file']}.json"
    return CategoryColumn(
        name=entry["name"], code_D=values_D, load_distinct=lambda: list(json.loads(path.read_bytes()))
    )


def _word(value: Any) -> str:
    """Equal values have one word: 1.0 is 1, as in every reading of a corpus."""
    return json.dumps(_number(value) if isinstance(value, float) else value, sort_keys=True)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fits(value: Any) -> bool:
    """Whether it is a number that float64 holds exactly."""
    return _is_in_range(value) and float(value) == value


def _is_in_range(value: Any) -> bool:
    return _is_number(value) and abs(value) <= LARGEST


def _number(number: float) -> Any:
    """As JSON says it: whole numbers are integers, NaN is null."""
    if number != number:
        return None
    return int(number) if number.is_integer() else number


def _is_within(value: Any, low: Any, high: Any) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)
