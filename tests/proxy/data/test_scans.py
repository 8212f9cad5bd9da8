"""Remembered scans: the same bytes are parsed once, under any name; other bytes, fields or a lost table again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from proxy.data import scans
from proxy.data.corpora import CorpusLocation
from proxy.data.documents import DocumentTable, scan_corpus
from proxy.data.scans import scan_once
from proxy.errors import InvalidInputError
from tests.proxy.data.material import FORMATS, Record, write

RECORDS: list[Record] = [{"text": "one", "page": 1}, {"text": "two", "page": None}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "documents"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which corpora were parsed."""
    seen: list[str] = []

    def scan(location: CorpusLocation, progress: object) -> object:
        seen.append(location.uri)
        return scan_corpus(location)

    monkeypatch.setattr(scans, "scan_corpus", scan)
    return seen


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_bytes_are_parsed_once_whatever_their_name(
    tmp_path: Path, folder: Path, parsed: list[str], suffix: str
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    path = write(tmp_path / "first", f"a.{suffix}", RECORDS)
    shutil.copyfile(path, tmp_path / "second" / f"b.{suffix}")
    first, again, second = (
        scan_once(CorpusLocation(uri=str(tmp_path / name)), folder) for name in ("first", "first", "second")
    )
    assert first == again == second == scan_corpus(CorpusLocation(uri=str(path)))[1]
    assert parsed == [str(tmp_path / "first")]
    assert len(DocumentTable.load(folder / first.fingerprint)) == 2


def test_other_bytes_or_fields_are_parsed(tmp_path: Path, folder: Path, parsed: list[str]) -> None:
    path = write(tmp_path, "a.jsonl", RECORDS)
    plain, paged = CorpusLocation(uri=str(path)), CorpusLocation(uri=str(path), fields=("page",))
    first = scan_once(plain, folder)
    assert scan_once(paged, folder).fingerprint != first.fingerprint
    write(tmp_path, "a.jsonl", RECORDS[:1])
    assert scan_once(plain, folder).documents == 1
    assert len(parsed) == 3


@pytest.mark.parametrize("loss", ["table", "column", "memory", "half"])
def test_what_was_lost_is_made_again(tmp_path: Path, folder: Path, parsed: list[str], loss: str) -> None:
    location = CorpusLocation(uri=str(write(tmp_path, "a.jsonl", RECORDS)))
    counts = scan_once(location, folder)
    table = DocumentTable.load(folder / counts.fingerprint)
    known = list((folder / "known").iterdir())
    if loss == "table":
        shutil.rmtree(folder / counts.fingerprint)
    elif loss == "column":
        (folder / counts.fingerprint / "text_key.npy").unlink()
    elif loss == "memory":
        shutil.rmtree(folder / "known")
    else:
        for path in known:
            path.write_text(json.dumps({"fingerprint": counts.fingerprint})[:20])
    assert scan_once(location, folder) == counts
    assert len(parsed) == 2
    np.testing.assert_array_equal(DocumentTable.load(folder / counts.fingerprint).text_key, table.text_key)


def test_a_corpus_that_cannot_be_read_is_not_remembered(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": 3}\n')
    with pytest.raises(InvalidInputError):
        scan_once(CorpusLocation(uri=str(path)), folder)
    assert not folder.exists()


def test_files_that_changed_under_the_scan_are_not_remembered(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "a.jsonl", RECORDS)

    def scan(location: CorpusLocation, progress: object) -> object:
        found = scan_corpus(location)
        write(tmp_path, "a.jsonl", RECORDS[:1])
        return found

    monkeypatch.setattr(scans, "scan_corpus", scan)
    assert scan_once(CorpusLocation(uri=str(path)), folder).documents == 2
    monkeypatch.undo()
    assert scan_once(CorpusLocation(uri=str(path)), folder).documents == 1
