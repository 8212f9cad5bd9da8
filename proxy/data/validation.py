"""Held-out sets as the scorer wants them: documents, their clusters, and windows in which each token counts once.

A document begins after an end of text, which is not scored; its own end of text is not scored either. One longer
than the context is scored in windows that overlap by half, so that every token but those of the first window has at
least half a window of context.
"""

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.data.documents import Int64Array, UInt64Array
from proxy.data.tokenizers import TokenArray
from proxy.data.tokens import TokenStore
from proxy.errors import InvalidInputError
from proxy.suites import ValidationSet

NOT_SCORED = -1


@dataclass(frozen=True, kw_only=True)
class ValidationTokens:
    """One set: a token array a document; bytes of text, cluster number and key of each, [D]."""

    name: str
    tokens: tuple[TokenArray, ...]
    text_bytes: Int64Array
    clusters: Int64Array
    keys: UInt64Array


@dataclass(frozen=True, kw_only=True)
class ScoringWindows:
    """inputs_WT and targets_WT (NOT_SCORED where no loss is due), and the document of each window, [W]."""

    inputs_WT: Int64Array
    targets_WT: Int64Array
    document_W: Int64Array


def load_validation(part: ValidationSet, store: TokenStore) -> ValidationTokens:
    """The set out of its tokenised corpus, documents without a token left out."""
    table, counts = store.documents, store.token_counts
    rows = np.flatnonzero(counts > 0)
    return ValidationTokens(
        name=part.name,
        tokens=tuple(store.tokens[store.offsets[row] : store.offsets[row + 1]] for row in rows),
        text_bytes=table.text_bytes[rows],
        clusters=_clusters(part, store, rows),
        keys=table.key[rows],
    )


def _clusters(part: ValidationSet, store: TokenStore, rows: npt.NDArray[np.intp]) -> Int64Array:
    """One number a cluster value; a document a cluster where the set names no field."""
    if part.cluster_field is None:
        return np.arange(len(rows), dtype=np.int64)
    values = store.documents.fields.get(part.cluster_field)
    if values is None:
        known = ", ".join(sorted(store.documents.fields)) or "none"
        raise InvalidInputError.at(
            f"/sets/{part.name}/cluster_field",
            part.cluster_field,
            f"corpus {part.corpus} was registered without this field; it has {known}",
        )
    words = [json.dumps(values[row], sort_keys=True, default=str) for row in rows]
    _, numbers = np.unique(np.array(words), return_inverse=True)
    return numbers.astype(np.int64)


def pack(validation: ValidationTokens, context_tokens: int, end_of_text: int) -> ScoringWindows:
    """Rows of `context_tokens`; each holds one document's window, padded with the end of text."""
    inputs, targets, documents = [], [], []
    for index, tokens in enumerate(validation.tokens):
        for start, scored_from in _windows(len(tokens), context_tokens):
            row_in = np.full(context_tokens, end_of_text, dtype=np.int64)
            row_out = np.full(context_tokens, NOT_SCORED, dtype=np.int64)
            end = min(start + context_tokens, len(tokens))
            if start == 0:
                row_in[1 : end - start] = tokens[: end - 1]
            else:
                row_in[: end - start] = tokens[start - 1 : end - 1]
            row_out[scored_from - start : end - start] = tokens[scored_from:end]
            inputs.append(row_in)
            targets.append(row_out)
            documents.append(index)
    shape = (-1, context_tokens)
    return ScoringWindows(
        inputs_WT=np.array(inputs, dtype=np.int64).reshape(shape),
        targets_WT=np.array(targets, dtype=np.int64).reshape(shape),
        document_W=np.array(documents, dtype=np.int64),
    )


def _windows(length: int, context_tokens: int) -> list[tuple[int, int]]:
    """(first target, first scored target) of each window of a document."""
    windows = [(0, 0)]
    scored = context_tokens
    stride = context_tokens // 2
    while scored < length:
        windows.append((scored - stride, scored))
        scored += context_tokens - stride
    return windows
