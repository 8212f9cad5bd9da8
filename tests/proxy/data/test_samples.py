"""Samples: the same each time, no larger than asked for, spread over a corpus, and whole where it is small."""

from pathlib import Path

import numpy as np
import pytest

from proxy.data.columns import TextColumn
from proxy.data.corpora import CorpusLocation
from proxy.data.documents import COLUMNS, scan_corpus
from proxy.data.samples import SAMPLE_FILES, SAMPLE_PLACES, sample_columns
from proxy.errors import InvalidInputError
from tests.proxy.data.material import FORMATS, Record, records, write

LENGTH = TextColumn(name="length-v1", dtype=np.int32, compute=len)


def numbered(documents: int) -> list[Record]:
    """Texts of about a hundred characters with their place as a field."""
    return [{"text": f"{place:0100d}", "place": place} for place in range(documents)]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_small_corpus_is_sampled_whole(tmp_path: Path, suffix: str) -> None:
    location = CorpusLocation(uri=str(write(tmp_path, f"a.{suffix}", records("a", "", "bbb"))))
    sample = sample_columns(location, [LENGTH], 100_000)
    table = scan_corpus(location)[0]
    assert sample.is_whole
    assert (sample.documents, sample.text_bytes) == (3, 4)
    np.testing.assert_array_equal(sample["length-v1"], table.characters)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(sample.table, name), getattr(table, name))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_large_corpus_is_sampled_in_part_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    for index in range(3):
        write(tmp_path, f"{index}.{suffix}", numbered(2000))
    location = CorpusLocation(uri=str(tmp_path), fields=("place",))
    sample, again = (sample_columns(location, [LENGTH], 60_000) for _ in range(2))
    assert not sample.is_whole
    assert sample.text_bytes == pytest.approx(60_000, rel=0.1)
    assert sample["length-v1"].tolist() == [100] * sample.documents
    np.testing.assert_array_equal(sample.table.key, again.table.key)


def test_a_plain_file_is_entered_in_all_its_parts_and_no_document_is_taken_twice(tmp_path: Path) -> None:
    location = CorpusLocation(uri=str(write(tmp_path, "a.jsonl", numbered(8000))), fields=("place",))
    places = sample_columns(location, [], 80_000).table.fields["place"].numbers()
    assert len(set(places.tolist())) == len(places)
    assert np.bincount((places // (8000 / SAMPLE_PLACES)).astype(int)).tolist() == pytest.approx([100] * 8, abs=2)
    assert places.mean() == pytest.approx(3550, rel=0.05)  # a hundred from the beginning of each eighth


def test_at_most_so_many_files_are_opened(tmp_path: Path) -> None:
    for index in range(SAMPLE_FILES * 3):
        write(tmp_path, f"{index:03}.jsonl", [{"text": "x" * 50, "file": index}] * 20)
    files = sample_columns(CorpusLocation(uri=str(tmp_path), fields=("file",)), [], 10_000).table.fields["file"]
    assert sorted({int(number) for number in files.numbers()}) == list(range(1, SAMPLE_FILES * 3, 3))


def test_a_fault_in_a_sampled_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "fine"}\n' * 100 + b'{"text": 3}\n' * 1000)
    with pytest.raises(InvalidInputError, match=r"a\.jsonl: byte \d+ holds int there"):
        sample_columns(CorpusLocation(uri=str(path)), [], 1000)


def test_files_without_a_document_cannot_be_sampled(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\n" * 10)
    with pytest.raises(InvalidInputError, match="holds no document"):
        sample_columns(CorpusLocation(uri=str(tmp_path)), [LENGTH], 1000)
