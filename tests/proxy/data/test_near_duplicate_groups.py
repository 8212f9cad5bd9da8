"""Groups of near-duplicates: against brute force, on planted pairs, and in any order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data import near_duplicate_groups as module
from proxy.data.hashing import mix
from proxy.data.near_duplicate_groups import StackedSignatures, near_duplicate_groups, survivors
from proxy.data.near_duplicates import NearDuplicates, UInt32Array, signature
from proxy.errors import InvalidInputError
from tests.proxy.data.material import few
from tests.proxy.data.planted import compare, plant, real_texts

SMALL = NearDuplicates(bands=3, rows=2, similarity=0.6)
small_signatures = st.lists(st.lists(st.integers(0, 2), min_size=6, max_size=6), max_size=14)


def keys(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Distinct keys in no order."""
    return mix(np.arange(count, dtype=np.uint64), 7)


def array(rows: list[list[int]]) -> UInt32Array:
    return np.array(rows, dtype=np.uint32).reshape(len(rows), SMALL.hashes)


def brute_force(signatures: UInt32Array, key: np.ndarray, settings: NearDuplicates) -> list[int]:
    """The definition over all pairs, joined one by one; the group is named by its smallest key's row."""
    groups = list(range(len(signatures)))
    for i in range(len(signatures)):
        for j in range(i):
            equal = signatures[i] == signatures[j]
            in_band = equal.reshape(settings.bands, settings.rows).all(axis=1).any()
            if in_band and equal.sum() >= settings.similarity * settings.hashes - 1e-9:
                groups = [groups[j] if group == groups[i] else group for group in groups]
    members = {group: [i for i, other in enumerate(groups) if other == group] for group in set(groups)}
    return [min(members[group], key=lambda row: int(key[row])) for group in groups]


@few
@given(small_signatures)
def test_groups_are_the_connected_components_of_brute_force(rows: list[list[int]]) -> None:
    signatures, key = array(rows), keys(len(rows))
    assert near_duplicate_groups(signatures, key, SMALL).tolist() == brute_force(signatures, key, SMALL)


@few
@given(small_signatures, st.data())
def test_who_stays_does_not_depend_on_the_order_of_rows_nor_on_block_sizes(
    rows: list[list[int]], data: st.DataObject
) -> None:
    signatures, key = array(rows), keys(len(rows))
    order = np.array(data.draw(st.permutations(range(len(rows)))), dtype=np.int64)
    kept = set(key[survivors(signatures, key, SMALL)].tolist())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "NUMBERS_AT_ONCE", 3)
        patch.setattr(module, "SIGNATURES_AT_ONCE", 2)
        assert set(key[order][survivors(signatures[order], key[order], SMALL)].tolist()) == kept


def test_a_chain_is_one_group_although_its_ends_are_unlike() -> None:
    links = array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 1, 1, 1, 1]])
    key = np.array([30, 20, 10], dtype=np.uint64)
    assert (links[0] == links[2]).mean() < SMALL.similarity
    assert near_duplicate_groups(links[[0, 2]], key[[0, 2]], SMALL).tolist() == [0, 1]
    assert near_duplicate_groups(links, key, SMALL).tolist() == [2, 2, 2]


def test_a_shared_band_alone_makes_no_group() -> None:
    pair = array([[0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1]])
    assert survivors(pair, keys(2), SMALL).all()


def test_a_similarity_that_is_just_reached_counts() -> None:
    settings = NearDuplicates(bands=5, rows=2, similarity=0.7)
    pair = np.zeros((2, 10), dtype=np.uint32)
    pair[1, :3] = 1
    assert survivors(pair, keys(2), settings).sum() == 1
    pair[1, 3] = 1
    assert survivors(pair, keys(2), settings).sum() == 2


def test_no_documents_and_one_document_are_left_alone() -> None:
    assert survivors(array([]), keys(0), SMALL).tolist() == []
    assert survivors(array([[1] * 6]), keys(1), SMALL).tolist() == [True]


