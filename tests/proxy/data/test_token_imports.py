"""Imported tokens: the same store as our own, what is lost is said, and what is wrong is named."""

from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import import_tokens, importing, open_tokens, verify_tokens
from proxy.errors import InvalidInputError

TOKENIZER = Tokenizer.from_json(train_tokenizer(["one two three"], 260))
END = TOKENIZER.end_of_text
TEXTS = ("one", "two three", "", "one", "étude")
DOCUMENTS = [tokens.tolist() for tokens in TOKENIZER.encode_batch(TEXTS)]


def flat(*documents: list[int], end: bool = False) -> list[int]:
    return [token for document in documents for token in (*document, *([END] if end else []))]


def offsets_of(*documents: list[int], end: bool = False) -> list[int]:
    return [0, *accumulate(len(document) + end for document in documents)]


def write_flat(folder: Path, tokens: list[int], name: str = "tokens.bin", dtype: str = "<u2") -> Path:
    path = folder / name
    array = np.array(tokens, dtype=dtype)
    np.save(path, array) if name.endswith(".npy") else array.tofile(path)
    return path


def write_offsets(folder: Path, offsets: object) -> Path:
    np.save(folder / "offsets.npy", np.array(offsets))
    return folder / "offsets.npy"


def documents_in(folder: Path, fingerprint: str) -> list[list[int]]:
    store = open_tokens(folder, fingerprint, TOKENIZER.fingerprint)
    assert store is not None
    assert (np.diff(store.documents.key.astype(object)) > 0).all()
    assert len(store.documents) == len(store)
    return sorted(store.row(row).tolist() for row in range(len(store)))


def ways(folder: Path) -> dict[str, dict[str, Any]]:
    offsets = write_offsets(folder, offsets_of(*DOCUMENTS))
    ended = folder / "ended.npy"
    np.save(ended, np.array(offsets_of(*DOCUMENTS, end=True), dtype=np.uint32))
    bare, with_ends = flat(*DOCUMENTS), flat(*DOCUMENTS, end=True)
    wide = write_flat(folder, bare, "w.bin", "<u4")
    return {
        "bin": {"tokens_path": write_flat(folder, bare), "offsets_path": offsets},
        "npy": {"tokens_path": write_flat(folder, bare, "t.npy", "int64"), "offsets_path": offsets},
        "wide bin": {"tokens_path": wide, "dtype": "uint32", "offsets_path": offsets},
        "offsets and ends": {"tokens_path": write_flat(folder, with_ends, "e.bin"), "offsets_path": ended},
        "ends alone": {"tokens_path": write_flat(folder, with_ends, "e.bin")},
        "no last end": {"tokens_path": write_flat(folder, with_ends[:-1], "n.bin")},
        "other order": {"tokens_path": write_flat(folder, flat(*DOCUMENTS[::-1], end=True), "r.bin")},
    }


def test_every_way_of_writing_the_same_documents_is_the_same_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SHARD_TOKENS", 4)
    monkeypatch.setattr(importing, "CHECK_TOKENS", 3)
    made = {
        name: import_tokens(**way, tokenizer=TOKENIZER, folder=tmp_path / name) for name, way in ways(tmp_path).items()
    }
    assert len({one.fingerprint for one in made.values()}) == 1
    for name, one in made.items():
        assert documents_in(tmp_path / name, one.fingerprint) == sorted(DOCUMENTS)
        assert (one.documents, one.tokens, one.text_bytes) == (5, sum(map(len, DOCUMENTS)), None)
        assert verify_tokens(tmp_path / name, one.fingerprint, TOKENIZER.fingerprint) == []


def test_what_is_lost_is_said_and_kept(tmp_path: Path) -> None:
    path = write_flat(tmp_path, flat(*DOCUMENTS, end=True))
    made = import_tokens(path, TOKENIZER, tmp_path / "t")
    store = open_tokens(tmp_path / "t", made.fingerprint, TOKENIZER.fingerprint)
    assert store is not None
    assert store.lost == made.lost
    assert any("bits per byte" in sentence for sentence in made.lost)
    assert store.documents.text_bytes.tolist() == [0] * 5
    keys = store.documents.text_key.tolist()
    assert len(set(keys)) == 4  # "one" is there twice


def test_bytes_are_counted_by_decoding_or_taken_as_given(tmp_path: Path) -> None:
    path = write_flat(tmp_path, flat(*DOCUMENTS, end=True))
    given = np.array([len(text.encode()) for text in TEXTS])
    for name, way in (("decoded", "decode"), ("given", given)):
        made = import_tokens(path, TOKENIZER, tmp_path / name, text_bytes=way)  # type: ignore[arg-type]
        assert made.text_bytes == given.sum()
        assert not any("bits per byte" in sentence for sentence in made.lost)
        store = open_tokens(tmp_path / name, made.fingerprint, TOKENIZER.fingerprint)
        assert store is not None
        texts = [TOKENIZER.decode(store.row(row).tolist()) for row in range(len(store))]
        assert store.documents.text_bytes.tolist() == [len(text.encode()) for text in texts]


