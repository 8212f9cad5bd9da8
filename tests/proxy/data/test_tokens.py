"""Token stores: made once, whole or not at all, and never from a corpus that changed."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from proxy.data import tokens as tokens_module
from proxy.data.corpora import CorpusLocation
from proxy.data.documents import scan_corpus
from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import TokenStore, load_token_counts, open_tokens, tokenise_corpus
from proxy.errors import CorpusChangedError, InvalidInputError
from tests.proxy.data.material import records, write

TOKENIZER = Tokenizer.from_json(train_tokenizer(["one two three"], 260))
WORDS = ("one", "", "two three", "one")


@pytest.fixture
def location(tmp_path: Path) -> CorpusLocation:
    return CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records(*WORDS))))


@pytest.fixture
def registered(location: CorpusLocation) -> str:
    return scan_corpus(location)[1].fingerprint


def texts_of(store: TokenStore) -> list[str]:
    ends = zip(store.offsets, store.offsets[1:], strict=False)
    return [TOKENIZER.decode(store.tokens[start:end].tolist()) for start, end in ends]


def test_documents_are_found_by_their_offsets_in_reading_order(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    store = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert texts_of(store) == list(WORDS)
    assert store.token_counts.tolist() == [len(tokens) for tokens in TOKENIZER.encode_batch(WORDS)]
    assert isinstance(store.tokens, np.memmap)
    np.testing.assert_array_equal(store.documents.key, scan_corpus(location)[0].key)


def test_small_batches_give_the_same_tokens(
    tmp_path: Path, location: CorpusLocation, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "whole")
    monkeypatch.setattr(tokens_module, "BATCH_CHARACTERS", 1)
    parts = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "parts")
    np.testing.assert_array_equal(parts.tokens, whole.tokens)
    np.testing.assert_array_equal(parts.offsets, whole.offsets)


def test_the_second_time_the_files_are_not_read(tmp_path: Path, location: CorpusLocation, registered: str) -> None:
    folder = tmp_path / "t"
    assert open_tokens(folder, registered, TOKENIZER.fingerprint) is None
    assert load_token_counts(folder, registered, TOKENIZER.fingerprint) is None
    made = tokenise_corpus(location, registered, TOKENIZER, folder)
    Path(location.uri).unlink()
    again = tokenise_corpus(location, registered, TOKENIZER, folder)
    np.testing.assert_array_equal(again.tokens, made.tokens)
    counts = load_token_counts(folder, registered, TOKENIZER.fingerprint)
    assert counts is not None
    assert counts.tolist() == made.token_counts.tolist()


def test_a_changed_corpus_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    write(tmp_path, "a.jsonl", records(*WORDS, "four"))
    found = scan_corpus(location)[1].fingerprint
    with pytest.raises(CorpusChangedError) as caught:
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert all(word in str(caught.value) for word in (location.uri, registered, found))
    assert list((tmp_path / "t").iterdir()) == []


def test_a_corpus_that_became_unreadable_leaves_nothing_behind(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    Path(location.uri).write_text('{"text": "one"}\n{"te')
    with pytest.raises(InvalidInputError):
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert list((tmp_path / "t").iterdir()) == []


def test_two_that_race_both_get_the_tokens(tmp_path: Path, location: CorpusLocation, registered: str) -> None:
    gate = threading.Barrier(2)
    stores: list[TokenStore] = []

    def wait(documents: int, text_bytes: int) -> None:
        gate.wait(10)

    def race() -> None:
        stores.append(tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", wait))

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [texts_of(store) for store in stores] == [list(WORDS)] * 2
    assert [inner.name for inner in (tmp_path / "t").iterdir()] == [registered]


def test_a_folder_that_cannot_take_the_tokens_is_an_error(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / registered).write_text("a file where a folder should be")
    with pytest.raises(OSError, match=registered):
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")


def test_tokens_that_cannot_be_moved_into_place_are_an_error_and_leave_nothing_behind(
    tmp_path: Path, location: CorpusLocation, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="no space left"):
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert [inner for inner in (tmp_path / "t").rglob("*") if inner.is_file()] == []


def test_a_corpus_of_empty_texts_has_no_tokens(tmp_path: Path) -> None:
    location = CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records("", ""))))
    store = tokenise_corpus(location, scan_corpus(location)[1].fingerprint, TOKENIZER, tmp_path / "t")
    assert (len(store.tokens), store.token_counts.tolist()) == (0, [0, 0])


def test_a_large_vocabulary_is_stored_in_four_bytes(
    tmp_path: Path, location: CorpusLocation, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Tokenizer.from_json(train_tokenizer(["one two three"], 260))
    monkeypatch.setattr(wide, "vocabulary", 70_000)
    store = tokenise_corpus(location, registered, wide, tmp_path / "t")
    assert store.tokens.dtype == np.uint32
    assert texts_of(store) == list(WORDS)
