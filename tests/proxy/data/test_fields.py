"""Field columns: every question about a field is answered as a loop over the values would."""

import datetime
import fnmatch
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.fields import CategoryColumn, FieldBuilder, FieldColumn, NumberColumn, load_fields, save_fields
from proxy.errors import InvalidInputError
from tests.proxy.data.material import few

numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.25, int(1e300), 2**60]))
words = st.sampled_from(["en", "de", "e", "EN", "2020-01-02", "2020-02", "", "ü"])
others = st.sampled_from([True, False, [1, "a"], {"b": 1, "a": None}, 2**53 + 1, 10**400])
fields = st.one_of(
    st.lists(st.none() | numbers, max_size=9),
    st.lists(st.none() | words, max_size=9),
    st.lists(st.none() | numbers | words | others, max_size=9),
)


def column_of(values: list[Any]) -> FieldColumn:
    builder = FieldBuilder("page")
    for value in values:
        builder.add(value)
    return builder.column(np.arange(len(values)))


def is_same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@few
@given(fields, st.data())
def test_values_come_back_in_any_order_of_rows(values: list[Any], data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(len(values)))), dtype=np.int64)
    builder = FieldBuilder("page")
    for value in values:
        builder.add(value)
    column = builder.column(order)
    assert is_same(column.values(range(len(values))), [values[place] for place in order])
    assert is_same(column_of(values).take(order).values(range(len(values))), [values[place] for place in order])
    assert column.missing().tolist() == [values[place] is None for place in order]
    assert len(column) == len(values)


@few
@given(fields, numbers | words | others | st.none())
def test_equals_and_isin_find_what_a_loop_finds(values: list[Any], asked: Any) -> None:
    column = column_of(values)
    assert column.equals(asked).tolist() == [is_same(value, asked) for value in values]
    assert column.isin([asked, "de", 1]).tolist() == [any(is_same(v, a) for a in (asked, "de", 1)) for v in values]
    assert column.isin([]).tolist() == [False] * len(values)


@few
@given(st.lists(st.none() | numbers, max_size=9), numbers | st.none(), numbers | st.none())
def test_numbers_between_include_both_bounds(values: list[Any], low: Any, high: Any) -> None:
    expected = [
        value is not None and (low is None or value >= low) and (high is None or value <= high) for value in values
    ]
    assert column_of(values).between(low, high).tolist() == expected
    mixed = column_of([*values, "text"])  # the same numbers, kept as categories
    if any(value is not None for value in values):
        assert mixed.between(low, high).tolist() == [*expected, low is None and high is None]


@few
@given(st.lists(st.none() | words, max_size=9), words, words)
def test_text_between_is_compared_as_text(values: list[Any], low: str, high: str) -> None:
    column = column_of([*values, "en"])
    assert column.between(low, high).tolist() == [
        value is not None and low <= value <= high for value in [*values, "en"]
    ]


def test_iso_dates_are_sliced_by_text() -> None:
    dates = [datetime.date(2020, month, 1).isoformat() for month in range(1, 13)]
    assert column_of(dates).between("2020-03", "2020-05-31").nonzero()[0].tolist() == [2, 3, 4]


@few
@given(fields, st.sampled_from(["*", "e*", "?e", "[de]?", "", "2020-*", "EN"]))
def test_glob_matches_whole_text_and_case(values: list[Any], pattern: str) -> None:
    expected = [isinstance(value, str) and fnmatch.fnmatchcase(value, pattern) for value in values]
    assert column_of(values).glob(pattern).tolist() == expected


@few
@given(fields)
def test_categories_number_distinct_values(values: list[Any]) -> None:
    codes = column_of(values).categories().tolist()
    for one, code in zip(values, codes, strict=True):
        assert (code == -1) == (one is None)
        assert [other == code for other in codes] == [is_same(one, value) for value in values]


def test_numbers_are_floats_with_nan_for_what_is_missing() -> None:
    assert isinstance(column_of([1, None, 0.5]), NumberColumn)
    np.testing.assert_array_equal(column_of([1, None, 0.5]).numbers(), [1, np.nan, 0.5])
    large = column_of([2**53 + 1, None])  # float64 would change it
    assert isinstance(large, CategoryColumn)
    assert large[0] == 2**53 + 1
    np.testing.assert_array_equal(large.numbers(), [float(2**53), np.nan])


@pytest.mark.parametrize("wrong", ["0.5", True, [1], 10**400])
def test_a_field_that_holds_more_than_numbers_is_refused_as_numbers(wrong: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        column_of([1, wrong, None, wrong]).numbers("/sources/0/filters/0/field")
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.value) == ("/sources/0/filters/0/field", "page")
    assert problem.message.startswith("2 of 4 documents hold no number in this field, such as ")


@pytest.mark.parametrize(
    ("values", "low", "high", "message"),
    [
        ([1, 2], "a", None, "holds numbers, not text"),
        ([1, 2], 1, "b", "holds numbers, not text"),
        (["a"], 1, None, "no value of field page is a number"),
        ([True], "a", "b", "no value of field page is a text"),
        (["a", 1], "a", 1, "one bound is text"),
    ],
)
def test_bounds_of_the_wrong_kind_are_refused(values: list[Any], low: Any, high: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        column_of(values).between(low, high, "/field")
    assert caught.value.problems[0].pointer == "/field"


@few
@given(fields)
def test_saved_columns_come_back_mapped(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("fields")
    made = {"a/b": column_of(values), "..": column_of(values)}
    loaded = load_fields(folder, json.loads(json.dumps(save_fields(folder, made))))
    assert sorted(loaded) == sorted(made)
    for name, column in loaded.items():
        assert column.name == name
        assert is_same(column.values(range(len(values))), values)
        assert is_same(column.equals("en").tolist(), made[name].equals("en").tolist())
    assert all(inner.parent == folder for inner in folder.rglob("*"))


def test_the_order_of_reading_does_not_change_what_is_stored(tmp_path: Path) -> None:
    values = ["b", "a", None, "c", "a"]
    one = column_of(values)
    other = column_of(values[::-1]).take(np.arange(5)[::-1])
    for name, column in (("one", one), ("other", other)):
        save_fields(tmp_path / name, {"page": column})
    for file in ("field-0.npy", "field-0.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_the_name_of_a_column_is_that_of_its_field() -> None:
    builder = FieldBuilder("lang")
    builder.add(None)
    assert builder.is_empty()
    assert builder.column(np.arange(1)).name == "lang"
