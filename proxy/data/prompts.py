"""Prompts: what the documents of a set of continuations continue, out of a field of the corpus.

A document's text is the continuation, and the text in the set's `prompt_field` its prompt. Both are tokenised by
themselves: no token lies across the boundary, so that the scored tokens spell out the continuation and nothing else.
White space between the two belongs to the continuation (docs/suites.md).
"""

import numpy as np
import numpy.typing as npt

from proxy.data.documents import DocumentTable
from proxy.data.fields import FieldColumn
from proxy.data.ngram_sets import WORDS, only_words
from proxy.data.tokenizers import TokenArray, Tokenizer
from proxy.errors import InvalidInputError
from proxy.suites import ValidationSet

SHOWN_CHARACTERS = 80


def require_prompts(part: ValidationSet, table: DocumentTable, place: str = "") -> FieldColumn:
    """The set's column of prompts. InvalidInputError below `place` unless each document has a prompt and a continuation
    that are text and not empty: one that is left out would change what is measured."""
    assert part.prompt_field is not None
    column = table.fields.get(part.prompt_field)
    if column is None:
        known = ", ".join(sorted(table.fields)) or "none"
        message = f"corpus {part.corpus} was registered without this field; it has {known}"
        raise InvalidInputError.at(f"{place}/prompt_field", part.prompt_field, message)
    lacking = np.flatnonzero(~column.glob("?*"))
    if len(lacking):
        example = repr(column[int(lacking[0])])[:SHOWN_CHARACTERS]
        message = f"{len(lacking)} of {len(table)} documents have no text in this field to continue, such as {example}"
        raise InvalidInputError.at(f"{place}/prompt_field", part.prompt_field, message)
    empty = int((table.text_bytes == 0).sum())
    if empty:
        message = f"{empty} of {len(table)} documents have an empty text, so no continuation to score"
        raise InvalidInputError.at(f"{place}/corpus", part.corpus, message)
    return column


def tokenise_prompts(column: FieldColumn, rows: npt.NDArray[np.intp], tokenizer: Tokenizer) -> tuple[TokenArray, ...]:
    """Tokens of each row's prompt; documents with the same prompt share them."""
    _, first_K, which_D = np.unique(column.categories()[rows], return_index=True, return_inverse=True)
    encoded = tokenizer.encode_batch(column.values(rows[first_K].tolist()))
    return tuple(encoded[which] for which in which_D.tolist())


def overlap_text(prompt_and_continuation: str, continuation: str, words: int = WORDS) -> str:
    """What must stand in another text to give the continuation away: it and the `words` − 1 words before it, so that
    every n-gram ends in the continuation. A text that holds the prompt alone gives nothing away."""
    of_continuation = len(only_words(continuation).split())
    if not of_continuation:
        return ""
    return " ".join(only_words(prompt_and_continuation).split()[-(words - 1 + of_continuation) :])
