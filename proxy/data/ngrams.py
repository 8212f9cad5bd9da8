"""How much can be learnt by counting: unigram and bigram cross-entropies, the scale on which a proxy's progress is
read (statistics.md, section 6). φ = (H_uni − L) / (H_uni − H_bi): below 0 the proxy knows less than word frequencies.

Both are estimated on the run's own training stream and measured on a validation set, in nats a token. The bigram
model is interpolated by Witten and Bell (IEEE Trans. Inf. Theory 37(4), 1991) with the unigram model, which is
smoothed by adding one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.data.documents import Int64Array
from proxy.data.tokenizers import TokenArray
from proxy.data.validation import ValidationTokens

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NgramBounds:
    """Cross-entropies in nats a token."""

    unigram_nats: float
    bigram_nats: float


def progress_bounds(stream: TokenArray, validation: ValidationTokens, vocabulary: int) -> NgramBounds:
    """The end of text before each document is its first token's context; it is the stream's own first token."""
    trained = stream.astype(np.int64)
    end_of_text = int(trained[0])
    context, token = _held_out_pairs(validation, end_of_text)
    unigram_V: Float64Array = np.bincount(trained[:-1], minlength=vocabulary).astype(np.float64) + 1.0
    unigram_V /= unigram_V.sum()
    bigram = _witten_bell(trained, context, token, unigram_V)
    return NgramBounds(unigram_nats=float(-np.log(unigram_V[token]).mean()), bigram_nats=float(-np.log(bigram).mean()))


def _held_out_pairs(validation: ValidationTokens, end_of_text: int) -> tuple[Int64Array, Int64Array]:
    """Context and token of every scored position; a continuation's first context is the last token of its prompt."""
    token = np.concatenate([tokens.astype(np.int64) for tokens in validation.tokens])
    context = np.concatenate([[end_of_text], token[:-1]])
    firsts = np.cumsum([0, *(len(tokens) for tokens in validation.tokens[:-1])])
    context[firsts] = validation.tokens_before(end_of_text)
    return context, token


def _witten_bell(
    trained: Int64Array,
    context: Int64Array,
    token: Int64Array,
    unigram_V: Float64Array,
) -> Float64Array:
    """P(token | context) = (n(c, t) + T(c) P(t)) / (n(c) + T(c)), T: distinct followers of c; P(t) for unseen c."""
    size = len(unigram_V)
    pairs, counts = np.unique(trained[:-2] * size + trained[1:-1], return_counts=True)
    follower_total_V = np.bincount(pairs // size, weights=counts, minlength=size)
    distinct_V = np.bincount(pairs // size, minlength=size).astype(np.float64)
    wanted = context * size + token
    found = np.searchsorted(pairs, wanted)  # one past the end for a pair above all that were seen
    seen = np.where(np.append(pairs, -1)[found] == wanted, np.append(counts, 0)[found], 0)
    total = follower_total_V[context] + distinct_V[context]
    mixed = (seen + distinct_V[context] * unigram_V[token]) / np.maximum(total, 1)
    probability: Float64Array = np.where(total > 0, mixed, unigram_V[token])
    return probability
