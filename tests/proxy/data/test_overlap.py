"""Overlap by word n-grams, against counting by hand."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data import shingles
from proxy.data.leaks import find_ngram_overlap
from proxy.data.ngram_sets import SEPARATOR, NgramSet, only_words
from proxy.data.overlap import count_hits, document_shares, greatest_share, matched_documents, seen_ngrams
from proxy.data.shingles import cut
from proxy.errors import InvalidInputError
from tests.proxy.data.material import few

HEADER = "Permission is hereby granted free of charge to any person obtaining a copy of this software"
few_words = st.lists(st.sampled_from("abc"), max_size=14).map(" ".join)


def numbered(first: int, count: int) -> str:
    return " ".join(f"w{number}" for number in range(first, first + count))


def windows(text: str, n: int) -> list[tuple[str, ...]]:
    tokens = text.split()
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def held_out_ngrams(text: str, n: int, minimum: int) -> set[tuple[str, ...]]:
    """The definition: all n-grams, or the whole of a shorter text with enough words."""
    words = len(text.split())
    return set(windows(text, n if words >= n else words)) if words >= minimum else set()


@few
@given(st.lists(few_words, max_size=5), few_words, st.integers(1, 5), st.integers(1, 5))
def test_hits_are_those_of_counting_by_hand(held_out: list[str], text: str, n: int, minimum: int) -> None:
    minimum = min(minimum, n)
    ngrams = NgramSet.of(held_out, n, minimum_words=minimum, maximum_documents=None)
    wanted = {ngram for other in held_out for ngram in held_out_ngrams(other, n, minimum)}
    tokens, shortest = text.split(), min([len(ngram) for ngram in wanted] + [n])
    starts = range(len(tokens) - shortest + 1)
    hits = sum(any(tuple(tokens[i : i + len(ngram)]) == ngram for ngram in wanted) for i in starts)
    assert count_hits(text, ngrams) == (hits, len(starts))


@few
@given(st.lists(few_words, max_size=6), st.lists(few_words, max_size=4), st.integers(1, 4), st.integers(1, 3))
def test_shares_are_those_of_counting_by_hand(held_out: list[str], train: list[str], n: int, most: int) -> None:
    ngrams = NgramSet.of(held_out, n, minimum_words=n, maximum_documents=most)
    sets = [held_out_ngrams(text, n, n) for text in held_out]
    kept = [{ngram for ngram in own if sum(ngram in other for other in sets) <= most} for own in sets]
    seen = {ngram for text in train for ngram in windows(text, n)}
    expected = [len(own & seen) / len(own) if own else np.nan for own in kept]
    np.testing.assert_allclose(document_shares(seen_ngrams(train, ngrams), ngrams), expected)
    assert matched_documents(train, ngrams)[0].tolist() == [v for v, share in enumerate(expected) if share > 0]


@few
@given(few_words.filter(str.strip), st.integers(1, 4), st.integers(1, 5))
def test_where_a_text_is_cut_changes_no_count(text: str, n: int, size: int) -> None:
    ngrams = NgramSet.of(["a b c a", "b", "c c"], n, minimum_words=1)
    whole = count_hits(text, ngrams)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "PIECE_CHARACTERS", size)
        assert count_hits(text, ngrams) == whole
        assert NgramSet.of([text], n, minimum_words=1).lengths == tuple(sorted({n, min(n, len(text.split()))}))


def test_case_punctuation_and_unicode_form_do_not_matter() -> None:
    assert only_words("  The “Quick”, brown_fox -- (ÉCOLE)!\n") == "the quick brown fox école"
    assert only_words("e\u0301cole") == only_words("École")
    assert only_words("a=b+1;") == "a b 1"
    assert only_words(" …!? ") == only_words("") == ""


def test_marks_that_spell_a_word_do_not_split_it() -> None:
    assert only_words("हिन्दी में") == unicodedata.normalize("NFC", "हिन्दी में")


@few
@given(st.text(max_size=40))
def test_words_are_letters_numbers_and_marks_of_the_folded_text(text: str) -> None:
    folded = unicodedata.normalize("NFC", text).casefold()
    spaced = "".join(letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in folded)
    assert only_words(text) == " ".join(spaced.split())


@few
@given(few_words, st.lists(few_words, min_size=1, max_size=5))
def test_the_greatest_share_is_that_of_counting_by_hand(text: str, held_out: list[str]) -> None:
    ngrams = NgramSet.of(held_out, 2, minimum_words=2)
    sets = [set(windows(other, 2)) for other in held_out]
    shares = [len(own & set(windows(text, 2))) / len(own) for own in sets if own]
    assert greatest_share(text, ngrams) == pytest.approx(max(shares, default=0))


def test_parts_of_a_document_in_two_texts_leak_it_only_together() -> None:
    ngrams = NgramSet.of([numbered(0, 32), numbered(100, 32)])
    halves = [numbered(0, 22), numbered(10, 22)]
    assert [greatest_share(text, ngrams) for text in halves] == [0.5, 0.5]
    assert document_shares(seen_ngrams(halves, ngrams), ngrams).tolist() == [1, 0]


@few
@given(st.text("a<=\u0338\u0301e` ,\u1fef", max_size=20))
def test_a_text_may_be_cut_before_any_separator(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shingles, "PIECE_CHARACTERS", 1)
        pieces = list(cut(text, SEPARATOR))
    assert "".join(pieces) == text
    assert [word for piece in pieces for word in only_words(piece).split()] == only_words(text).split()


def test_a_copied_passage_is_found_in_a_long_text() -> None:
    ngrams = NgramSet.of([numbered(0, 40)])
    assert count_hits(numbered(1000, 300) + " " + numbered(0, 40).upper() + " " + numbered(2000, 100), ngrams) == (
        28,  # 40 - 12
        440 - 12,
    )
    assert count_hits(numbered(0, 12) + " and " + numbered(12, 12), ngrams) == (0, 13)


def test_a_short_held_out_text_is_found_inside_longer_ones() -> None:
    ngrams = NgramSet.of([numbered(0, 9), numbered(50, 7)])
    assert ngrams.lengths == (9, 13)
    assert count_hits(f"before {numbered(0, 9)} after", ngrams) == (1, 3)
    assert count_hits(numbered(50, 7) + " " + numbered(90, 9), ngrams)[0] == 0  # 7 words are fewer than the least


def test_boilerplate_of_many_held_out_documents_is_ignored() -> None:
    files = [f"{HEADER} {numbered(100 * i, 30)}" for i in range(11)]
    other = f"{HEADER} {numbered(5000, 30)}"
    assert count_hits(other, NgramSet.of(files))[0] == 0
    assert count_hits(other, NgramSet.of(files, maximum_documents=None))[0] == 4  # 16 words of header
    assert count_hits(other, NgramSet.of(files[:10]))[0] == 4
    assert np.isnan(document_shares(np.zeros(0, dtype=bool), NgramSet.of([HEADER] * 11))).all()


def test_a_leak_is_reported_from_a_share_on() -> None:
    held_out = NgramSet.of([numbered(0, 24), numbered(100, 24), numbered(200, 24), "too short"])
    train = [numbered(0, 24), numbered(100, 18), "x " + numbered(200, 13)]
    overlap = find_ngram_overlap(train, held_out)
    assert overlap.share_V[:3].tolist() == pytest.approx([1, 0.5, 1 / 12])
    assert np.isnan(overlap.share_V[3])
    assert (overlap.leaked, overlap.comparable) == (2, 3)
    assert find_ngram_overlap(train, held_out, minimum_share=0).leaked == 3
    assert find_ngram_overlap([], held_out, minimum_share=0).leaked == 0
    assert matched_documents(train, held_out, 0.6)[0].tolist() == [0]


def test_an_empty_set_finds_nothing() -> None:
    ngrams = NgramSet.of([])
    assert count_hits(numbered(0, 20), ngrams) == (0, 8)
    assert count_hits("", ngrams) == (0, 0)
    assert matched_documents([numbered(0, 20)], ngrams)[0].tolist() == []


def test_a_saved_set_is_the_same_set(tmp_path: Path) -> None:
    made = NgramSet.of([numbered(0, 30), numbered(5, 9), HEADER], words=5)
    made.save(tmp_path / "set.npz")
    read = NgramSet.load(tmp_path / "set.npz")
    assert read.fingerprint == made.fingerprint
    assert count_hits(numbered(3, 50), read) == count_hits(numbered(3, 50), made)
    assert [path.name for path in tmp_path.iterdir()] == ["set.npz"]


def test_whatever_makes_another_set_makes_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [numbered(0, 30), numbered(20, 30)]
    sets = [
        NgramSet.of(texts),
        NgramSet.of(texts, words=12),
        NgramSet.of(texts, minimum_words=9),
        NgramSet.of(texts, maximum_documents=9),
        NgramSet.of(texts[:1]),
        NgramSet.of([*texts, ""]),
        NgramSet.of(texts[::-1]),
    ]
    fingerprints = {ngrams.fingerprint for ngrams in sets}
    monkeypatch.setattr("proxy.data.ngram_sets.NORMALISATION", "words-v0")
    assert len(fingerprints | {NgramSet.of(texts).fingerprint}) == len(sets) + 1


def test_a_set_of_another_normalisation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    NgramSet.of([HEADER]).save(tmp_path / "set.npz")
    monkeypatch.setattr("proxy.data.ngram_sets.NORMALISATION", "words-v0")
    with pytest.raises(InvalidInputError, match="words-v0"):
        NgramSet.load(tmp_path / "set.npz")


@pytest.mark.parametrize("keep", [0, 10, 300, -1])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "set.npz"
    NgramSet.of([HEADER]).save(path)
    path.write_bytes(path.read_bytes()[:keep] if keep >= 0 else b"x" + path.read_bytes()[1:-40])
    with pytest.raises(InvalidInputError, match=r"set\.npz"):
        NgramSet.load(path)


@pytest.mark.parametrize(
    ("words", "minimum", "most", "pointer"),
    [(0, None, 10, "/words"), (5, 6, 10, "/minimum_words"), (5, 0, 10, "/minimum_words"), (5, 5, 0, "/maximum_doc")],
)
def test_bad_settings_are_refused_by_name(words: int, minimum: int | None, most: int, pointer: str) -> None:
    with pytest.raises(InvalidInputError, match=pointer):
        NgramSet.of([], words, minimum_words=minimum, maximum_documents=most)
