"""MinHash signatures of texts: what near-duplicate removal compares instead of the texts.

The similarity of two texts is the Jaccard similarity of their sets of word n-grams ("shingles") after the
normalisation of exact dedup. A signature holds, for each of H = bands × rows hash functions, the smallest hash of the
text's shingles; two signatures agree in a place with a probability of the similarity (Broder, SEQUENCES 1997), so the
share of equal places estimates it with a standard deviation of √(J (1 − J) / H): 0.038 at J = 0.8 and H = 112.

The hash functions are multiply-add-shift, strongly universal from 32 to 32 bits (Dietzfelbinger, STACS 1996), over
shingle hashes that are already mixed. The defaults are FineWeb's (Penedo et al., NeurIPS 2024): 5-grams, 14 bands of
8 rows. A shorter text is one shingle as a whole. All texts without words share one signature, as they share one
normalised text, and are so duplicates of each other and of nothing else. Words are what white space separates: in
scripts without spaces, shingles are long and only near-identical texts are found.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.data.documents import normalise
from proxy.data.hashing import UInt64Array, mix
from proxy.data.shingles import ngram_hashes
from proxy.errors import FieldProblem, InvalidInputError

UInt32Array = npt.NDArray[np.uint32]

MOST_HASHES = 512
SHINGLES_AT_ONCE = 512  # times 112 functions and 8 bytes: what fits a core's cache, three times as fast as 1024
FACTOR, SUMMAND = 0x46414354, 0x53554D4D


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """How near-duplicates are found: shingles of `shingle_words` words, `bands` of `rows` hashes each, and the
    estimated similarity from which a pair counts, in (0, 1].
    """

    shingle_words: int = 5
    bands: int = 14
    rows: int = 8
    similarity: float = 0.8

    def __post_init__(self) -> None:
        problems = [
            FieldProblem(pointer=f"/{name}", value=value, message="must be a whole number of at least 1")
            for name, value in [("shingle_words", self.shingle_words), ("bands", self.bands), ("rows", self.rows)]
            if isinstance(value, bool) or not isinstance(value, int) or value < 1
        ]
        if not problems and self.hashes > MOST_HASHES:
            message = f"bands times rows must be at most {MOST_HASHES}"
            problems.append(FieldProblem(pointer="/bands", value=self.bands, message=message))
        if not isinstance(self.similarity, (int, float)) or not 0 < self.similarity <= 1:
            message = "must be above 0 and at most 1"
            problems.append(FieldProblem(pointer="/similarity", value=self.similarity, message=message))
        if problems:
            raise InvalidInputError(problems)

    @property
    def hashes(self) -> int:
        """H, the length of a signature."""
        return self.bands * self.rows

    @property
    def column_name(self) -> str:
        """Names signatures that are the same numbers: neither the banding nor the similarity changes them."""
        return f"minhash-v1-{self.shingle_words}-{self.hashes}"

    def candidate_probability(self, similarity: float) -> float:
        """How likely a pair of this true similarity shares a band: 1 − (1 − J^rows)^bands."""
        return float(1 - (1 - similarity**self.rows) ** self.bands)


def signature(text: str, settings: NearDuplicates) -> UInt32Array:
    """The text's MinHash signature, uint32[H]; the same on every machine. Memory does not grow with the text."""
    factor_H1, summand_H1 = _functions(settings.hashes)
    smallest_H = np.full(settings.hashes, 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)
    for hashes in ngram_hashes(text, settings.shingle_words, normalise):
        for begin in range(0, len(hashes), SHINGLES_AT_ONCE):
            shingles = hashes[begin : begin + SHINGLES_AT_ONCE] >> np.uint64(32)
            values_HG = factor_H1 * shingles
            values_HG += summand_H1
            np.minimum(smallest_H, values_HG.min(axis=1), out=smallest_H)
    # The shift keeps order, so it may follow the minimum.
    return (smallest_H >> np.uint64(32)).astype(np.uint32)


def _functions(hashes: int) -> tuple[UInt64Array, UInt64Array]:
    numbers = np.arange(hashes, dtype=np.uint64)[:, None]
    return mix(numbers, FACTOR), mix(numbers, SUMMAND)
