"""Token stores: made once, shard by shard, whole or not at all, and never from a corpus that changed."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.corpora import CorpusLocation
from proxy.data.documents import scan_corpus
from proxy.data.hashing import combine
from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import (
    Span,
    TokenStore,
    building,
    load_token_counts,
    making,
    open_tokens,
    plan_spans,
    tokenise_corpus,
    verify_tokens,
)
from proxy.data.tokens.index import document_keys
from proxy.data.tokens.spans import read_span
from proxy.errors import CorpusChangedError, InvalidInputError
from tests.proxy.data.material import FORMATS, few, records, texts, write

TOKENIZER = Tokenizer.from_json(train_tokenizer(["one two three"], 260))
WORDS = ("one", "", "two three", "one")
MANY = [f"document {i} of many, {'longer ' * (i % 7)}" for i in range(60)]
SMALL = 200  # bytes a shard: MANY becomes about a dozen

Encode = Callable[[Tokenizer, Sequence[str]], object]


@pytest.fixture
def location(tmp_path: Path) -> CorpusLocation:
    return CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records(*WORDS))))


@pytest.fixture
def registered(location: CorpusLocation) -> str:
    return scan_corpus(location)[1].fingerprint


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that was tokenised."""
    seen: list[str] = []
    encode: Encode = Tokenizer.encode_lazily

    def remember(tokenizer: Tokenizer, batch: Sequence[str]) -> object:
        seen.extend(batch)
        return encode(tokenizer, batch)

    monkeypatch.setattr(Tokenizer, "encode_lazily", remember)
    return seen


def texts_of(store: TokenStore) -> list[str]:
    return [TOKENIZER.decode(store.row(row).tolist()) for row in range(len(store))]


def many(folder: Path, name: str = "a.jsonl") -> tuple[CorpusLocation, str]:
    location = CorpusLocation(uri=str(write(folder, name, records(*MANY))))
    return location, scan_corpus(location)[1].fingerprint


def place_of(folder: Path, fingerprint: str) -> Path:
    return folder / fingerprint / TOKENIZER.fingerprint


def test_rows_are_in_the_order_of_keys_and_hold_their_own_tokens(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    store = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    table = scan_corpus(location)[0]
    np.testing.assert_array_equal(store.documents.key, table.key)
    assert sorted(texts_of(store)) == sorted(WORDS)
    assert [len(text.encode()) for text in texts_of(store)] == table.text_bytes.tolist()
    assert store.token_counts.tolist() == [len(tokens) for tokens in TOKENIZER.encode_batch(texts_of(store))]
    assert isinstance(store.token_counts, np.memmap)


@few
@given(st.lists(texts, min_size=1, max_size=12), st.integers(1, 60), st.randoms(use_true_random=False))
def test_neither_files_nor_shards_nor_batches_matter(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], shard_bytes: int, random: Random
) -> None:
    folder = tmp_path_factory.mktemp("c")
    whole = CorpusLocation(uri=str(write(folder, "a.jsonl", records(*words))))
    registered = scan_corpus(whole)[1].fingerprint
    expected = tokenise_corpus(whole, registered, TOKENIZER, folder / "whole")
    random.shuffle(words)
    (folder / "parts").mkdir()
    for index, name in enumerate(FORMATS):
        write(folder / "parts", f"{name[-2:]}.{name}", records(*words[index::4])) if words[index::4] else None
    parts = CorpusLocation(uri=str(folder / "parts"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "BATCH_CHARACTERS", 1)
        store = tokenise_corpus(parts, registered, TOKENIZER, folder / "t", shard_bytes=shard_bytes)
    np.testing.assert_array_equal(store.documents.key, expected.documents.key)
    np.testing.assert_array_equal(store.token_counts, expected.token_counts)
    assert texts_of(store) == texts_of(expected)


@pytest.mark.parametrize("name", FORMATS)
def test_spans_cut_a_corpus_into_pieces_that_miss_nothing(tmp_path: Path, name: str) -> None:
    location, registered = many(tmp_path, f"a.{name}")
    spans = plan_spans(location, shard_bytes=SMALL)
    assert len(spans) > 5 if name == "jsonl" else len(spans) == 1
    found = [place for span in spans for place, _ in read_span(span, location)]
    assert len(found) == len(MANY) == len(set(found))
    assert [Span.from_json(json.loads(json.dumps(span.to_json())), location) for span in spans] == list(spans)
    store = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL)
    assert sorted(texts_of(store)) == sorted(MANY)


