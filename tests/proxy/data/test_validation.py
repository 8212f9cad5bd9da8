"""Scoring windows: every token once, with enough context, and no document beside another."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.validation import NOT_SCORED, load_validation, pack
from proxy.errors import InvalidInputError
from proxy.suites import ValidationSet
from tests.proxy.data.material import END, Record, few, held_out, store

SET = ValidationSet(name="prose", corpus="prose")
CLUSTERED = ValidationSet(name="prose", corpus="prose", cluster_field="page")


@few
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 16))
def test_each_token_is_scored_exactly_once_with_enough_of_its_own_context(lengths: list[int], context: int) -> None:
    first = np.cumsum([1, *lengths])
    documents = [list(range(start, start + length)) for start, length in zip(first, lengths, strict=False)]
    windows = pack(held_out(documents), context, END)
    assert windows.inputs_WT.shape == windows.targets_WT.shape == (len(windows.document_W), context)
    seen: dict[int, list[int]] = {index: [] for index in range(len(documents))}
    for inputs, targets, index in zip(windows.inputs_WT, windows.targets_WT, windows.document_W, strict=True):
        document = [END, *documents[index]]
        for place in np.flatnonzero(targets != NOT_SCORED):
            target = targets[place]
            position = document.index(target)
            before = inputs[: place + 1].tolist()
            assert before == document[position - len(before) : position]
            assert len(before) >= min(position, context // 2)
            seen[int(index)].append(int(target))
    assert seen == dict(enumerate(documents))


def test_short_documents_are_padded_and_begin_after_an_end_of_text() -> None:
    windows = pack(held_out([[5, 6], [7]]), 4, END)
    assert windows.inputs_WT.tolist() == [[END, 5, END, END], [END, END, END, END]]
    assert windows.targets_WT.tolist() == [[5, 6, -1, -1], [7, -1, -1, -1]]
    assert windows.document_W.tolist() == [0, 1]


def test_long_documents_overlap_by_half() -> None:
    windows = pack(held_out([[1, 2, 3, 4, 5, 6, 7]]), 4, END)
    assert windows.inputs_WT.tolist() == [[END, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, END]]
    assert windows.targets_WT.tolist() == [[1, 2, 3, 4], [-1, -1, 5, 6], [-1, -1, 7, -1]]


def test_a_set_is_loaded_with_its_bytes_keys_and_one_cluster_a_document() -> None:
    made = store([[1, 2], [], [3]])
    tokens = load_validation(SET, made)
    assert tokens.name == "prose"
    assert sorted(one.tolist() for one in tokens.tokens) == [[1, 2], [3]]
    assert tokens.text_bytes.tolist() == [len(" ".join(map(str, one))) for one in tokens.tokens]
    assert tokens.clusters.tolist() == [0, 1]
    assert tokens.keys.tolist() == made.documents.key[made.token_counts > 0].tolist()


def test_documents_without_bytes_of_text_have_no_bits_per_byte() -> None:
    made = store([[1], [2]])
    bare = replace(made, load_table=lambda: replace(made.documents, text_bytes=np.zeros(2, dtype=np.int64)))
    with pytest.raises(InvalidInputError, match=r"^/sets/1/corpus: was imported as tokens without their bytes"):
        load_validation(SET, bare, 1)


def test_clusters_follow_the_field_and_documents_without_a_value_stand_alone() -> None:
    pages = ["x", None, "y", "x", None, 1, "1", ["x"]]
    fields: list[Record] = [{"page": page} for page in pages]
    tokens = load_validation(CLUSTERED, store([[i] for i in range(8)], fields))
    clusters = dict(zip([int(one[0]) for one in tokens.tokens], tokens.clusters.tolist(), strict=True))
    assert clusters[0] == clusters[3]
    assert sorted(set(clusters.values())) == list(range(7))


def test_clusters_by_a_number_leave_documents_without_one_alone() -> None:
    fields: list[Record] = [{"page": page} for page in (3, None, 0.5, 3, None)]
    tokens = load_validation(CLUSTERED, store([[i] for i in range(5)], fields))
    clusters = dict(zip([int(one[0]) for one in tokens.tokens], tokens.clusters.tolist(), strict=True))
    assert clusters[0] == clusters[3]
    assert sorted(set(clusters.values())) == list(range(4))


@pytest.mark.parametrize(("index", "pointer"), [(2, "/sets/2/cluster_field"), (None, "/cluster_field")])
def test_a_cluster_field_that_the_corpus_lacks_is_named(index: int | None, pointer: str) -> None:
    with pytest.raises(InvalidInputError, match="registered without this field; it has url") as caught:
        load_validation(CLUSTERED, store([[1]], [{"url": "u"}]), index)
    assert (caught.value.problems[0].pointer, caught.value.problems[0].value) == (pointer, "page")


def test_a_set_without_a_token_cannot_be_scored() -> None:
    with pytest.raises(InvalidInputError, match=r"^/sets/0/corpus: holds no text to score set prose on"):
        load_validation(SET, store([[], []]), 0)
