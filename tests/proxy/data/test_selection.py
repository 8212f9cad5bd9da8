"""Selections and leaks: what a source keeps depends on content, not on reading order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.corpora import Document
from proxy.data.documents import DocumentTable, TableBuilder
from proxy.data.holdings import Holdings
from proxy.data.leaks import find_overlap
from proxy.data.selection import select
from proxy.recipes import LengthFilter, Source
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