def test_small_files_share_a_span_and_large_ones_do_not(tmp_path: Path) -> None:
    for name in ("a", "b", "d"):
        write(tmp_path, f"{name}.jsonl", records("x"))
    write(tmp_path, "c.jsonl", records(*MANY))
    spans = plan_spans(CorpusLocation(uri=str(tmp_path)), shard_bytes=1000)
    names = [[Path(part.file.place).name for part in span.parts] for span in spans]
    assert names[0] == ["a.jsonl", "b.jsonl"]
    assert names[-1] == ["d.jsonl"]
    assert all(inner == ["c.jsonl"] for inner in names[1:-1])
    assert len(names) > 3
    assert sum(span.bytes_on_disk for span in spans) == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_row_groups_of_parquet_are_taken_in_runs(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([{"text": text, "unread": "x" * 50} for text in MANY])
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7)
    location = CorpusLocation(uri=str(tmp_path / "a.parquet"))
    spans = plan_spans(location, shard_bytes=1500)
    assert 2 < len(spans) < 9
    assert [span.parts[0].start for span in spans[1:]] == [span.parts[0].stop for span in spans[:-1]]
    places = [place for span in spans for place, _ in read_span(span, location)]
    assert places == [f"{tmp_path / 'a.parquet'}:row {row}" for row in range(1, 61)]
    assert all(span.bytes_on_disk > 0 for span in spans)


def test_a_line_in_a_later_span_is_named_by_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", records(*MANY))
    path.write_bytes(path.read_bytes() + b'{"te\n')
    with pytest.raises(InvalidInputError, match=rf"{path}: line at byte \d+' *|is not JSON"):
        tokenise_corpus(CorpusLocation(uri=str(path)), "0", TOKENIZER, tmp_path / "t", shard_bytes=SMALL)


def test_the_second_time_the_files_are_not_read(tmp_path: Path, location: CorpusLocation, registered: str) -> None:
    folder = tmp_path / "t"
    assert open_tokens(folder, registered, TOKENIZER.fingerprint) is None
    assert load_token_counts(folder, registered, TOKENIZER.fingerprint) is None
    assert verify_tokens(folder, registered, TOKENIZER.fingerprint) is None
    made = tokenise_corpus(location, registered, TOKENIZER, folder)
    Path(location.uri).unlink()
    again = tokenise_corpus(location, registered, TOKENIZER, folder)
    assert texts_of(again) == texts_of(made)
    counts = load_token_counts(folder, registered, TOKENIZER.fingerprint)
    assert counts is not None
    assert counts.tolist() == made.token_counts.tolist()


def test_the_registered_table_is_used_where_there_is_one(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    table = scan_corpus(location)[0]
    table.save(tmp_path / "documents" / registered)
    folder = tmp_path / "tokens"
    tokenise_corpus(location, registered, TOKENIZER, folder, documents=tmp_path / "documents" / registered)
    assert [inner.name for inner in (folder / registered).iterdir()] == [TOKENIZER.fingerprint]
    os.rename(tmp_path, tmp_path.with_name("moved"))
    moved = open_tokens(tmp_path.with_name("moved") / "tokens", registered, TOKENIZER.fingerprint)
    assert moved is not None
    np.testing.assert_array_equal(moved.documents.key, np.sort(table.key))


def test_several_processes_make_the_same_store_and_report_all_of_it(tmp_path: Path) -> None:
    location, registered = many(tmp_path)
    alone = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "one", shard_bytes=SMALL)
    seen: list[tuple[int, int]] = []
    store = tokenise_corpus(
        location, registered, TOKENIZER, tmp_path / "two", lambda *words: seen.append(words), processes=2,
        shard_bytes=SMALL,
    )  # fmt: skip
    one, two = (sorted(inner.read_bytes() for inner in (tmp_path / name).rglob("*.tokens")) for name in ("one", "two"))
    assert one == two
    assert texts_of(store) == texts_of(alone)
    assert seen[-1] == (60, sum(len(text) for text in MANY))
    assert seen == sorted(seen)


