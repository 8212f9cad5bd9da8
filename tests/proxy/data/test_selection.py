"""Selections and leaks: what a source keeps depends on content, not on reading order."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data import selection
from proxy.data.corpora import Document
from proxy.data.documents import DocumentTable, TableBuilder
from proxy.data.fields import NumberColumn
from proxy.data.holdings import Holdings
from proxy.data.leaks import find_overlap
from proxy.data.selection import select
from proxy.recipes import LengthFilter, Measure, Source
from tests.proxy.data.material import few


def table_of(*words: str) -> DocumentTable:
    builder = TableBuilder()
    for word in words:
        builder.add(Document(text=word))
    return builder.table()


def kept(words: list[str], **steps: Any) -> list[str]:
    builder = TableBuilder()
    for word in words:
        builder.add(Document(text=word))
    rows = select(Source(corpus="c", weight=1, **steps), Holdings(table=builder.table())).rows
    in_rows = dict(zip(builder.reading_order().tolist(), words, strict=True))
    return [in_rows[row] for row in rows.tolist()]


def test_a_source_without_steps_keeps_everything() -> None:
    selection = select(Source(corpus="c", weight=1), Holdings(table=table_of("a", "a", "")))
    assert selection.rows.tolist() == [0, 1, 2]
    assert selection.removed == {}


def test_the_length_filter_counts_characters_and_includes_both_bounds() -> None:
    words = ["é", "éé", "ééé", "éééé"]
    assert sorted(kept(words, filters=[LengthFilter(minimum=2, maximum=3)])) == ["éé", "ééé"]
    assert sorted(kept(words, filters=[LengthFilter(minimum=3)])) == ["ééé", "éééé"]


def test_exact_dedup_keeps_one_of_each_normalised_text() -> None:
    words = ["A b", "c", "a  B", "A b"]
    assert sorted(word.casefold().split() for word in kept(words, dedup="exact")) == [["a", "b"], ["c"]]


@few
@given(st.lists(st.sampled_from(["a", "A", " a", "b", "B ", "cc", "ccc"]), max_size=15), st.data())
def test_which_documents_are_kept_is_independent_of_their_order(words: list[str], data: st.DataObject) -> None:
    steps = {"filters": [LengthFilter(maximum=2)], "dedup": "exact", "subset": 0.5}
    shuffled = data.draw(st.permutations(words))
    assert sorted(kept(words, **steps)) == sorted(kept(shuffled, **steps))


def test_a_smaller_subset_is_part_of_a_larger_one_and_has_about_its_size() -> None:
    words = [str(number) for number in range(4000)]
    tenth, half = set(kept(words, subset=0.1)), set(kept(words, subset=0.5))
    assert tenth < half
    assert (len(tenth), len(half)) == pytest.approx((400, 2000), rel=0.15)  # 3 sd of the binomial is 57 of 400


def test_each_step_says_how_many_it_removed() -> None:
    source = Source(
        corpus="c", weight=1, filters=(LengthFilter(minimum=1), LengthFilter(maximum=3)), dedup="exact", subset=0.5
    )
    selection = select(source, Holdings(table=table_of("", "long text", "a", "A", "b", "c", "d")))
    assert list(selection.removed) == ["filters/0 length", "filters/1 length", "dedup exact", "subset"]
    assert list(selection.removed.values())[:3] == [1, 1, 1]
    assert sum(selection.removed.values()) + len(selection.rows) == 7


def test_steps_may_leave_nothing() -> None:
    assert kept(["a", "b"], filters=[LengthFilter(minimum=5)], dedup="exact", subset=0.5) == []


@few
@given(st.lists(st.sampled_from("abcdef")), st.lists(st.sampled_from("ABCxyz")))
def test_overlap_counts_held_out_documents_with_a_training_twin(train: list[str], held_out: list[str]) -> None:
    overlap = find_overlap(table_of(*train), table_of(*held_out))
    assert overlap.of == len(held_out)
    assert overlap.count == sum(word.casefold() in train for word in held_out)


def test_empty_texts_leak_nothing() -> None:
    assert find_overlap(table_of("", "a"), table_of(" \n", "", "A")).count == 1


def test_selection_rows_are_ascending() -> None:
    words = [str(number % 50) for number in range(200)]
    rows = select(Source(corpus="c", weight=1, dedup="exact", subset=0.7), Holdings(table=table_of(*words))).rows
    assert (np.diff(rows) > 0).all()


@few
@given(st.data(), st.lists(st.lists(st.integers(0, 6), max_size=12), min_size=1, max_size=3))
def test_of_duplicates_over_sources_the_smallest_key_stays(data: st.DataObject, texts: list[list[int]]) -> None:
    parts, expected = [], []
    for words in texts:
        keys = sorted(data.draw(st.lists(st.integers(0, 40), min_size=len(words), max_size=len(words), unique=True)))
        key_D, text_key_D = np.array(keys, dtype=np.uint64), np.array(words, dtype=np.uint64)
        sizes = np.ones(len(words), dtype=np.int64)
        table = DocumentTable(key=key_D, text_key=text_key_D, characters=sizes, text_bytes=sizes)
        kept = [row for row in range(len(words)) if data.draw(st.booleans())]
        parts.append((Holdings(table=table), np.array(kept, dtype=np.int64)))
    everything = [
        (int(held.table.text_key[row]), int(held.table.key[row]), number)
        for number, (held, rows) in enumerate(parts)
        for row in rows.tolist()
    ]
    for text, key, number in everything:
        expected.append((key, number) == min(one[1:] for one in everything if one[0] == text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "ROWS_AT_ONCE", 3)
        assert selection.unique("exact", parts).tolist() == expected


@few
@given(st.lists(st.sampled_from([-1.5, -0.0, 0, 0.0, 2, 7]), max_size=20), st.floats(0, 0.99), st.floats(0.01, 1))
def test_a_quantile_is_a_slice_of_the_stable_order(values: list[float], low: float, share: float) -> None:
    high = min(low + share, 1.0)
    sizes = np.ones(len(values), dtype=np.int64)
    column = NumberColumn(name="q", number_D=np.array(values, dtype=np.float64))
    keys = np.arange(len(values), dtype=np.uint64)
    table = DocumentTable(key=keys, text_key=keys, characters=sizes, text_bytes=sizes, fields={"q": column})
    rows = np.arange(len(values))
    chosen = selection.between_quantiles(Measure(field="q"), low, high, Holdings(table=table), rows, "")
    first, last = (math.floor(len(values) * Fraction(str(edge))) for edge in (low, high))
    assert np.flatnonzero(chosen).tolist() == sorted(np.argsort(values, kind="stable")[first:last].tolist())
