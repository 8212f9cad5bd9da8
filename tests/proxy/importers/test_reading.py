"""Hostile and broken files: refused in a moment, with words."""

import json
import time

import pytest

from proxy.errors import InvalidInputError
from proxy.importers import import_recipe
from proxy.importers.reading import read_content

ALIASES = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
MERGES = "a0: &a0 {k0: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60))
HOSTILE = {
    "aliases that double": ALIASES,
    "merges that double": MERGES,
    "a value inside itself": "train: &a {b: *a}",
    "a mapping merged into itself": "train: &a\n  <<: *a\n  b: 1\n" * 2,
    "brackets without end": "[" * 100_000,
    "braces without end": '{"a":' * 100_000,
    "a number in base 60": "train: {a: " + ":".join(["1"] + ["59"] * 100_000) + "}",
    "a float in base 60": "train: {a: " + ":".join(["1"] + ["59"] * 1000) + ".5}",
    "a long number": "train: {a: " + "9" * 100_000 + "}",
    "ten megabytes of YAML": "train:\n" + "  key: 1\n" * 1_200_000,
    "more than ten megabytes": '{"train": {"a": "' + "x" * 10_000_001 + '"}}',
    "a program": "train: !!python/object/apply:os.system [ls]",
    "bytes": "train: {a: !!binary aGVsbG8=}",
    "a set": "train: !!set {a, b}",
    "a bad date": "!!timestamp x",
    "a bad integer": 'train: {a: !!int ""}',
    "keys that are numbers": "train: {1: 2}",
    "a NUL": '{"train": {"a\\u0000": 1}, "x": "\\u0000"}',
    "half a surrogate pair in a key": '{"train": {"\\ud800": 1}}',
    "half a surrogate pair": '{"train": {"a": "\\ud800"}}',
    "nothing": "",
    "white space": " \n",
    "a comment": "# nothing",
    "text": "hello",
    "no YAML": "a: [b",
    "a tab": "a:\n\t- b",
    "an empty list": "[]",
    "too many values": "[" + "0," * 250_000 + "0]",
    "many values behind a long name": '{"mix": {"'
    + "x" * 4_000_000
    + '": {'
    + ",".join(f'"{i}": 1' for i in range(90_000))
    + "}}}",
    "more sources than recipes have": '{"train": {' + ",".join(f'"{i}": 1' for i in range(90_000)) + "}}",
    "many sources and many markers": json.dumps(
        {
            "uuid": "u",
            "name": "n",
            "sources": [{"name": f"s{index}" + "y" * 500} for index in range(9_000)],
            "sampling_yaml": {
                "sources": [{"source": "A", "markers": [f"m{index}" for index in range(50_000)]}],
                "sampling_frequencies": {"A": 1.0},
            },
        }
    ),
    "a key twice in YAML": "train: {a: 1, b: 1, a: 2}",
    "a key twice in JSON": '{"train": {"a": 1, "b": 1, "a": 2}}',
    "a large integer": '{"train": {"a": 99999999999999999999999}}',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_soon(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidInputError):
        import_recipe(text)
    assert time.monotonic() - started < 5


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="is no UTF-8 text"):
        import_recipe(b"train: {a: \xff}")


def test_a_byte_order_mark_is_no_content() -> None:
    assert import_recipe("\ufefftrain: {a: 1}".encode()).corpora == ("a",)


def test_dates_stay_text_and_merges_that_are_small_work() -> None:
    assert read_content("a: &a {day: 2026-01-31}\nb: &b {<<: *a, x: 1_000, day: 1}\nc: {<<: *b}") == {
        "a": {"day": "2026-01-31"},
        "b": {"day": 1, "x": 1000},
        "c": {"day": 1, "x": 1000},
    }


@pytest.mark.parametrize(
    ("weights", "pointer", "value"),
    [
        ("{a: -1}", "/train/a", -1),
        ("{a: 1, b: .inf}", "/train/b", float("inf")),
        ("{a: 1, b: yes}", "/train/b", True),
        ("{a: 1, b/c: [1]}", "/train/b~1c", [1]),
        ("{a: 1, b: many}", "/train/b", "many"),
        ("{a: 0, b: 0.0}", "/train", [0, 0.0]),
        ("{a: 1e13}", "/train/a", "1e13"),
        ("{}", "/train", {}),
        ("3", "/train", 3),
    ],
)
def test_a_weight_that_is_none_is_named_with_its_value(weights: str, pointer: str, value: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        import_recipe(f"train: {weights}", "regmix")
    problem = caught.value.problems[0]
    assert (problem.pointer, problem.value) == (pointer, value)


def test_nan_is_no_weight() -> None:
    with pytest.raises(InvalidInputError, match="must be a finite number"):
        import_recipe('{"train": {"a": NaN}}', "regmix")


def test_numbers_that_yaml_takes_for_text_are_numbers() -> None:
    recipe = import_recipe("train: {a: 1e-05, b: 1}").specifications()[0]
    assert [source["weight"] for source in recipe["sources"]] == [1e-05, 1]
