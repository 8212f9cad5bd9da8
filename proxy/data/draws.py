"""Drawing documents from a source's pool until a quota of tokens is full.

An epoch holds each kept document once, or as often as the source repeats it, in the order of a hash of (document,
copy and epoch, seed). A draw that goes on (the next phase) starts behind the last document that was taken.
"""

from dataclasses import dataclass

import numpy as np

from proxy.data.documents import Int64Array
from proxy.data.hashing import INCLUSION, POSITION, UInt64Array, mix
from proxy.data.selection import ROWS_AT_ONCE
from proxy.data.supplies import Supply
from proxy.recipes.sources import MOST_EPOCHS

HIGHEST = (1 << 64) - 1
LOOK_AHEAD = 1.25  # of the hashes that should hold the quota; documents differ in length
FEW = 1 << 12  # pools up to this many documents are ordered whole


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Row, length and second hash of each drawn (document, epoch), [P]."""

    row: Int64Array
    length: Int64Array
    position: UInt64Array


class Draw:
    """The documents of one pool, epoch after epoch."""

    def __init__(self, supply: Supply, seed: int) -> None:
        self._supply, self._seed = supply, seed
        self._epoch = 0
        self._after = -1  # hash of the last document taken in this epoch

    def take(self, quota: int) -> Pieces:
        """The next documents, the last one cut so that their lengths sum to the quota."""
        none = np.empty(0, dtype=np.int64)
        parts = [Pieces(row=none, length=none, position=none.astype(np.uint64))]  # a quota may be 0
        left = quota
        while left > 0:
            parts.append(self._take_from_epoch(left))
            left -= int(parts[-1].length.sum())
        return Pieces(
            row=np.concatenate([part.row for part in parts]),
            length=np.concatenate([part.length for part in parts]),
            position=np.concatenate([part.position for part in parts]),
        )

    def _take_from_epoch(self, left: int) -> Pieces:
        place_E, copy_E, hash_E = self._beginning(left)
        order = np.argsort(hash_E, kind="stable")
        ends = np.cumsum(self._supply.cost_K[place_E[order]])
        count = min(int(np.searchsorted(ends, left)) + 1, len(order))
        taken = order[:count]
        length = self._supply.cost_K[place_E[taken]].copy()
        row = self._supply.selection.rows[place_E[taken]]
        position = self._hash(row, POSITION, copy_E[taken])
        if count == 0 or int(ends[-1]) < left:
            self._epoch, self._after = self._epoch + 1, -1
        else:
            length[-1] -= int(ends[count - 1]) - left
            self._after = int(hash_E[taken[-1]])
        return Pieces(row=row, length=length, position=position)

    def _beginning(self, left: int) -> tuple[Int64Array, Int64Array, UInt64Array]:
        """Place among the kept rows, copy and hash of those of this epoch's documents whose hash is smallest: enough
        for `left` tokens, or all. Spares the sorting of a pool of which little is drawn."""
        span = int(LOOK_AHEAD * HIGHEST * left / self._supply.available) + HIGHEST // max(len(self._supply.cost_K), 1)
        if len(self._supply.cost_K) <= FEW:
            span = HIGHEST
        while True:
            highest = min(max(self._after, 0) + span, HIGHEST)
            found = self._between(highest)
            if highest == HIGHEST or int(self._supply.cost_K[found[0]].sum()) >= left:
                return found
            span *= 4

    def _between(self, highest: int) -> tuple[Int64Array, Int64Array, UInt64Array]:
        """Entries of this epoch above the last hash taken and up to `highest`."""
        places, copies, hashes = [], [], []
        for copy in range(int(self._supply.copies_K.max(initial=0))):
            for begin in range(0, len(self._supply.cost_K), ROWS_AT_ONCE):
                block = np.arange(begin, min(begin + ROWS_AT_ONCE, len(self._supply.cost_K)))
                if copy:
                    block = block[self._supply.copies_K[block] > copy]
                hash_B = self._hash(self._supply.selection.rows[block], INCLUSION, np.full(len(block), copy))
                chosen = hash_B <= np.uint64(highest)
                if self._after >= 0:
                    chosen &= hash_B > np.uint64(self._after)
                places.append(block[chosen])
                copies.append(np.full(len(places[-1]), copy, dtype=np.int64))
                hashes.append(hash_B[chosen])
        return np.concatenate(places), np.concatenate(copies), np.concatenate(hashes)

    def _hash(self, rows: Int64Array, purpose: int, copy_B: Int64Array) -> UInt64Array:
        """Of (document, epoch and copy, seed); the first copies of an epoch are those of a source that repeats none."""
        keys = self._supply.holdings.table.key[rows]
        hash_B = np.empty(len(rows), dtype=np.uint64)
        for copy in np.unique(copy_B).tolist():
            own = copy_B == copy
            hash_B[own] = mix(keys[own], purpose, self._seed, self._epoch + copy * (MOST_EPOCHS + 1))
        return hash_B
