"""Held-out sets as the scorer wants them: documents, their clusters, and windows in which each token counts once.

A document begins after an end of text, which is not scored; its own end of text is not scored either. One longer
than the context is scored in windows that overlap by half, so that every token but those of the first window has at
least half a window of context.

A continuation stands after its prompt, which is not scored. What does not fit is cut from the prompt's beginning, down
to half a window; what is still longer is scored in windows that overlap by half.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.data.documents import Int64Array
from proxy.data.fields import MISSING
from proxy.data.hashing import UInt64Array
from proxy.data.prompts import overlap_text, require_prompts, tokenise_prompts
from proxy.data.tokenizers import TokenArray, Tokenizer
from proxy.data.tokens import TokenStore
from proxy.errors import InvalidInputError
from proxy.suites import ValidationSet

NOT_SCORED = -1


@dataclass(frozen=True, kw_only=True)
class ValidationTokens:
    """One set: a token array a document; bytes of text, cluster number and key of each, [D].

    `prompts`: of a set of continuations, the tokens before each document's own.
    """

    name: str
    tokens: tuple[TokenArray, ...]
    text_bytes: Int64Array
    clusters: Int64Array
    keys: UInt64Array
    prompts: tuple[TokenArray, ...] | None = None

    def with_prompt(self, index: int) -> TokenArray:
        """The tokens of a document, after those of its prompt if it has one."""
        return self.tokens[index] if self.prompts is None else np.concatenate([self.prompts[index], self.tokens[index]])

    def tokens_before(self, end_of_text: int) -> list[int]:
        """The token that stands before each document's first: its prompt's last, or an end of text."""
        if self.prompts is None:
            return [end_of_text] * len(self.tokens)
        return [int(prompt[-1]) if len(prompt) else end_of_text for prompt in self.prompts]

    def overlap_texts(self, tokenizer: Tokenizer) -> list[str]:
        """The texts whose n-grams another text must hold to give the documents away."""
        texts = tokenizer.decode_batch([row.tolist() for row in self.tokens])
        if self.prompts is None:
            return texts
        whole = tokenizer.decode_batch([self.with_prompt(index).tolist() for index in range(len(texts))])
        return [overlap_text(both, text) for both, text in zip(whole, texts, strict=True)]

    def prompt_lengths(self) -> list[int]:
        """Tokens of each document's prompt."""
        return [0] * len(self.tokens) if self.prompts is None else [len(prompt) for prompt in self.prompts]


@dataclass(frozen=True, kw_only=True)
class ScoringWindows:
    """inputs_WT and targets_WT (NOT_SCORED where no loss is due), and the document of each window, [W]."""

    inputs_WT: Int64Array
    targets_WT: Int64Array
    document_W: Int64Array


def load_validation(
    part: ValidationSet, store: TokenStore, index: int | None = None, tokenizer: Tokenizer | None = None
) -> ValidationTokens:
    """The set out of its tokenised corpus, documents without a token left out.

    `tokenizer`, the store's own, is needed where the set has prompts. `index` is the set's place in its suite, for the
    pointer of an InvalidInputError (`/sets/0/cluster_field`).
    """
    table, counts = store.documents, store.token_counts
    rows = np.flatnonzero(counts > 0)
    place = "" if index is None else f"/sets/{index}"
    if len(rows) == 0:
        raise InvalidInputError.at(f"{place}/corpus", part.corpus, f"holds no text to score set {part.name} on")
    if not table.text_bytes[rows].all():
        message = f"was imported as tokens without their bytes of text: set {part.name} has no bits per byte"
        raise InvalidInputError.at(f"{place}/corpus", part.corpus, message)
    prompts = None
    if part.prompt_field is not None:
        assert tokenizer is not None
        prompts = tokenise_prompts(require_prompts(part, table, place), rows, tokenizer)
    return ValidationTokens(
        name=part.name,
        tokens=tuple(store.row(row) for row in rows.tolist()),
        text_bytes=table.text_bytes[rows],
        clusters=_clusters(part, store, rows, place),
        keys=table.key[rows],
        prompts=prompts,
    )


def _clusters(part: ValidationSet, store: TokenStore, rows: npt.NDArray[np.intp], place: str) -> Int64Array:
    """One number a cluster value; a document is its own cluster where no field is named, or it has no value."""
    if part.cluster_field is None:
        return np.arange(len(rows), dtype=np.int64)
    values = store.documents.fields.get(part.cluster_field)
    if values is None:
        known = ", ".join(sorted(store.documents.fields)) or "none"
        raise InvalidInputError.at(
            f"{place}/cluster_field",
            part.cluster_field,
            f"corpus {part.corpus} was registered without this field; it has {known}",
        )
    code_K = values.categories()[rows]
    alone = np.flatnonzero(code_K == MISSING)
    code_K[alone] = code_K.max(initial=0) + 1 + np.arange(len(alone))
    return np.unique(code_K, return_inverse=True)[1].astype(np.int64)


def pack(validation: ValidationTokens, context_tokens: int, end_of_text: int) -> ScoringWindows:
    """Rows of `context_tokens`; each holds one document's window, padded with the end of text."""
    plan = [
        (index, start, scored_from)
        for index, (tokens, prompt) in enumerate(zip(validation.tokens, validation.prompt_lengths(), strict=True))
        for start, scored_from in _windows(len(tokens), context_tokens, prompt)
    ]
    inputs_WT = np.full((len(plan), context_tokens), end_of_text, dtype=np.int64)
    targets_WT = np.full((len(plan), context_tokens), NOT_SCORED, dtype=np.int64)
    for row, (index, start, scored_from) in enumerate(plan):
        tokens = validation.with_prompt(index)
        end = min(start + context_tokens, len(tokens))
        before = max(start - 1, 0)  # the first window begins with the end of text that stands there already
        inputs_WT[row, before + 1 - start : end - start] = tokens[before : end - 1]
        targets_WT[row, scored_from - start : end - start] = tokens[scored_from:end]
    documents = np.array([index for index, _, _ in plan], dtype=np.int64)
    return ScoringWindows(inputs_WT=inputs_WT, targets_WT=targets_WT, document_W=documents)


def _windows(length: int, context_tokens: int, prompt: int = 0) -> list[tuple[int, int]]:
    """(first target, first scored target) of each window of a document, counted from its prompt's first token."""
    stride = context_tokens // 2
    start = prompt - min(prompt, max(context_tokens - length, stride))
    windows = [(start, prompt)]
    scored = start + context_tokens
    while scored < prompt + length:
        windows.append((scored - stride, scored))
        scored += context_tokens - stride
    return windows
