"""How much can be learnt by counting: unigram and bigram cross-entropies, the scale on which a proxy's progress is
read (statistics.md, section 6). φ = (H_uni − L) / (H_uni − H_bi): below 0 the proxy knows less than word frequencies.

Both are estimated on the run's own training stream and measured on a validation set, in nats a token. The bigram
model is interpolated by Witten and Bell (IEEE Trans. Inf. Theory 37(4), 1991) with the unigram model, which is
smoothed by adding one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from proxy.data.documents import Int64Array
from proxy.data.followers import Followers, PairCounts, groups_of_contexts
from proxy.data.tokenizers import TokenArray
from proxy.data.validation import ValidationTokens

Float64Array = npt.NDArray[np.float64]
Blocks = Callable[[], Iterable[TokenArray]]

MOST_BYTES = 1 << 28  # 2 GiB of pairs: those of all contexts up to a vocabulary of 46,000


@dataclass(frozen=True, kw_only=True)
class NgramBounds:
    """Cross-entropies in nats a token."""

    unigram_nats: float
    bigram_nats: float


def progress_bounds(stream: TokenArray, validation: ValidationTokens, vocabulary: int) -> NgramBounds:
    """As `bounds_in_blocks`, of a stream that lies in memory, with the end of text that closes it."""
    return bounds_in_blocks(lambda: [stream[:-1]], validation, vocabulary, int(stream[0]))


def bounds_in_blocks(
    read: Blocks, validation: ValidationTokens, vocabulary: int, end_of_text: int, most_bytes: int = MOST_BYTES
) -> NgramBounds:
    """`read` gives the stream's tokens in blocks of any length, again at each call: the memory that is needed does not
    grow with the stream. The end of text before each held-out document is its first token's context.

    There is one pass more over the stream for each `most_bytes` that one bit a pair of tokens takes, for pairs that
    begin with a token of the held-out set.
    """
    context, token = _held_out_pairs(validation, end_of_text)
    wanted = np.unique(context * vocabulary + token)
    count_V = np.zeros(vocabulary, dtype=np.int64)
    found: list[PairCounts] = []
    for some in groups_of_contexts(np.unique(context), vocabulary, most_bytes):
        followers = Followers(some, wanted, vocabulary)
        for block, with_last in _overlapping(read()):
            followers.add(with_last)
            if not found:
                count_V += np.bincount(block, minlength=vocabulary)
        found.append(followers.counts())
    unigram_V: Float64Array = count_V.astype(np.float64) + 1.0
    unigram_V /= unigram_V.sum()
    bigram = _witten_bell(reduce(PairCounts.joined, found), context, token, unigram_V)
    return NgramBounds(unigram_nats=float(-np.log(unigram_V[token]).mean()), bigram_nats=float(-np.log(bigram).mean()))


def _overlapping(blocks: Iterable[TokenArray]) -> Iterator[tuple[TokenArray, TokenArray]]:
    """Each block alone, and after the last token of the one before, so that no pair is lost or counted twice."""
    last: TokenArray | None = None
    for block in blocks:
        if len(block):
            yield block, block if last is None else np.concatenate([last, block])
            last = block[-1:]


def _held_out_pairs(validation: ValidationTokens, end_of_text: int) -> tuple[Int64Array, Int64Array]:
    """Context and token of every scored position; a continuation's first context is the last token of its prompt."""
    token = np.concatenate([tokens.astype(np.int64) for tokens in validation.tokens])
    context = np.concatenate([[end_of_text], token[:-1]])
    firsts = np.cumsum([0, *(len(tokens) for tokens in validation.tokens[:-1])])
    context[firsts] = validation.tokens_before(end_of_text)
    return context, token


def _witten_bell(pairs: PairCounts, context: Int64Array, token: Int64Array, unigram_V: Float64Array) -> Float64Array:
    """P(token | context) = (n(c, t) + T(c) P(t)) / (n(c) + T(c)), T: distinct followers of c; P(t) for unseen c."""
    follower_total, distinct = pairs.total_V[context], pairs.distinct_V[context]
    seen = pairs.seen[np.searchsorted(pairs.wanted, context * len(unigram_V) + token)]
    total = follower_total + distinct
    mixed = (seen + distinct * unigram_V[token]) / np.maximum(total, 1)
    probability: Float64Array = np.where(total > 0, mixed, unigram_V[token])
    return probability
