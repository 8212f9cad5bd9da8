"""Leaks: held-out documents that are also training documents, by normalised text."""

from dataclasses import dataclass

import numpy as np

from proxy.data.documents import EMPTY_TEXT_KEY, DocumentTable


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """`count` of `of` held-out documents have the same text as a training document."""

    count: int
    of: int


def find_overlap(train: DocumentTable, held_out: DocumentTable) -> Overlap:
    """Compares two tables; white space, case and Unicode form do not matter; empty texts leak nothing."""
    shared = np.isin(held_out.text_key, train.text_key) & (held_out.text_key != EMPTY_TEXT_KEY)
    return Overlap(count=int(shared.sum()), of=len(held_out))