def test_an_error_in_another_process_is_raised_here(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", records(*MANY))
    path.write_bytes(path.read_bytes() + b'{"te\n')
    with pytest.raises(InvalidInputError, match="is not JSON"):
        tokenise_corpus(CorpusLocation(uri=str(path)), "0", TOKENIZER, tmp_path / "t", processes=2, shard_bytes=SMALL)
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.parametrize(("name", "finished"), [("a.jsonl", "shard-*.json"), ("a.jsonl.zst", "shard-00000-*.json")])
def test_after_a_kill_only_the_rest_is_done(tmp_path: Path, encoded: list[str], name: str, finished: str) -> None:
    location, registered = many(tmp_path, name)
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(["one two three"], 260))
    program = f"""
import os, signal
from pathlib import Path
from random import Random
from proxy.data.corpora import CorpusLocation
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokens import making, tokenise_corpus
making.BATCH_CHARACTERS = 40
tokenizer = Tokenizer.from_json(Path({str(tmp_path / "tokenizer.json")!r}).read_text())
def die(documents, text_bytes):
    if documents >= 40:
        os.kill(os.getpid(), signal.SIGKILL)
tokenise_corpus(CorpusLocation(uri={location.uri!r}), {registered!r}, tokenizer, Path({str(tmp_path / "t")!r}), die,
                shard_bytes={SMALL})
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    place = place_of(tmp_path / "t", registered)
    assert killed.returncode == -9
    assert open_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) is None
    shards = [json.loads(path.read_bytes()) for path in place.glob(finished)]
    kept = sum(shard["documents"] for shard in shards)
    assert 20 <= kept <= 40
    times = {path: path.stat().st_mtime_ns for path in place.glob("shard-*.tokens")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "BATCH_CHARACTERS", 40)
        store = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL)
    assert len(encoded) == len(MANY) - kept
    assert sorted(texts_of(store)) == sorted(MANY)
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    assert verify_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) == []


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
@pytest.mark.parametrize("suffix", ["tokens", "npy"])
def test_a_damaged_shard_is_found_and_made_again_and_no_other(
    tmp_path: Path, encoded: list[str], damage: Callable[[Path], None], suffix: str
) -> None:
    location, registered = many(tmp_path)
    made = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL)
    expected = texts_of(made)
    place = place_of(tmp_path / "t", registered)
    damage(place / f"shard-00003-00.{suffix}")
    assert verify_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) == ["shard-00003-00"]
    assert (open_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) is None) == (damage is not flip)
    building._is_intact.cache_clear()  # as in a process that has not looked yet
    encoded.clear()
    again = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL)
    assert texts_of(again) == expected
    assert 0 < len(encoded) < 20
    assert verify_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) == []


def test_a_damaged_index_is_made_again_without_tokenising(tmp_path: Path, encoded: list[str]) -> None:
    location, registered = many(tmp_path)
    expected = texts_of(tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL))
    flip(place_of(tmp_path / "t", registered) / "starts.npy")
    assert verify_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) == ["starts.npy"]
    building._is_intact.cache_clear()
    encoded.clear()
    assert texts_of(tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL)) == expected
    assert encoded == []


def test_a_large_store_is_checked_on_demand_only(
    tmp_path: Path, location: CorpusLocation, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    flip(place_of(tmp_path / "t", registered) / "shard-00000-00.tokens")
    building._is_intact.cache_clear()
    monkeypatch.setattr(building, "VERIFIED_BYTES", 1)
    tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert verify_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) == ["shard-00000-00"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 99}', b'{"version": 1}'])
def test_a_manifest_that_cannot_be_read_is_none(
    tmp_path: Path, location: CorpusLocation, registered: str, content: bytes
) -> None:
    tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    (place_of(tmp_path / "t", registered) / "manifest.json").write_bytes(content)
    assert open_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) is None
    assert sorted(texts_of(tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t"))) == sorted(WORDS)


def test_the_layout_of_earlier_versions_is_made_again(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    place = place_of(tmp_path / "t", registered)
    place.mkdir(parents=True)
    for name in ("tokens.bin", "offsets.npy", "documents.npz", "fields.json"):
        (place / name).write_bytes(b"old")
    assert open_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) is None
    store = tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert sorted(texts_of(store)) == sorted(WORDS)
    assert not (place / "tokens.bin").exists()


def test_what_a_killed_process_left_is_swept_in_the_end_and_a_live_ones_work_is_not(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    place = place_of(tmp_path / "t", registered)
    place.mkdir(parents=True)
    for name, age in ((".old", building.STALE_SECONDS + 60), (".new", 0.0)):
        (place / name).touch()
        os.utime(place / name, times=(0, (place / name).stat().st_mtime - age))
    tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert [path.name for path in place.glob(".*")] == [".new"]


def test_a_changed_corpus_is_refused_and_leaves_nothing_behind(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    write(tmp_path, "a.jsonl", records(*WORDS, "four"))
    found = scan_corpus(location)[1].fingerprint
    with pytest.raises(CorpusChangedError) as caught:
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert all(word in str(caught.value) for word in (location.uri, registered, found))
    assert list((tmp_path / "t").iterdir()) == []


def test_a_corpus_that_changes_after_a_part_was_made_is_refused(tmp_path: Path) -> None:
    location, registered = many(tmp_path)
    text = Path(location.uri).read_text()

    def change(documents: int, text_bytes: int) -> None:
        Path(location.uri).write_text(text.replace("document", "Document"))

    with pytest.raises(CorpusChangedError):
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", change, shard_bytes=SMALL)
    assert list((tmp_path / "t").iterdir()) == []


def test_shards_of_other_files_are_not_used(tmp_path: Path, encoded: list[str]) -> None:
    location, registered = many(tmp_path)
    tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL)
    (place_of(tmp_path / "t", registered) / "manifest.json").unlink()
    os.utime(location.uri, times=(1, 1))
    encoded.clear()
    tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL)
    assert len(encoded) == len(MANY)


def test_a_corpus_that_became_unreadable_leaves_nothing_behind(
    tmp_path: Path, location: CorpusLocation, registered: str
) -> None:
    Path(location.uri).write_text('{"text": "one"}\n{"te')
    with pytest.raises(InvalidInputError):
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert list((tmp_path / "t").iterdir()) == []


def test_two_that_race_both_get_the_tokens(tmp_path: Path) -> None:
    location, registered = many(tmp_path)
    stores: list[TokenStore] = []

    def race() -> None:
        stores.append(tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=SMALL))

    threads = [threading.Thread(target=race) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(texts_of(store)) for store in stores] == [sorted(MANY)] * 3
    assert [inner.name for inner in (tmp_path / "t").iterdir()] == [registered]
    assert list(place_of(tmp_path / "t", registered).glob(".*")) == []
    assert verify_tokens(tmp_path / "t", registered, TOKENIZER.fingerprint) == []


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

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t")
    assert [inner for inner in (tmp_path / "t").rglob("*") if inner.is_file()] == []


def test_a_corpus_of_empty_texts_has_no_tokens(tmp_path: Path) -> None:
    location = CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records("", ""))))
    store = tokenise_corpus(location, scan_corpus(location)[1].fingerprint, TOKENIZER, tmp_path / "t")
    assert (store.token_counts.tolist(), texts_of(store)) == ([0, 0], ["", ""])
    stream = store.gather(np.array([1, 0]), np.array([1, 1]), 7)
    assert stream.tolist() == [7, 7]


def test_a_large_vocabulary_is_stored_in_four_bytes(
    tmp_path: Path, location: CorpusLocation, registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Tokenizer.from_json(train_tokenizer(["one two three"], 260))
    monkeypatch.setattr(wide, "vocabulary", 70_000)
    store = tokenise_corpus(location, registered, wide, tmp_path / "t")
    assert store.row(0).dtype == store.dtype == np.uint32
    assert sorted(texts_of(store)) == sorted(WORDS)


@few
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=20))
def test_keys_are_those_of_the_registered_table(words: list[tuple[int, int]]) -> None:
    content_D2 = np.array(words, dtype=np.uint64).reshape(-1, 2)
    before = [words[:row].count(word) for row, word in enumerate(words)]
    expected = combine(content_D2[:, 0], np.array(before, dtype=np.uint64))
    assert document_keys(content_D2).tolist() == expected.tolist()
