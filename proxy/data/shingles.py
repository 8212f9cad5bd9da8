"""Hashes of all word n-grams of a text, in time linear in the text and memory independent of its length.

A text is a sequence of words with single spaces between them, in UTF-8. An n-gram's hash is a polynomial in its
bytes modulo 2^64 (Karp & Rabin, IBM J. Res. Dev. 31(2), 1987), over random 64-bit values of the bytes and with an odd
base, so that the hash of any stretch is the difference of two prefix sums times a power of the base's inverse: no
Python object is made for an n-gram. A final mixing spreads it over all bits. It depends on the text alone, not on the
process, the platform or where the text was cut into pieces. It is not a cryptographic hash.

Array axes: B bytes, G n-grams, P positions.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from proxy.data.hashing import UInt64Array, mix

Int64Array = npt.NDArray[np.int64]
Normalise = Callable[[str], str]

WHITE_SPACE = re.compile(r"\s")
PIECE_CHARACTERS = 1 << 17  # what is normalised at once; numpy works best while a piece stays in the cache
BLOCK_BYTES = 1 << 16
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
INVERSE = pow(BASE, -1, 1 << 64)
BYTE_VALUES = mix(np.arange(256, dtype=np.uint64), 0x42595445)
NGRAM = 0x4E4752414D
MASK = (1 << 64) - 1


def cut(text: str, boundary: re.Pattern[str] = WHITE_SPACE) -> Iterator[str]:
    """Pieces of about `PIECE_CHARACTERS`, cut before a boundary: a word is never cut, however long it is."""
    start = 0
    while start < len(text):
        found = boundary.search(text, start + PIECE_CHARACTERS)
        end = found.start() if found else len(text)
        yield text[start:end]
        start = end


def hashed_pieces(
    text: str, longest: int, normalise: Normalise, boundary: re.Pattern[str] = WHITE_SPACE
) -> Iterator["PieceOfWords"]:
    """The text's words in order, piece by piece; each piece repeats the `longest` - 1 words before it, at which no
    n-gram has begun yet. A text without words has no piece.
    """
    piece: PieceOfWords | None = None
    for part in cut(text, boundary):
        content = normalise(part).encode(errors="surrogatepass")
        if not content:
            continue
        if piece:
            yield piece
            content = piece.last(longest - 1) + content
        piece = PieceOfWords(content, longest)
    if piece:
        piece.is_last = True
        yield piece


class PieceOfWords:
    """Words of a text with single spaces between them; `is_last` if the text ends here."""

    is_last = False

    def __init__(self, content: bytes, longest: int) -> None:
        self._content, self._longest = content + b" ", longest
        content_B = np.frombuffer(self._content, dtype=np.uint8)
        self._bounds = np.concatenate([[0], np.flatnonzero(content_B == ord(" ")) + 1])
        self._sums = _prefix_sums(content_B, self._bounds)
        self._scales = _inverse_powers(self._bounds)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def ngrams(self, words: int) -> UInt64Array:
        """Hashes of the n-grams of `words` words, at most `longest`, by the word they begin at; uint64[G]. At the
        last `longest` - 1 words n-grams begin only if the text ends here.
        """
        count = max(0, len(self) - (words if self.is_last else self._longest) + 1)
        stretch = self._sums[words : words + count] - self._sums[:count]
        return mix(stretch * self._scales[:count], NGRAM)

    def last(self, words: int) -> bytes:
        """The last `words` words, or all if there are fewer, each with a space behind it."""
        return self._content[self._bounds[max(0, len(self) - words)] :]


def ngram_hashes(text: str, words: int, normalise: Normalise) -> Iterator[UInt64Array]:
    """All n-grams of `words` words, in order, in arrays of bounded length; a shorter text is one n-gram as a whole,
    and a text without words has none.
    """
    found = False
    for piece in hashed_pieces(text, words, normalise):
        hashes = piece.ngrams(words)
        if piece.is_last and not found and not len(hashes):
            hashes = piece.ngrams(len(piece))
        found = found or len(hashes) > 0
        yield hashes


@lru_cache(maxsize=2)
def _powers(base: int) -> UInt64Array:
    """base^0 … base^(BLOCK_BYTES - 1) modulo 2^64."""
    powers = np.full(BLOCK_BYTES, base, dtype=np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


def _prefix_sums(content_B: npt.NDArray[np.uint8], position_P: Int64Array) -> UInt64Array:
    """The polynomial of the bytes before each position, ascending; block by block."""
    sums = np.zeros(len(position_P), dtype=np.uint64)
    before, scale = 0, 1
    for begin in range(0, len(content_B), BLOCK_BYTES):
        terms = BYTE_VALUES[content_B[begin : begin + BLOCK_BYTES]]
        terms *= _powers(BASE)[: len(terms)]
        if begin:
            terms *= np.uint64(scale)
        np.cumsum(terms, out=terms)
        terms += np.uint64(before)
        here = slice(*np.searchsorted(position_P, [begin + 1, begin + 1 + len(terms)]))
        sums[here] = terms[position_P[here] - begin - 1]
        before, scale = int(terms[-1]), scale * pow(BASE, BLOCK_BYTES, 1 << 64) & MASK
    return sums


def _inverse_powers(position_P: Int64Array) -> UInt64Array:
    """BASE^-position modulo 2^64."""
    blocks, rest = np.divmod(position_P, BLOCK_BYTES)
    step = pow(INVERSE, BLOCK_BYTES, 1 << 64)
    of_block = np.array([pow(step, block, 1 << 64) for block in range(int(blocks[-1]) + 1)], dtype=np.uint64)
    return _powers(INVERSE)[rest] * of_block[blocks]
