"""Groups of near-duplicates by locality-sensitive hashing of MinHash signatures, and who of each group stays.

Documents whose signatures agree in all rows of a band are candidates; a candidate pair counts if the whole signatures
agree in at least `similarity` of their places (with H = 112 and 0.8, in 90). Groups are the connected components of
the pairs that count (FineWeb's and BigCode's pipelines form them of candidates), and of a group the document with the
smallest key stays: nothing depends on the order of the rows. So a chain A ~ B ~ C is one group even where A and C are
unlike, and one of the three stays; every link of it was verified, which keeps groups from growing along chance
collisions.

Within a bucket of a band each document is compared with the ROUNDS smallest keys, unless the two are in one group
already. In a bucket of up to ROUNDS + 1 documents these are all pairs. In a larger one, work stays linear, and a pair
may be missed that no other band shows in a smaller bucket; identical signatures (copied pages) are joined beforehand,
so a large bucket means many different documents.

Memory for D documents is about 50 bytes each, 0.5 GB at 10 million; signatures are read block by block, once a band.
Array axes: D documents, H hashes, K rows taken, P pairs.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from proxy.data.hashing import UInt64Array, mix
from proxy.data.near_duplicates import NearDuplicates, UInt32Array
from proxy.data.shingles import Int64Array
from proxy.errors import InvalidInputError

BAND = 0x42414E44
ROUNDS = 32
NUMBERS_AT_ONCE = 1 << 20
SIGNATURES_AT_ONCE = 1 << 15  # of 448 bytes, and some copies: about 50 MB


class Signatures(Protocol):
    """What a uint32[D, H] array, in memory or mapped, and `StackedSignatures` have in common."""

    @property
    def shape(self) -> tuple[Any, ...]: ...

    def __getitem__(self, index: tuple[Int64Array, slice], /) -> UInt32Array: ...


class StackedSignatures:
    """Chosen rows of several signature arrays as one, without copying: what is kept of the sources, in their order."""

    def __init__(self, parts: Sequence[tuple[Signatures, Int64Array]]) -> None:
        self._parts = tuple(parts)
        self._bounds = np.cumsum([0, *(len(rows) for _, rows in parts)])
        widths = {signatures.shape[1] for signatures, _ in parts}
        if len(widths) != 1:
            raise InvalidInputError.at("/bands", sorted(widths), "signatures must be of one length")
        self.shape = (int(self._bounds[-1]), widths.pop())

    def __getitem__(self, index: tuple[Int64Array, slice], /) -> UInt32Array:
        rows_K, columns = index
        taken = np.empty((len(rows_K), len(range(*columns.indices(self.shape[1])))), dtype=np.uint32)
        part_K = np.searchsorted(self._bounds, rows_K, side="right") - 1
        for number in np.unique(part_K):
            signatures, rows = self._parts[number]
            here = part_K == number
            taken[here] = signatures[rows[rows_K[here] - self._bounds[number]], columns]
        return taken


def survivors(signatures_DH: Signatures, key_D: UInt64Array, settings: NearDuplicates) -> npt.NDArray[np.bool_]:
    """Which documents stay, bool[D]: of each group of near-duplicates the one with the smallest key."""
    groups_D = near_duplicate_groups(signatures_DH, key_D, settings)
    stays_D: npt.NDArray[np.bool_] = groups_D == np.arange(len(groups_D))
    return stays_D


def near_duplicate_groups(signatures_DH: Signatures, key_D: UInt64Array, settings: NearDuplicates) -> Int64Array:
    """The group of each document, int64[D], named by the row of the document that stays."""
    expected = (len(key_D), settings.hashes)
    if signatures_DH.shape != expected:
        raise InvalidInputError.at("/bands", list(signatures_DH.shape), f"signatures must be {list(expected)}")
    grouping = _Grouping(signatures_DH, key_D, settings.similarity)
    grouping.join(grouping.originals(), slice(0, settings.hashes))  # copies: alike in every band
    originals = grouping.originals()
    for band in range(settings.bands):
        grouping.join(originals, slice(band * settings.rows, (band + 1) * settings.rows))
    return grouping.groups()


class _Grouping:
    """Joins documents, which it numbers by ascending key: the smallest number of a group is its smallest key's."""

    def __init__(self, signatures_DH: Signatures, key_D: UInt64Array, similarity: float) -> None:
        self._signatures = signatures_DH
        is_ascending = bool((key_D[1:] >= key_D[:-1]).all())
        self._row_D = np.arange(len(key_D)) if is_ascending else np.argsort(key_D, kind="stable")
        self._group_D = np.arange(len(key_D))
        self._least = similarity * signatures_DH.shape[1] - 1e-9  # so that 0.7 of 10 places is 7

    def groups(self) -> Int64Array:
        """The surviving row of each row's group."""
        groups_D = np.empty_like(self._group_D)
        groups_D[self._row_D] = self._row_D[self._group_D]
        return groups_D

    def originals(self) -> Int64Array:
        """The first document of each group so far."""
        return np.flatnonzero(self._group_D == np.arange(len(self._group_D)))

    def join(self, number_K: Int64Array, columns: slice) -> None:
        """Joins those of these documents that agree in these columns and are similar enough."""
        member_K, start_K = self._buckets(number_K, columns)
        position = np.flatnonzero(np.arange(len(member_K)) > start_K)
        for leader in range(ROUNDS):
            for begin in range(0, len(position), NUMBERS_AT_ONCE):
                block = position[begin : begin + NUMBERS_AT_ONCE]
                self._join_similar(member_K[start_K[block] + leader], member_K[block])
            position = position[position - start_K[position] > leader + 1]

    def _buckets(self, number_K: Int64Array, columns: slice) -> tuple[Int64Array, Int64Array]:
        """Documents with company, bucket by bucket and ascending in each, and where each one's bucket begins."""
        hash_K = self._hash(number_K, columns)
        order = np.argsort(hash_K, kind="stable")
        hash_K = hash_K[order]
        is_later = np.zeros(len(order), dtype=bool)
        is_later[1:] = hash_K[1:] == hash_K[:-1]
        has_company = is_later.copy()
        has_company[:-1] |= is_later[1:]
        is_later = is_later[has_company]
        start_K = np.maximum.accumulate(np.where(is_later, 0, np.arange(len(is_later))))
        return number_K[order[has_company]], start_K

    def _hash(self, number_K: Int64Array, columns: slice) -> UInt64Array:
        """Multilinear hashes of the columns (Carter & Wegman, JCSS 18, 1979); a collision is caught by comparing."""
        factors = mix(np.arange(columns.start, columns.stop, dtype=np.uint64), BAND)
        hash_K = np.empty(len(number_K), dtype=np.uint64)
        for begin in range(0, len(number_K), SIGNATURES_AT_ONCE):
            rows = self._row_D[number_K[begin : begin + SIGNATURES_AT_ONCE]]
            hash_K[begin : begin + len(rows)] = self._signatures[rows, columns].astype(np.uint64) @ factors
        return hash_K

    def _join_similar(self, left_P: Int64Array, right_P: Int64Array) -> None:
        is_apart = self._group_D[left_P] != self._group_D[right_P]
        left_P, right_P = left_P[is_apart], right_P[is_apart]
        is_similar = np.zeros(len(left_P), dtype=bool)
        every = slice(0, self._signatures.shape[1])
        for begin in range(0, len(left_P), SIGNATURES_AT_ONCE):
            block = slice(begin, begin + SIGNATURES_AT_ONCE)
            left_PH = self._signatures[self._row_D[left_P[block]], every]
            right_PH = self._signatures[self._row_D[right_P[block]], every]
            is_similar[block] = np.count_nonzero(left_PH == right_PH, axis=1) >= self._least
        if is_similar.any():
            self._unite(self._group_D[left_P[is_similar]], self._group_D[right_P[is_similar]])

    def _unite(self, left_P: Int64Array, right_P: Int64Array) -> None:
        """Makes one group of each two, named by the smallest of all that hang together."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        names, place = np.unique(np.concatenate([left_P, right_P]), return_inverse=True)
        links = (place[: len(left_P)], place[len(left_P) :])
        graph = coo_array((np.ones(len(left_P), dtype=np.int8), links), shape=(len(names), len(names)))
        _, component = connected_components(graph, directed=False)
        _, first = np.unique(component, return_index=True)
        self._group_D[names] = names[first][component]
        for begin in range(0, len(self._group_D), NUMBERS_AT_ONCE):
            block = slice(begin, begin + NUMBERS_AT_ONCE)
            self._group_D[block] = self._group_D[self._group_D[block]]
