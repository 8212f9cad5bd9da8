"""Columns: one pass, in the order of the table, whole or not at all, and never from a corpus that changed."""

import functools
import math
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data import columns as columns_module
from proxy.data.columns import TextColumn, columns_folder, ensure_columns, open_column
from proxy.data.corpora import CorpusLocation
from proxy.data.documents import scan_corpus
from proxy.errors import CorpusChangedError, InvalidInputError
from tests.proxy.data.material import few, records, texts, write

WORDS = ("one", "", "two three", "one", "ééé")


def letters(text: str, first: str) -> list[int]:
    """How often each of two letters occurs."""
    return [text.count(first), text.count("e")]


def half_length(text: str) -> float:
    return len(text) / 2


LENGTH = TextColumn(name="length-v1", dtype=np.int32, compute=len)
HALF = TextColumn(name="half-v1", dtype=np.float64, compute=half_length)
LETTERS = TextColumn(name="letters-v1", dtype=np.uint32, width=2, compute=functools.partial(letters, first="o"))


@pytest.fixture
def location(tmp_path: Path) -> CorpusLocation:
    return CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records(*WORDS))))


@pytest.fixture
def registered(location: CorpusLocation) -> str:
    return scan_corpus(location)[1].fingerprint


def refuse(text: str) -> int:
    raise AssertionError(f"{text!r} should not be read again")


def files_under(folder: Path) -> list[str]:
    return sorted(inner.name for inner in folder.rglob("*") if inner.is_file())


@few
@given(st.lists(texts, min_size=1, max_size=8), st.integers(1, 40))
def test_rows_are_those_of_the_table_however_documents_are_batched(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], characters: int
) -> None:
    folder = tmp_path_factory.mktemp("columns")
    location = CorpusLocation(uri=str(write(folder, "a.jsonl", records(*words))))
    table, counts = scan_corpus(location)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns_module, "BATCH_CHARACTERS", characters)
        patch.setattr(columns_module, "MOVE_BYTES", characters)
        made = ensure_columns(location, counts.fingerprint, folder, [LENGTH, HALF, LETTERS])
    np.testing.assert_array_equal(made["length-v1"], table.characters)
    np.testing.assert_array_equal(made["half-v1"], table.characters / 2)
    assert sorted(made["letters-v1"].tolist()) == sorted(letters(word, "o") for word in words)
    assert made["letters-v1"].dtype == np.uint32


def test_columns_are_mapped_and_only_those_that_are_missing_are_made(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    assert open_column(tmp_path, registered, "length-v1") is None
    ensure_columns(location, registered, tmp_path, [LENGTH])
    assert isinstance(open_column(tmp_path, registered, "length-v1"), np.memmap)
    fixed = TextColumn(name="length-v1", dtype=np.int32, compute=refuse)
    assert list(ensure_columns(location, registered, tmp_path, [fixed, HALF])) == ["length-v1", "half-v1"]
    Path(location.uri).unlink()
    ensure_columns(location, registered, tmp_path, [fixed, HALF])
    assert files_under(columns_folder(tmp_path, registered)) == ["half-v1.npy", "length-v1.npy"]


def test_several_processes_give_the_same_columns(
    tmp_path: Path, location: CorpusLocation, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns_module, "BATCH_CHARACTERS", 1)
    wanted = [LENGTH, HALF, LETTERS]
    alone = ensure_columns(location, registered, tmp_path / "alone", wanted)
    together = ensure_columns(location, registered, tmp_path / "together", wanted, processes=2)
    for name, values in alone.items():
        np.testing.assert_array_equal(together[name], values)


def quotient(text: str) -> float:
    return float("nan") if text == "two three" else 1.0


@pytest.mark.parametrize("processes", [1, 2])
def test_a_value_that_is_no_number_is_named_with_its_document_and_leaves_nothing(
    tmp_path: Path, location: CorpusLocation, registered: str, processes: int
) -> None:
    wrong = TextColumn(name="quotient-v1", dtype=np.float64, compute=quotient)
    with pytest.raises(InvalidInputError) as caught:
        ensure_columns(location, registered, tmp_path / "c", [LENGTH, wrong], processes=processes)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.value) == ("/uri", f"{location.uri}:3")
    assert problem.message == "column quotient-v1 is nan for this document"
    assert list(columns_folder(tmp_path / "c", registered).iterdir()) == []


