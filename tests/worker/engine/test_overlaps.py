"""Leaks of a stream that is read in blocks, wherever the blocks end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.ngram_sets import NgramSet
from proxy.data.tokenizers import TokenArray, Tokenizer, train_tokenizer
from proxy.data.validation import ValidationTokens
from tests.proxy.data.material import few
from worker.cohorts.overlaps import find_leaks, held_out_ngrams

WORDS = [f"word{number}" for number in range(40)]
TOKENIZER = Tokenizer.from_json(train_tokenizer([" ".join(WORDS)], 300))

texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join), min_size=1, max_size=6)


def held_out(words: list[str]) -> ValidationTokens:
    tokens = tuple(TOKENIZER.encode_batch(words))
    count = np.arange(len(words))
    return ValidationTokens(name="h", tokens=tokens, text_bytes=count, clusters=count, keys=count.astype(np.uint64))


def stream_of(words: list[str]) -> TokenArray:
    end = np.array([TOKENIZER.end_of_text], dtype=np.uint16)
    return np.concatenate([part for tokens in TOKENIZER.encode_batch(words) for part in (end, tokens)])


@few
@given(texts, texts, st.lists(st.integers(0, 500), max_size=8))
def test_leaks_are_those_of_the_documents_wherever_blocks_end(
    train: list[str], fresh: list[str], places: list[int]
) -> None:
    stream = stream_of(train)
    sets = [held_out([*fresh, train[0]]), held_out(train)]
    ngrams = held_out_ngrams(sets, TOKENIZER)
    cut = np.split(stream, sorted(place % (len(stream) + 1) for place in places))
    found = find_leaks(cut, sets, ngrams, TOKENIZER)
    expected = find_leaks([stream], sets, ngrams, TOKENIZER)
    for one, other in zip(found, expected, strict=True):
        assert one.share_V.tobytes() == other.share_V.tobytes()
    long_enough = [len(text.split()) >= ngrams.minimum_words for text in train]
    known = [share for share, is_long in zip(found[1].share_V, long_enough, strict=True) if is_long]
    assert all(share == 1 or np.isnan(share) for share in known)


def test_a_document_that_is_cut_by_a_block_is_one_text() -> None:
    text = " ".join(WORDS[:20])
    sets = [held_out([text])]
    ngrams = NgramSet.of([text])
    stream = stream_of([text])
    half = len(stream) // 2
    assert find_leaks([stream[:half], stream[half:]], sets, ngrams, TOKENIZER)[0].leaked == 1
    assert find_leaks([stream[:half]], sets, ngrams, TOKENIZER)[0].share_V[0] < 1
