"""A control for what was learned of word order: a stream whose documents keep their tokens in random order.

Documents, their lengths and their order stay, so does every count of tokens; each end of text stays at its document's
beginning. Positions are hashed, so a stream can be read from any token on and is the same whenever it is read.

Axes: N tokens of what is read.
"""

from collections.abc import Callable

import numpy as np

from proxy.data.documents import Int64Array
from proxy.data.hashing import mix
from proxy.data.plans import SamplingPlan
from proxy.data.tokenizers import TokenArray

TOKEN = 0x544F4B45  # the purpose of these hashes


def shuffled_documents(plan: SamplingPlan, seed: int) -> Callable[[int, int], TokenArray]:
    """`plan.read` of the shuffled stream. Reads whole documents, whatever part of them is asked for."""

    def read(start: int, count: int) -> TokenArray:
        stop = min(start + count, plan.tokens)
        if stop <= start:
            return plan.read(start, count)
        first, last = (int(np.searchsorted(plan.ends, place, side="right")) for place in (start, stop - 1))
        begin = int(plan.ends[first - 1]) if first else 0
        end = int(plan.ends[last])
        length_P = plan.length_P[first : last + 1]
        shuffled = _shuffle(plan.read(begin, end - begin), length_P, begin, seed)[start - begin : stop - begin]
        return shuffled if start + count <= plan.tokens else np.concatenate([shuffled, plan.read(plan.tokens, 1)])

    return read


def _shuffle(tokens_N: TokenArray, length_P: Int64Array, begin: int, seed: int) -> TokenArray:
    """Each piece's tokens by their positions' hashes; its first one, the end of text, is the smallest of all."""
    hash_N = mix(np.arange(begin, begin + len(tokens_N), dtype=np.uint64), TOKEN, seed)
    hash_N[np.cumsum(length_P) - length_P] = 0
    piece_N = np.repeat(np.arange(len(length_P)), length_P)
    return tokens_N[np.lexsort((hash_N, piece_N))]
