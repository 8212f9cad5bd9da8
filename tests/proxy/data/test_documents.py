"""Fingerprints, keys and tables: content decides, not format, compression, file or order."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.corpora import CorpusLocation, Document
from proxy.data.documents import DocumentTable, TableBuilder, normalise, scan_corpus
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
def test_identical_documents_have_distinct_keys_whatever_their_order(words: list[str], random: object) -> None:
    shuffled = list(words)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    key, other = table_of(*words).key, table_of(*shuffled).key
    assert len(set(key.tolist())) == len(words)
    assert sorted(key) == sorted(other)
    assert {word: set(key[np.array(words) == word].tolist()) for word in set(words)} == {
        word: set(other[np.array(shuffled) == word].tolist()) for word in set(words)
    }


def test_text_keys_ignore_case_white_space_and_unicode_form() -> None:
    table = table_of("Caf\u00e9  au\tlait", " cafe\u0301 AU lait\n", "cafe au lait")
    assert table.text_key[0] == table.text_key[1] != table.text_key[2]
    assert table.key[0] != table.key[1]
    assert normalise("  STRASSE\n") == normalise("straße") == "strasse"


def test_characters_and_bytes_are_counted_apart(tmp_path: Path) -> None:
    table, counts = scan_corpus(CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records("né", "", "日本")))))
    assert table.characters.tolist() == [2, 0, 2]
    assert table.text_bytes.tolist() == [3, 0, 6]
    assert (counts.documents, counts.characters, counts.text_bytes) == (3, 4, 9)


def test_a_saved_table_comes_back_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    path = write(tmp_path, "a.parquet", [{"text": "a", "page": [1, None]}, {"text": "b", "page": None}])
    table, _ = scan_corpus(CorpusLocation(uri=str(path), fields=("page",)))
    table.save(tmp_path / "table")
    table.save(tmp_path / "table")
    loaded = DocumentTable.load(tmp_path / "table")
    for name in ("key", "text_key", "characters", "text_bytes"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(table, name))
    assert loaded.fields == {"page": [[1, None], None]}
    assert sorted(inner.name for inner in (tmp_path / "table").iterdir()) == ["documents.npz", "fields.json"]


def test_a_table_may_be_empty() -> None:
    assert len(table_of()) == 0


@pytest.mark.parametrize(("documents", "reports"), [(1, [1]), (2500, [1000, 2000, 2500])])
def test_progress_is_told_now_and_then_and_at_the_end(tmp_path: Path, documents: int, reports: list[int]) -> None:
    seen: list[tuple[int, int]] = []
    path = write(tmp_path, "a.jsonl", records(*["ab"] * documents))
    scan_corpus(CorpusLocation(uri=str(path)), lambda *progress: seen.append(progress))
    assert sorted(set(seen)) == [(count, 2 * count) for count in reports]
