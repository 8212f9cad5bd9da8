"""Hashes of n-grams against their definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data import shingles
from proxy.data.documents import normalise
from proxy.data.hashing import mix
from proxy.data.shingles import cut, hashed_pieces, ngram_hashes
from tests.proxy.data.material import few

words_of_text = st.lists(st.text("abé字 \n", min_size=1, max_size=4), max_size=25).map(" ".join)
any_text = st.text(max_size=60)


def definition(ngram: list[str]) -> int:
    """The polynomial, one byte at a time, in Python's integers."""
    content = (" ".join(ngram) + " ").encode(errors="surrogatepass")
    values = [int(value) for value in shingles.BYTE_VALUES]
    total = sum(values[byte] * pow(shingles.BASE, place, 1 << 64) for place, byte in enumerate(content))
    return int(mix(np.array([total % (1 << 64)], dtype=np.uint64), shingles.NGRAM)[0])


def expected(text: str, n: int) -> list[int]:
    tokens = normalise(text).split(" ") if normalise(text) else []
    if not tokens:
        return []
    return [definition(tokens[i : i + n]) for i in range(max(1, len(tokens) - n + 1))]


def hashes(text: str, n: int) -> list[int]:
    return [int(value) for array in ngram_hashes(text, n, normalise) for value in array]


@few
@given(words_of_text, st.integers(1, 6))
def test_hashes_are_those_of_the_definition(text: str, n: int) -> None:
    assert hashes(text, n) == expected(text, n)


@few
@given(words_of_text, st.integers(1, 6), st.integers(1, 12), st.integers(2, 9))
def test_where_a_text_is_cut_and_how_large_blocks_are_change_nothing(text: str, n: int, size: int, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "BLOCK_BYTES", block)
        patch.setattr(shingles, "PIECE_CHARACTERS", size)
        shingles._powers.cache_clear()
        pieces = list(hashed_pieces(text, n, normalise))
        found = [int(value) for piece in pieces for value in piece.ngrams(n)]
    shingles._powers.cache_clear()
    assert found == (expected(text, n) if len(normalise(text).split()) >= n else [])


@few
@given(any_text, st.integers(1, 9))
def test_pieces_are_the_text_and_never_split_a_word(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "PIECE_CHARACTERS", size)
        pieces = list(cut(text))
    assert "".join(pieces) == text
    assert [word for piece in pieces for word in piece.split()] == text.split()


@few
@given(any_text)
def test_any_text_has_hashes_even_one_with_broken_surrogates(text: str) -> None:
    assert hashes(text + " \ud800", 3) == expected(text + " \ud800", 3)


def test_ngrams_that_differ_hardly_ever_share_a_hash() -> None:
    text = " ".join(f"{number:x}" for number in range(200_000))
    assert len(set(hashes(text, 2))) == 199_999


def test_the_hashes_are_the_same_on_every_machine() -> None:
    assert hashes("The quick brown fox", 3) == [11137468232107114487, 10936342917045895789]
