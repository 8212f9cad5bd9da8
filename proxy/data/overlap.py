"""Overlap of texts with a set of held-out texts by word n-grams: for decontamination and for reports of leaks.

A single shared n-gram is weak evidence: it may be a quotation, a table's header or a licence. GPT-3 (Brown et al.,
NeurIPS 2020, appendix C) removed for one; PaLM (Chowdhery et al., 2022) and Tülu 3 (Lambert et al., 2024) ask for
70 and 50 % of the held-out document, which is what `greatest_share` of a text and `document_shares` of a corpus say.
`count_hits` says how much of the *text* is in the set. See ngram_sets.py for what an n-gram is and what is ignored.

All are linear in the text and need memory for a piece of it. Array axes: U distinct n-grams, E pairs of an n-gram and
a held-out document that has it, V held-out documents.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from proxy.data.ngram_sets import SEPARATOR, BoolArray, NgramSet, only_words
from proxy.data.shingles import Int64Array, hashed_pieces

__all__ = [
    "NgramSet",
    "count_hits",
    "document_shares",
    "greatest_share",
    "matched_documents",
    "seen_ngrams",
]

Float64Array = npt.NDArray[np.float64]


def _places(text: str, ngrams: NgramSet) -> Iterator[list[Int64Array]]:
    """For each piece of the text and each length, shortest first: which n-gram begins at which word."""
    for piece in hashed_pieces(text, ngrams.words, only_words, SEPARATOR):
        yield [ngrams.find(piece.ngrams(length)) for length in ngrams.lengths]


def count_hits(text: str, ngrams: NgramSet) -> tuple[int, int]:
    """At how many words of the text an n-gram of the set begins, and at how many one could: the text's words less
    the shortest n-gram's, plus one. (0, 0) for a text shorter than any n-gram.
    """
    hits = total = 0
    for shortest, *longer in _places(text, ngrams):
        is_hit = shortest >= 0
        for places in longer:
            is_hit[: len(places)] |= places >= 0
        hits, total = hits + int(is_hit.sum()), total + len(is_hit)
    return hits, total


def seen_ngrams(texts: Iterable[str], ngrams: NgramSet) -> BoolArray:
    """Which n-grams of the set occur in any of the texts, bool[U]. Parts of a corpus combine by `|`."""
    is_seen_U = np.zeros(len(ngrams.hashes), dtype=bool)
    for text in texts:
        for of_lengths in _places(text, ngrams):
            for places in of_lengths:
                is_seen_U[places[places >= 0]] = True
    return is_seen_U


def document_shares(is_seen_U: BoolArray, ngrams: NgramSet) -> Float64Array:
    """The share of each held-out document's distinct n-grams that were seen, float64[V]; NaN for a document that has
    none, because it is too short or all boilerplate: nothing can be said about it.
    """
    is_seen_E = np.repeat(is_seen_U, np.diff(ngrams.offsets))
    seen_V = np.bincount(ngrams.documents[is_seen_E], minlength=ngrams.held_out)
    return np.where(ngrams.sizes > 0, seen_V / np.maximum(ngrams.sizes, 1), np.nan)


def matched_documents(
    texts: Iterable[str], ngrams: NgramSet, minimum_share: float = 0
) -> tuple[Int64Array, Float64Array]:
    """Held-out documents with a seen n-gram and at least this share of them seen in the texts as a whole: rows,
    ascending, and shares.
    """
    share_V = document_shares(seen_ngrams(texts, ngrams), ngrams)
    rows = np.flatnonzero((share_V > 0) & (share_V >= minimum_share))
    return rows, share_V[rows]


def greatest_share(text: str, ngrams: NgramSet) -> float:
    """The largest share of one held-out document's distinct n-grams that this text holds, in [0, 1]."""
    hits = [places[places >= 0] for of_lengths in _places(text, ngrams) for places in of_lengths]
    found = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *hits]))
    rows, counts = np.unique(ngrams.holders(found), return_counts=True)
    return float((counts / ngrams.sizes[rows]).max(initial=0))
