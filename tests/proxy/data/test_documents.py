"""Fingerprints, keys and tables: content decides, not format, compression, file or order."""

import shutil
import tempfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data import documents
from proxy.data.corpora import CorpusLocation, Document
from proxy.data.documents import COLUMNS, DocumentTable, TableBuilder, document_keys, normalise, scan_corpus
from proxy.data.hashing import combine
from proxy.errors import ConflictError
from tests.proxy.data.material import FORMATS, Record, few, records, texts, write


def table_of(*words: str) -> DocumentTable:
    builder = TableBuilder()
    for word in words:
        builder.add(Document(text=word))
    return builder.table()


def fingerprint_of(parts: list[list[Record]], formats: list[str], fields: tuple[str, ...] = ()) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for index, (part, suffix) in enumerate(zip(parts, formats, strict=True)):
            if part:
                write(Path(folder), f"{index}.{suffix}", part)
        return scan_corpus(CorpusLocation(uri=folder, fields=fields))[1].fingerprint


@few
@given(st.lists(st.tuples(texts, st.one_of(st.integers(0, 9), st.just(0.5))), min_size=1, max_size=8), st.data())
def test_the_fingerprint_is_independent_of_order_format_compression_and_files(
    documents: list[tuple[str, float]], data: st.DataObject
) -> None:
    rows: list[Record] = [{"text": text, "score": score} for text, score in documents]
    expected = fingerprint_of([rows], ["jsonl"], ("score",))
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    formats = data.draw(st.lists(st.sampled_from(FORMATS), min_size=2, max_size=2))
    assert fingerprint_of([shuffled[:cut], shuffled[cut:]], formats, ("score",)) == expected


@few
@given(st.lists(texts, min_size=1, max_size=5), texts)
def test_one_document_more_changes_the_fingerprint(words: list[str], more: str) -> None:
    assert fingerprint_of([records(*words)], ["jsonl"]) != fingerprint_of([records(*words, more)], ["jsonl"])


def test_only_the_fields_that_are_used_count() -> None:
    one: list[Record] = [{"text": "a", "url": "x", "id": 1}]
    two: list[Record] = [{"text": "a", "url": "x", "id": 2}]
    assert fingerprint_of([one], ["jsonl"], ("url",)) == fingerprint_of([two], ["jsonl"], ("url",))
    assert fingerprint_of([one], ["jsonl"], ("url", "id")) != fingerprint_of([two], ["jsonl"], ("url", "id"))
    assert fingerprint_of([one], ["jsonl"], ("url", "id")) == fingerprint_of([one], ["jsonl"], ("id", "url"))


@few
@given(st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=12), st.randoms(use_true_random=False))
def test_a_table_does_not_depend_on_the_order_of_reading(words: list[str], random: Random) -> None:
    shuffled = list(words)
    random.shuffle(shuffled)
    table, other = table_of(*words), table_of(*shuffled)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(table, name), getattr(other, name))
    assert len(set(table.key.tolist())) == len(words)
    assert table.key.tolist() == sorted(table.key.tolist())


@few
@given(st.lists(st.sampled_from(["a", "b", "cc", ""]), max_size=12))
def test_the_row_of_each_document_is_known_in_the_order_of_reading(words: list[str]) -> None:
    builder = TableBuilder()
    for index, word in enumerate(words):
        builder.add(Document(text=word, fields={"number": index, "word": word}))
    table, rows = builder.table(), builder.reading_order()
    assert sorted(rows.tolist()) == list(range(len(words)))
    assert table.characters[rows].tolist() == [len(word) for word in words]
    if words:
        assert table.fields["number"].values(rows) == list(range(len(words)))
        assert table.fields["word"].values(rows) == words


@few
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=20))
def test_documents_of_equal_content_are_numbered_as_they_come(contents: list[tuple[int, int]]) -> None:
    content_D2 = np.array(contents, dtype=np.uint64).reshape(-1, 2)
    numbers = [contents[:place].count(content) for place, content in enumerate(contents)]
    expected = combine(content_D2[:, 0], np.array(numbers, dtype=np.uint64))
    assert document_keys(content_D2).tolist() == expected.tolist()


def test_text_keys_ignore_case_white_space_and_unicode_form() -> None:
    first, second, third = (table_of(word) for word in ("Caf\u00e9  au\tlait", " cafe\u0301 AU lait\n", "cafe au lait"))
    assert first.text_key[0] == second.text_key[0] != third.text_key[0]
    assert first.key[0] != second.key[0]
    assert normalise("  STRASSE\n") == normalise("straße") == "strasse"