@pytest.mark.parametrize(
    ("value", "dtype"), [([1.0, math.inf], np.float64), ([-math.inf, 0], np.float32), ([1e300, 0], np.float32)]
)
def test_infinities_are_refused_in_any_place_also_where_the_type_is_too_small(
    tmp_path: Path, location: CorpusLocation, registered: str, value: list[float], dtype: type
) -> None:
    wrong = TextColumn(name="wrong-v1", dtype=dtype, width=2, compute=lambda text: value)
    with pytest.raises(InvalidInputError, match=r"a.jsonl:1|column wrong-v1 is -?inf"):
        ensure_columns(location, registered, tmp_path, [wrong])


def test_a_function_that_gives_another_shape_is_a_mistake_of_ours(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    wrong = TextColumn(name="wrong-v1", dtype=np.int64, width=3, compute=lambda text: [1, 2])
    with pytest.raises(ValueError, match=r"wrong-v1: \(2,\) values for a document instead of \(3,\)"):
        ensure_columns(location, registered, tmp_path, [wrong])


def test_a_function_that_cannot_travel_is_named_before_a_process_is_started(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    local = TextColumn(name="local-v1", dtype=np.int64, compute=lambda text: 1)
    with pytest.raises(ValueError, match="local-v1 cannot be computed in several processes"):
        ensure_columns(location, registered, tmp_path, [local], processes=2)


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101, "a b"])
def test_a_name_must_be_one_of_a_file(name: str) -> None:
    with pytest.raises(ValueError, match="a name is up to 100"):
        TextColumn(name=name, dtype=np.int64, compute=len)


def test_a_changed_corpus_is_refused_and_leaves_nothing(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    write(tmp_path, "a.jsonl", records(*WORDS, "more"))
    with pytest.raises(CorpusChangedError, match=f"instead of {registered}"):
        ensure_columns(location, registered, tmp_path / "c", [LENGTH])
    assert list(columns_folder(tmp_path / "c", registered).iterdir()) == []


def test_a_column_that_is_cut_off_or_of_another_type_is_made_again(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    first = ensure_columns(location, registered, tmp_path, [LENGTH])["length-v1"].tolist()
    path = columns_folder(tmp_path, registered) / "length-v1.npy"
    for damage in (path.read_bytes()[:-1], path.read_bytes()[:20], b""):
        path.write_bytes(damage)
        assert open_column(tmp_path, registered, "length-v1") is None
        assert ensure_columns(location, registered, tmp_path, [LENGTH])["length-v1"].tolist() == first
    wider = TextColumn(name="length-v1", dtype=np.int64, compute=len)
    assert ensure_columns(location, registered, tmp_path, [wider])["length-v1"].dtype == np.int64


def test_two_that_race_both_get_the_columns(tmp_path: Path, location: CorpusLocation, registered: str) -> None:
    gate = threading.Barrier(2)
    made: list[list[int]] = []

    def race() -> None:
        columns = ensure_columns(location, registered, tmp_path, [LENGTH], lambda *_: (gate.wait(10), None)[1])
        made.append(columns["length-v1"].tolist())

    threads = [threading.Thread(target=race) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made[0] == made[1]
    assert files_under(columns_folder(tmp_path, registered)) == ["length-v1.npy"]


def test_what_a_killed_process_left_is_removed_after_a_day(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    folder = columns_folder(tmp_path, registered)
    for age, suffix in ((2 * 86400, "old"), (60, "new")):
        (folder / f".making-{suffix}").mkdir(parents=True)
        (folder / f".making-{suffix}" / "length-v1").write_bytes(b"half")
        (folder / f".length-v1.npy-{suffix}").write_bytes(b"half")
        for left in (folder / f".making-{suffix}", folder / f".length-v1.npy-{suffix}"):
            os.utime(left, (time.time() - age,) * 2)
    ensure_columns(location, registered, tmp_path, [LENGTH])
    names = sorted(inner.name for inner in folder.iterdir())
    assert names == [".length-v1.npy-new", ".making-new", "length-v1.npy"]


def test_progress_is_told(tmp_path: Path, location: CorpusLocation, registered: str) -> None:
    seen: list[tuple[int, int]] = []
    ensure_columns(location, registered, tmp_path, [LENGTH], lambda *progress: seen.append(progress))
    assert seen[-1] == (len(WORDS), sum(len(word.encode()) for word in WORDS))
