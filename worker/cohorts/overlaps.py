"""What a run's training stream shares with held-out texts: leaks into its suites, and decontamination before it."""

from collections.abc import Iterator, Sequence

import numpy as np

from proxy.data.corpora import CorpusLocation, read_documents
from proxy.data.leaks import NgramOverlap, find_ngram_overlap
from proxy.data.ngram_sets import NgramSet
from proxy.data.tokenizers import TokenArray, Tokenizer
from proxy.data.validation import ValidationTokens

PIECES_AT_ONCE = 1000


def held_out_ngrams(sets: Sequence[ValidationTokens], tokenizer: Tokenizer) -> NgramSet:
    """N-grams of the documents of several sets, numbered one set after the other."""
    return NgramSet.of(text for part in sets for text in tokenizer.decode_batch([row.tolist() for row in part.tokens]))


def find_leaks(
    stream: TokenArray, sets: Sequence[ValidationTokens], ngrams: NgramSet, tokenizer: Tokenizer
) -> list[NgramOverlap]:
    """Of each set, which documents the stream holds in large part."""
    whole = find_ngram_overlap(_texts(stream, tokenizer), ngrams)
    ends = np.cumsum([len(part.tokens) for part in sets])
    return [whole.part(end - len(part.tokens), end) for part, end in zip(sets, ends.tolist(), strict=True)]


def decontamination_ngrams(location: CorpusLocation, words: int) -> NgramSet:
    """N-grams of a protocol's decontamination set."""
    return NgramSet.of((document.text for document in read_documents(location)), words)


def _texts(stream: TokenArray, tokenizer: Tokenizer) -> Iterator[str]:
    """Documents of a stream, cut where it cuts them."""
    pieces = [piece[1:].tolist() for piece in np.split(stream, np.flatnonzero(stream == tokenizer.end_of_text))]
    for begin in range(0, len(pieces), PIECES_AT_ONCE):
        yield from tokenizer.decode_batch(pieces[begin : begin + PIECES_AT_ONCE])