def test_characters_and_bytes_are_counted_apart(tmp_path: Path) -> None:
    table, counts = scan_corpus(CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records("né", "", "日本")))))
    assert sorted(zip(table.characters.tolist(), table.text_bytes.tolist(), strict=True)) == [(0, 0), (2, 3), (2, 6)]
    assert (counts.documents, counts.characters, counts.text_bytes) == (3, 4, 9)


def test_a_saved_table_comes_back_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", [{"text": "a", "page": [1, None]}, {"text": "b", "page": None}])
    table, _ = scan_corpus(CorpusLocation(uri=str(path), fields=("page",)))
    table.save(tmp_path / "table")
    table.save(tmp_path / "table")
    loaded = DocumentTable.load(tmp_path / "table")
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(table, name))
        assert isinstance(getattr(loaded, name).base, np.memmap)
    assert sorted(map(str, loaded.fields["page"].values(range(2)))) == ["None", "[1, None]"]
    names = {*(f"{name}.npy" for name in COLUMNS), "field-0.json", "field-0.npy", "table.json"}
    assert {inner.name for inner in (tmp_path / "table").iterdir()} == names


def test_a_table_that_is_not_whole_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(documents, "save_json", full)
    with pytest.raises(OSError, match="no space"):
        table_of("a", "b").save(tmp_path / "table")
    with pytest.raises(FileNotFoundError):
        DocumentTable.load(tmp_path / "table")


@pytest.mark.parametrize("damage", ["missing", "short", "other"])
def test_a_damaged_table_is_an_error_that_says_what_to_do(tmp_path: Path, damage: str) -> None:
    table_of("a", "b").save(tmp_path)
    path = tmp_path / "text_key.npy"
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        path.write_bytes(path.read_bytes()[:-8])
    else:
        np.save(path, np.zeros(3, dtype=np.uint64))
    with pytest.raises(ConflictError, match=r"is damaged: .*register"):
        DocumentTable.load(tmp_path)


def test_a_table_as_it_was_once_written_is_put_in_order(tmp_path: Path) -> None:
    former = [  # what the stored files were written from, in reading order
        {"text": "b", "score": 0.5, "tags": ["x"]},
        {"text": "a", "score": 1},
        {"text": "Ccc", "score": None, "tags": "y"},
        {"text": "a", "score": 1},
        {"text": "", "score": 2, "tags": ["x"]},
    ]
    shutil.copytree(Path(__file__).parent / "former_table", tmp_path / "table")
    path = write(tmp_path, "a.jsonl", former)
    table, _ = scan_corpus(CorpusLocation(uri=str(path), fields=("score", "tags")))
    assert sorted(inner.name for inner in (tmp_path / "table").iterdir()) == ["documents.npz", "fields.json"]
    for _ in range(2):
        loaded = DocumentTable.load(tmp_path / "table")
        for name in COLUMNS:
            np.testing.assert_array_equal(getattr(loaded, name), getattr(table, name))
        for name in ("score", "tags"):
            assert loaded.fields[name].values(range(5)) == table.fields[name].values(range(5))
        loaded.save(tmp_path / "table")  # as it is written now
    assert not (tmp_path / "table" / "documents.npz").exists()


def test_a_table_may_be_empty() -> None:
    assert len(table_of()) == 0


@pytest.mark.parametrize(("documents", "reports"), [(1, [1]), (2500, [1000, 2000, 2500])])
def test_progress_is_told_now_and_then_and_at_the_end(tmp_path: Path, documents: int, reports: list[int]) -> None:
    seen: list[tuple[int, int]] = []
    path = write(tmp_path, "a.jsonl", records(*["ab"] * documents))
    scan_corpus(CorpusLocation(uri=str(path)), lambda *progress: seen.append(progress))
    assert sorted(set(seen)) == [(count, 2 * count) for count in reports]


@few
@given(st.text(st.sampled_from("aB \n\u00a0é\u0301"), max_size=30), st.integers(1, 5))
def test_long_texts_are_normalised_in_pieces_to_the_same(text: str, characters: int) -> None:
    whole = normalise(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "SPLIT_CHARACTERS", characters)
        assert normalise(text) == whole