@pytest.mark.parametrize("low", [0.5, 0.7])
def test_planted_near_duplicates_are_found_and_no_others(low: float) -> None:
    planted, settings = plant(real_texts(400, 100), low, np.random.default_rng(11)), NearDuplicates()
    signatures = np.array([signature(text, settings) for text in planted.texts])
    groups = near_duplicate_groups(signatures, keys(len(planted.texts)), settings)
    found = compare(groups.tolist(), planted, settings.similarity)
    assert found.clear_pairs > 80
    assert min(found.clear_precision, found.clear_recall) >= 0.95
    assert min(found.sharp_precision, found.sharp_recall) >= 0.8  # 112 places estimate 0.8 with a deviation of 0.04


def test_more_hashes_tell_apart_what_lies_close_to_the_threshold() -> None:
    planted, settings = plant(real_texts(300, 100), 0.6, np.random.default_rng(12)), NearDuplicates(bands=51, rows=10)
    signatures = np.array([signature(text, settings) for text in planted.texts])
    groups = near_duplicate_groups(signatures, keys(len(planted.texts)), settings)
    found = compare(groups.tolist(), planted, settings.similarity)
    assert min(found.clear_precision, found.clear_recall) >= 0.99
    assert min(found.sharp_precision, found.sharp_recall) >= 0.88


def test_a_hundred_thousand_copies_are_not_compared_pair_by_pair() -> None:
    generator = np.random.default_rng(0)
    copies = np.repeat(generator.integers(0, 1 << 32, (2, SMALL.hashes), dtype=np.uint32), 100_000, axis=0)
    key = keys(len(copies))
    kept = np.flatnonzero(survivors(copies, key, SMALL))
    assert kept.tolist() == sorted([int(key[:100_000].argmin()), 100_000 + int(key[100_000:].argmin())])


def test_a_large_bucket_of_different_documents_costs_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, compared = np.random.default_rng(0), []
    pages = generator.integers(0, 1 << 32, (5000, SMALL.hashes), dtype=np.uint32)
    pages[:, :2] = 7  # all share one band and nothing else
    pages[4000:] = pages[4000]
    pages[4000:, 5] = np.arange(1000)  # a thousand near-duplicates of each other, no two the same
    count = np.count_nonzero

    def counting(equal: np.ndarray, axis: int) -> Any:
        compared.append(len(equal))
        return count(equal, axis=axis)

    monkeypatch.setattr(np, "count_nonzero", counting)
    kept = survivors(pages, keys(5000), SMALL)
    assert kept.sum() == 4001
    assert sum(compared) < 5000 * (module.ROUNDS + 10)


def test_rows_of_several_sources_are_one_array_without_a_copy() -> None:
    first, second = array([[n] * 6 for n in range(5)]), array([[n] * 6 for n in range(3, 9)])
    rows = np.array([0, 3, 4]), np.array([0, 1, 5])
    both = StackedSignatures([(first, rows[0]), (second, rows[1])])
    whole = np.concatenate([first[rows[0]], second[rows[1]]])
    assert both.shape == whole.shape
    picked = np.array([5, 0, 2, 3])
    assert (both[picked, slice(2, 4)] == whole[picked, 2:4]).all()
    assert survivors(both, keys(6), SMALL).tolist() == survivors(whole, keys(6), SMALL).tolist()
    assert survivors(both, keys(6), SMALL).sum() == 4


def test_signatures_may_stay_in_a_file(tmp_path: Path) -> None:
    signatures = array([[n % 7] * 5 + [n] for n in range(30)])
    np.save(tmp_path / "signatures.npy", signatures)
    mapped = np.load(tmp_path / "signatures.npy", mmap_mode="r")
    kept = survivors(mapped, keys(30), SMALL)
    assert kept.tolist() == survivors(signatures, keys(30), SMALL).tolist()
    assert kept.sum() == 7
    assert StackedSignatures([(mapped, np.arange(3, 9))])[np.array([0]), slice(0, 6)].tolist() == [[3] * 6]


def test_signatures_of_another_length_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="signatures must be"):
        survivors(array([[0] * 6]), keys(1), NearDuplicates())
    with pytest.raises(InvalidInputError, match="one length"):
        StackedSignatures([(array([[0] * 6]), np.array([0])), (np.zeros((1, 5), np.uint32), np.array([0]))])