def test_the_same_tokens_again_change_nothing(tmp_path: Path) -> None:
    path = write_flat(tmp_path, flat(*DOCUMENTS, end=True))
    first = import_tokens(path, TOKENIZER, tmp_path / "t")
    assert import_tokens(path, TOKENIZER, tmp_path / "t") == first
    assert [inner.name for inner in (tmp_path / "t").iterdir()] == [first.fingerprint]


@pytest.mark.parametrize(
    ("tokens", "offsets", "options", "expected"),
    [
        ([1, 2, 300], None, {}, r"^/tokens: .* holds this at position 2; .* ids are below 2\d\d.* \(got 300\)"),
        ([1, 2, 3], [0, 2], {}, r"^/offsets: must begin at 0 and end at the number of tokens, 3 \(got \[0, 2\]\)"),
        ([1, 2, 3], [1, 3], {}, r"^/offsets: must begin at 0"),
        ([1, 2, 3], [0, 2, 1, 3], {}, r"^/offsets: position 2 is below the one before it \(got 1\)"),
        ([1, 2, 3], [[0, 3]], {}, r"^/offsets: is no flat array of integers"),
        ([1, 2, 3], [0.0, 3.0], {}, r"^/offsets: is no flat array of integers"),
        ([1, 2, 3], [], {}, r"^/offsets: is no flat array of integers"),
        ([1, END, 3], [0, 3], {}, r"^/offsets: document 0 holds an end of text in its midst"),
        ([], None, {}, r"^/tokens: holds no document"),
        ([1, 2, 3], None, {"dtype": "uint32"}, r"^/tokens: its 6 bytes are no multiple of 4"),
        ([1, 2, 3], None, {"dtype": "float32"}, r"^/dtype: is neither uint16 nor uint32 \(got 'float32'\)"),
        ([1, 2, 3], None, {"text_bytes": np.array([1, 2])}, r"^/text_bytes: has not one number for each of the 1"),
    ],
)
def test_what_cannot_be_imported_is_named_and_leaves_nothing_behind(
    tmp_path: Path, tokens: list[int], offsets: object, options: dict[str, Any], expected: str
) -> None:
    path = write_flat(tmp_path, tokens)
    if offsets is not None:
        options = {**options, "offsets_path": write_offsets(tmp_path, offsets)}
    with pytest.raises(InvalidInputError, match=expected):
        import_tokens(path, TOKENIZER, tmp_path / "t", **options)
    assert not (tmp_path / "t").exists() or list((tmp_path / "t").iterdir()) == []


def test_files_that_are_not_there_or_no_arrays_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^/tokens: cannot be read"):
        import_tokens(tmp_path / "none.bin", TOKENIZER, tmp_path / "t")
    (tmp_path / "bad.npy").write_bytes(b"no array")
    with pytest.raises(InvalidInputError, match=r"^/tokens: cannot be read"):
        import_tokens(tmp_path / "bad.npy", TOKENIZER, tmp_path / "t")
    np.save(tmp_path / "square.npy", np.zeros((2, 2), dtype=np.uint16))
    with pytest.raises(InvalidInputError, match=r"^/tokens: is no flat array of integers but 2-dimensional"):
        import_tokens(tmp_path / "square.npy", TOKENIZER, tmp_path / "t")
    with pytest.raises(InvalidInputError, match=r"^/offsets: cannot be read"):
        import_tokens(write_flat(tmp_path, [1]), TOKENIZER, tmp_path / "t", offsets_path=tmp_path / "bad.npy")


def test_the_same_tokens_imported_again_with_bytes_gain_them_and_never_lose_them(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    files = {"tokens_path": write_flat(tmp_path, flat(*DOCUMENTS, end=True))}
    reversed_files = {"tokens_path": write_flat(tmp_path, flat(*DOCUMENTS[::-1], end=True), "r.bin")}
    for way, text_bytes, known in (
        (files, None, 0),
        (reversed_files, "decode", 21),
        (files, None, 21),
    ):
        made = import_tokens(**way, tokenizer=TOKENIZER, folder=folder, text_bytes=text_bytes)  # type: ignore[arg-type]
        store = open_tokens(folder, made.fingerprint, TOKENIZER.fingerprint)
        assert store is not None
        assert store.documents.text_bytes.sum() == known
        assert any("bits per byte" in sentence for sentence in store.lost) is not bool(known)
        assert documents_in(folder, made.fingerprint) == sorted(DOCUMENTS)
        assert verify_tokens(folder, made.fingerprint, TOKENIZER.fingerprint) == []
