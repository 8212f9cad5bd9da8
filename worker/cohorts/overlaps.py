"""What a run's training stream shares with held-out texts: leaks into its suites, and decontamination before it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from proxy.data.corpora import CorpusLocation, Document, read_documents
from proxy.data.leaks import NgramOverlap, find_ngram_overlap
from proxy.data.ngram_sets import NgramSet
from proxy.data.prompts import overlap_text
from proxy.data.tokenizers import TokenArray, Tokenizer
from proxy.data.validation import ValidationTokens
from proxy.errors import InvalidInputError
from proxy.protocols import Decontamination

PIECES_AT_ONCE = 1000


def held_out_ngrams(sets: Sequence[ValidationTokens], tokenizer: Tokenizer) -> NgramSet:
    """N-grams of the documents of several sets, numbered one set after the other."""
    return NgramSet.of(text for part in sets for text in part.overlap_texts(tokenizer))


def find_leaks(
    blocks: Iterable[TokenArray], sets: Sequence[ValidationTokens], ngrams: NgramSet, tokenizer: Tokenizer
) -> list[NgramOverlap]:
    """Of each set, which documents a stream, read in blocks, holds in large part."""
    whole = find_ngram_overlap(_texts(blocks, tokenizer), ngrams)
    ends = np.cumsum([len(part.tokens) for part in sets])
    return [whole.part(end - len(part.tokens), end) for part, end in zip(sets, ends.tolist(), strict=True)]


def decontamination_ngrams(location: CorpusLocation, settings: Decontamination) -> NgramSet:
    """N-grams of a protocol's decontamination set. InvalidInputError for a continuation without its prompt."""
    return NgramSet.of((_decontamination_text(one, settings) for one in read_documents(location)), settings.words)


def _decontamination_text(document: Document, settings: Decontamination) -> str:
    if settings.prompt_field is None:
        return document.text
    prompt = document.fields.get(settings.prompt_field)
    if not isinstance(prompt, str):
        message = f"{document.place} holds {prompt!r:.80} there, not text to continue"
        raise InvalidInputError.at("/decontamination/prompt_field", settings.prompt_field, message)
    return overlap_text(prompt + document.text, document.text, settings.words)


def _texts(blocks: Iterable[TokenArray], tokenizer: Tokenizer) -> Iterator[str]:
    """Documents of a stream, cut where it cuts them."""
    pieces = _pieces(blocks, tokenizer.end_of_text)
    while some := [piece.tolist() for piece in islice(pieces, PIECES_AT_ONCE)]:
        yield from tokenizer.decode_batch(some)


def _pieces(blocks: Iterable[TokenArray], end_of_text: int) -> Iterator[TokenArray]:
    """What stands between two ends of text, however many blocks it lies in; nothing is cut where a block ends."""
    begun: list[TokenArray] = []
    for block in blocks:
        start = 0
        for end in np.flatnonzero(block == end_of_text).tolist():
            yield np.concatenate([*begun, block[start:end]])
            begun, start = [], end + 1
        begun.append(block[start:])
    if begun:
        yield np.concatenate([*begun[:-1], begun[-1]])
