"""Leaks: held-out documents that are also training documents, by normalised text or by shared word n-grams."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from proxy.data.documents import EMPTY_TEXT_KEY, DocumentTable
from proxy.data.ngram_sets import NgramSet
from proxy.data.overlap import Float64Array, document_shares, seen_ngrams

CHANCE_CHARACTERS = 48  # about the 8 words from which n-grams are compared; less may be a whole document by chance
LEAKED_SHARE = 0.5  # Tülu 3's (Lambert et al., 2024), there of a test instance's tokens


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """`count` of `of` held-out documents have the same text as a training document."""

    count: int
    of: int


def find_overlap(train: DocumentTable, held_out: DocumentTable, *, has_prompts: bool = False) -> Overlap:
    """Compares two tables; white space, case and Unicode form do not matter; empty texts leak nothing.

    With `has_prompts` the held-out texts are continuations: a short one ("yes") leaks only with all its fields.
    """
    shared = np.isin(held_out.text_key, train.text_key) & (held_out.text_key != EMPTY_TEXT_KEY)
    if has_prompts:
        shared &= (held_out.characters >= CHANCE_CHARACTERS) | np.isin(held_out.key, train.key)
    return Overlap(count=int(shared.sum()), of=len(held_out))


@dataclass(frozen=True, kw_only=True)
class NgramOverlap:
    """Which held-out documents the training texts hold. `share_V` is the share of each one's n-grams that they have,
    NaN for one that is too short or all boilerplate; from `minimum_share` on it is leaked.
    """

    share_V: Float64Array
    minimum_share: float

    @property
    def leaked(self) -> int:
        """How many held-out documents leak."""
        return int(((self.share_V > 0) & (self.share_V >= self.minimum_share)).sum())

    @property
    def comparable(self) -> int:
        """How many can be told."""
        return int(np.isfinite(self.share_V).sum())

    def part(self, start: int, stop: int) -> "NgramOverlap":
        """The held-out documents [start, stop) alone."""
        return NgramOverlap(share_V=self.share_V[start:stop], minimum_share=self.minimum_share)


def find_ngram_overlap(
    train_texts: Iterable[str], held_out: NgramSet, minimum_share: float = LEAKED_SHARE
) -> NgramOverlap:
    """Which held-out documents the training texts hold, in part or edited too; one pass over the texts."""
    return NgramOverlap(
        share_V=document_shares(seen_ngrams(train_texts, held_out), held_out), minimum_share=minimum_share
    )
