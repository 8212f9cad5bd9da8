"""What a run's training stream shares with held-out texts: leaks into its suites, and decontamination before it."""

from collections.abc import Iterator, Sequence

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
    stream: TokenArray, sets: Sequence[ValidationTokens], ngrams: NgramSet, tokenizer: Tokenizer
) -> list[NgramOverlap]:
    """Of each set, which documents the stream holds in large part."""
    whole = find_ngram_overlap(_texts(stream, tokenizer), ngrams)
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


def _texts(stream: TokenArray, tokenizer: Tokenizer) -> Iterator[str]:
    """Documents of a stream, cut where it cuts them."""
    pieces = [piece[1:].tolist() for piece in np.split(stream, np.flatnonzero(stream == tokenizer.end_of_text))]
    for begin in range(0, len(pieces), PIECES_AT_ONCE):
        yield from tokenizer.decode_batch(pieces[begin : begin + PIECES_AT_ONCE])
