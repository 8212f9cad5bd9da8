"""Machines that share a store, each with a folder of its own: nothing is tokenised twice, nothing damaged is used."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec
import numpy as np
import pytest

from proxy.data import shared as sharing
from proxy.data.columns import TextColumn, ensure_columns
from proxy.data.corpora import CorpusLocation
from proxy.data.documents import scan_corpus
from proxy.data.plans import plan_stream
from proxy.data.shared import SharedStore
from proxy.data.shared_tables import publish_table, purge_shared
from proxy.data.tokens import (
    Making,
    SharedTokens,
    TokenStore,
    building,
    find_tokens,
    import_tokens,
    join_shards,
    open_tokens,
    publish_tokens,
    spans_of,
    tokenise_corpus,
    tokenise_shard,
    verify_tokens,
)
from proxy.data.tokens.manifest import Manifest
from proxy.data.tokens.sharing import tokens_file
from proxy.errors import CorpusChangedError, SharedStoreError, TokensDamagedError
from proxy.recipes import Recipe
from tests.proxy.data.material import listed, records, stored, write
from tests.proxy.data.test_tokens import MANY, SMALL, TOKENIZER, encoded, texts_of

__all__ = ["encoded"]


@pytest.fixture(params=["memory", "file"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedStore]:
    """An empty store of each kind."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs.clear()
    (tmp_path / "mnt").mkdir()
    yield SharedStore(url="memory://bucket/folder" if request.param == "memory" else f"file://{tmp_path}/mnt")
    memory.store.clear()


@dataclass(frozen=True)
class Machine:
    """A folder that no other machine sees."""

    folder: Path
    location: CorpusLocation
    registered: str
    shared: SharedStore | None

    @property
    def making(self) -> Making:
        return Making(
            location=self.location, tokenizer=TOKENIZER, place=self.place, shard_bytes=SMALL, shared=self.shared
        )

    @property
    def place(self) -> Path:
        return self.folder / "tokens" / self.registered / TOKENIZER.fingerprint

    @property
    def documents(self) -> Path:
        return self.folder / "documents" / self.registered

    def tokenise(self, processes: int = 1, shard_bytes: int = SMALL) -> TokenStore:
        building._is_intact.cache_clear()  # as in a process that has not looked yet
        return tokenise_corpus(
            self.location,
            self.registered,
            TOKENIZER,
            self.folder / "tokens",
            processes=processes,
            documents=self.documents,
            shard_bytes=shard_bytes,
            shared=self.shared,
        )

    def find(self) -> TokenStore | None:
        """As who knows nothing of the text."""
        return find_tokens(self.folder / "tokens", self.registered, TOKENIZER.fingerprint, self.shared, self.documents)

    def copied(self) -> list[str]:
        return sorted(path.name for path in self.place.glob("*.tokens"))

    @property
    def tokens(self) -> SharedTokens:
        assert self.shared is not None
        return SharedTokens(store=self.shared, place=self.place)


@pytest.fixture
def machines(tmp_path: Path, shared: SharedStore) -> list[Machine]:
    """Three, and a corpus of about a dozen shards that all of them can read."""
    location = CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records(*MANY))))
    registered = scan_corpus(location)[1].fingerprint
    return [Machine(tmp_path / name, location, registered, shared) for name in ("one", "two", "three")]


def alone(machine: Machine) -> Machine:
    return Machine(machine.folder.parent / "alone", machine.location, machine.registered, None)


def contents(store: TokenStore) -> list[list[int]]:
    return [store.row(row).tolist() for row in range(len(store))]


def test_what_one_machine_made_is_taken_by_another_as_it_is(machines: Sequence[Machine], encoded: list[str]) -> None:
    one, two, _ = machines
    expected = contents(alone(one).tokenise())
    assert contents(one.tokenise()) == expected
    encoded.clear()
    found = two.tokenise()
    np.testing.assert_array_equal(found.documents.key, scan_corpus(one.location)[0].key)
    assert contents(found) == expected
    assert encoded == []
    assert verify_tokens(two.folder / "tokens", two.registered, TOKENIZER.fingerprint) is not None


def test_without_text_the_tokens_are_found_all_the_same(machines: Sequence[Machine]) -> None:
    one, two, _ = machines
    assert two.find() is None
    expected = contents(one.tokenise())
    Path(one.location.uri).unlink()
    found = two.find()
    assert found is not None
    assert contents(found) == expected
    assert sorted(texts_of(found)) == sorted(MANY)


def test_a_shard_is_fetched_when_a_token_of_it_is_wanted(machines: Sequence[Machine]) -> None:
    one, two, _ = machines
    one.tokenise()
    found = two.tokenise()
    assert two.copied() == []
    assert int(found.token_counts.sum()) == int(found.bases[-1])
    assert two.copied() == []
    found.row(7)
    assert len(two.copied()) == 1
    two.tokenise().row(7)
    assert len(two.copied()) == 1
    found.fetch(np.arange(len(found)))
    assert two.copied() == [name for name in one.copied() if (one.place / name).stat().st_size]
    assert [path for path in two.place.iterdir() if path.name.startswith(".")] == []


def test_a_plan_fetches_the_shards_it_reads_and_is_the_same_stream(machines: Sequence[Machine]) -> None:
    one, two, _ = machines
    recipe = Recipe.model_validate({"name": "r", "sources": [{"corpus": "c", "weight": 1}]})
    end = TOKENIZER.end_of_text
    here, there = (plan_stream(recipe, {"c": machine.tokenise()}, 60, 3, end) for machine in (one, two))
    there.fetch()
    copied = two.copied()
    assert 0 < len(copied) < len(one.copied())
    assert there.digest() == here.digest()
    assert there.stream().tobytes() == here.stream().tobytes()
    assert np.concatenate(list(there.blocks(17))).tobytes() == here.stream()[:-1].tobytes()
    assert two.copied() == copied


def test_machines_make_spans_together_and_none_twice(machines: Sequence[Machine], encoded: list[str]) -> None:
    one, two, three = machines
    spans = spans_of(one.making)
    assert len(spans) > 4
    shards = [tokenise_shard(machine.making, span) for span, machine in zip(spans, [one, two] * 9, strict=False)]
    assert sorted(encoded) == sorted(MANY)
    encoded.clear()
    again = [tokenise_shard(three.making, span) for span in spans]
    assert again == shards
    assert encoded == []
    assert three.copied() == []
    flat = [shard for part in shards for shard in part]
    joined = join_shards(two.making, two.registered, two.folder / "tokens", flat, two.documents)
    assert encoded == []
    assert contents(joined) == contents(alone(one).tokenise())
    encoded.clear()
    assert contents(three.tokenise()) == contents(joined)
    assert encoded == []


@pytest.mark.parametrize("shared", ["file"], indirect=True)
def test_several_processes_publish_what_they_make(machines: Sequence[Machine], encoded: list[str]) -> None:
    one, two, _ = machines
    made = one.tokenise(processes=2)
    assert contents(two.tokenise()) == contents(made)
    assert encoded == []


KILLED = """
import sys
from pathlib import Path
from proxy.data.corpora import CorpusLocation
from proxy.data.shared import SharedStore
from proxy.data.tokens import tokenise_corpus
from tests.proxy.data.test_tokens import TOKENIZER
folder, uri, registered, url = sys.argv[1:]
def slowly(documents, text_bytes):
    print(documents, flush=True)
    sys.stdin.readline()
tokenise_corpus(CorpusLocation(uri=uri), registered, TOKENIZER, Path(folder), slowly, shard_bytes=200,
                shared=SharedStore(url=url))
"""


@pytest.mark.parametrize("shared", ["file"], indirect=True)
def test_what_a_killed_machine_had_published_is_used_and_the_rest_is_made(
    machines: Sequence[Machine], encoded: list[str]
) -> None:
    one, two, _ = machines
    assert one.shared is not None
    arguments = [str(one.folder / "tokens"), one.location.uri, one.registered, one.shared.url]
    command = [sys.executable, "-c", KILLED, *arguments]
    spoken = dict(os.environ) | {"PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=spoken) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(4):
            assert process.stdout.readline()
            process.stdin.write(b"\n")
            process.stdin.flush()
        wait_for_spans(one.shared, 3)
        process.send_signal(signal.SIGKILL)
    assert two.find() is None
    published = len([name for name in listed(one.shared) if "/spans/" in name])
    assert 3 <= published < len(spans_of(two.making))
    expected = contents(alone(one).tokenise())
    encoded.clear()
    assert contents(two.tokenise()) == expected
    assert 0 < len(encoded) < len(MANY)


def wait_for_spans(shared: SharedStore, count: int) -> None:
    deadline = time.monotonic() + 30
    while len([name for name in listed(shared) if "/spans/" in name]) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_shard_is_made_again_and_published_again(
    machines: Sequence[Machine], encoded: list[str], damage: str
) -> None:
    one, two, three = machines
    expected = contents(one.tokenise())
    manifest = Manifest.load(one.place)
    assert manifest is not None
    file = tokens_file(manifest.shards[3])
    stored(one.tokens.store, one.tokens.key, file).hurt(damage)
    encoded.clear()
    assert contents(two.tokenise()) == expected
    assert 0 < len(encoded) < len(MANY) / 3
    Path(one.location.uri).unlink()
    found = three.find()
    assert found is not None
    assert contents(found) == expected


def test_a_damaged_shard_without_text_is_an_error_that_names_it(machines: Sequence[Machine]) -> None:
    one, two, _ = machines
    one.tokenise()
    stored(one.tokens.store, one.tokens.key, first_shard(one)).hurt("flip")
    found, copies = two.tokenise(), two.find()
    Path(one.location.uri).unlink()
    for store in (found, copies):
        assert store is not None
        with pytest.raises(TokensDamagedError) as caught:
            contents(store)
        assert "shard-00000-00 is missing or damaged in the shared store" in str(caught.value)
        assert one.tokens.store.name in str(caught.value)
    assert "shard-00000-00.tokens" not in two.copied()


def first_shard(machine: Machine) -> sharing.StoredFile:
    manifest = Manifest.load(machine.place)
    assert manifest is not None
    return tokens_file(manifest.shards[0])


def test_a_damaged_shard_whose_files_have_new_times_is_made_again_with_all_others(machines: Sequence[Machine]) -> None:
    one, two, three = machines
    expected = contents(one.tokenise())
    stored(one.tokens.store, one.tokens.key, first_shard(one)).hurt("flip")
    os.utime(one.location.uri, (1, 1))
    with pytest.raises(SharedStoreError, match="made anew by the next attempt") as caught:
        contents(two.tokenise())
    assert caught.value.is_retryable
    assert contents(two.tokenise()) == contents(three.tokenise()) == expected
    assert contents(one.tokenise()) == expected


def test_who_has_an_older_store_does_not_withdraw_a_newer_one(machines: Sequence[Machine]) -> None:
    one, two, three = machines
    expected = contents(one.tokenise())
    older = two.tokenise()
    one.tokens.withdraw()
    newer = contents(three.tokenise(shard_bytes=2 * SMALL))
    os.utime(one.location.uri, (1, 1))
    published = set(listed(one.tokens.store))
    with pytest.raises(SharedStoreError, match="made anew by the next attempt"):
        contents(older)
    assert set(listed(one.tokens.store)) == published
    assert newer == contents(two.tokenise()) == expected


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("starts.npy", "lengths.npy", "text_key.npy") for damage in ("flip", "remove")),
        *((name, damage) for name in ("manifest.json", "table.pointer.json") for damage in ("truncate", "remove")),
    ],
)
def test_damage_elsewhere_is_mended_without_tokenising(
    machines: Sequence[Machine], encoded: list[str], name: str, damage: str
) -> None:
    one, two, three = machines
    expected = contents(one.tokenise())
    stem, _, suffix = name.rpartition(".")
    (place,) = [
        found
        for found in listed(one.tokens.store)
        if found.endswith(f"/{name}") or (f"/{stem}." in found and found.endswith(f".{suffix}"))
    ]
    stored(one.tokens.store, place.rpartition("/")[0], place.rpartition("/")[2]).hurt(damage)
    encoded.clear()
    found = two.tokenise()
    np.testing.assert_array_equal(found.documents.text_key, scan_corpus(one.location)[0].text_key)
    assert contents(found) == expected
    assert encoded == []
    Path(one.location.uri).unlink()
    last = three.find()
    assert last is not None
    assert len(last.documents) == len(MANY)
    assert contents(last) == expected


def test_a_damaged_copy_is_fetched_again(machines: Sequence[Machine], encoded: list[str]) -> None:
    one, two, _ = machines
    expected = contents(one.tokenise())
    assert contents(two.tokenise()) == expected
    encoded.clear()
    path = two.place / two.copied()[2]
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    (two.place / two.copied()[0]).unlink()
    assert contents(two.tokenise()) == expected
    assert encoded == []


def test_a_whole_store_here_asks_the_shared_one_nothing(
    machines: Sequence[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, _ = machines
    expected = contents(one.tokenise())
    two.tokenise().fetch(np.arange(len(MANY)))
    assert two.tokenise().documents is not None
    monkeypatch.setattr(SharedStore, "_open", lambda _: pytest.fail("the shared store was asked"))
    assert contents(one.tokenise()) == contents(two.tokenise()) == expected


def test_a_machine_that_shares_nothing_asks_nobody_and_hashes_no_more(
    machines: Sequence[Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedStore, "_open", lambda _: pytest.fail("a shared store was asked"))
    monkeypatch.setattr(sharing, "checksum", lambda _: pytest.fail("a file was read once more"))
    machine = alone(machines[0])
    assert len(machine.tokenise()) == len(MANY)
    assert machine.tokenise().fetch_shards is None


def test_a_store_that_does_not_answer_is_an_error_and_costs_nothing_that_was_made(
    machines: Sequence[Machine], encoded: list[str]
) -> None:
    one = machines[0]
    assert one.shared is not None
    lost = Machine(one.folder, one.location, one.registered, SharedStore(url=f"file://{one.folder}/not/mounted"))
    with pytest.raises(SharedStoreError, match=r"not/mounted cannot be used.*is it mounted"):
        lost.tokenise()
    assert encoded == []
    for span in spans_of(one.making)[:3]:
        tokenise_shard(one.making, span)
    encoded.clear()
    one.tokenise()
    assert 0 < len(encoded) < len(MANY)


def test_a_changed_corpus_is_refused_and_nothing_of_it_stays(machines: Sequence[Machine]) -> None:
    one, two, _ = machines
    path = Path(one.location.uri)
    path.write_bytes(path.read_bytes().replace(b"document 7 of many", b"document 7 of maNy"))
    with pytest.raises(CorpusChangedError):
        one.tokenise()
    assert [name for name in listed(one.tokens.store) if name.startswith("tokens/")] == []
    assert two.find() is None


def test_what_was_made_before_there_was_a_shared_store_can_be_published(
    machines: Sequence[Machine], encoded: list[str]
) -> None:
    one, two, _ = machines
    expected = contents(Machine(one.folder, one.location, one.registered, None).tokenise())
    assert listed(one.tokens.store) == []
    documents = one.folder / "tokens" / one.registered / "documents"
    publish_tokens(one.tokens, documents)
    published = listed(one.tokens.store)
    publish_tokens(one.tokens, documents)
    publish_tokens(two.tokens, two.documents)  # which has none
    assert listed(one.tokens.store) == published
    encoded.clear()
    assert contents(two.tokenise()) == expected
    assert encoded == []


def test_words_of_another_machine_are_no_paths_of_this_one(machines: Sequence[Machine]) -> None:
    one, two, _ = machines
    one.tokenise()
    key = f"{one.tokens.key}/manifest.json"
    manifest = one.tokens.store.read(key)
    assert manifest is not None
    for change in (
        {"shards": [{**manifest["shards"][0], "name": "../../../outside"}]},
        {"shards": [{**manifest["shards"][0], "tokens_checksum": "../x"}]},
        {"shards": [{**manifest["shards"][0], "dtype": "object"}]},
        {"index": {"../starts.npy": [1, "0" * 32], "lengths.npy": [1, "0" * 32]}},
        {"corpus": "another"},
        {"dtype": "float64"},
        {"version": 99},
    ):
        one.tokens.store.write(key, manifest | change)
        assert two.find() is None
    spans = [name for name in listed(one.tokens.store) if "/spans/" in name]
    broken = json.dumps([{"name": "../x"}])
    one.tokens.store.write(spans[0], json.loads(broken))
    assert one.tokens.find_span(Path(spans[0]).stem) == []
    assert not (two.folder / "outside").exists()


def test_imported_tokens_are_shared_with_their_table_and_what_is_lost(
    machines: Sequence[Machine], tmp_path: Path
) -> None:
    one, two, _ = machines
    assert one.shared is not None
    flat = np.array([5, 6, 7, TOKENIZER.end_of_text, 8, 9, TOKENIZER.end_of_text], dtype=np.uint16)
    np.save(tmp_path / "flat.npy", flat)
    made = import_tokens(tmp_path / "flat.npy", TOKENIZER, one.folder / "tokens")
    here = open_tokens(one.folder / "tokens", made.fingerprint, TOKENIZER.fingerprint)
    assert here is not None
    documents = one.folder / "documents" / made.fingerprint
    here.documents.save(documents)
    place = one.folder / "tokens" / made.fingerprint / TOKENIZER.fingerprint
    publish_tokens(SharedTokens(store=one.shared, place=place), documents)
    there = find_tokens(
        two.folder / "tokens",
        made.fingerprint,
        TOKENIZER.fingerprint,
        two.shared,
        two.folder / "documents" / made.fingerprint,
    )
    assert there is not None
    assert contents(there) == contents(here)
    assert there.lost == here.lost
    np.testing.assert_array_equal(there.documents.key, here.documents.key)


def count_characters(text: str) -> int:
    return len(text)


LENGTH = TextColumn(name="length-v1", dtype=np.int64, compute=count_characters)


@pytest.mark.parametrize("damage", [None, "flip", "truncate", "remove"])
def test_a_column_is_computed_by_one_machine_unless_it_is_damaged(
    machines: Sequence[Machine], damage: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = machines
    expected = column(one)
    (name,) = [name for name in listed(one.tokens.store) if name.endswith(".npy")]
    if damage is not None:
        stored(one.tokens.store, name.rpartition("/")[0], name.rpartition("/")[2]).hurt(damage)
        np.testing.assert_array_equal(column(two), expected)
    monkeypatch.setattr("proxy.data.columns.follow", lambda *_: pytest.fail("the corpus was read"))
    np.testing.assert_array_equal(column(three), expected)


def column(machine: Machine) -> np.ndarray:
    found = ensure_columns(
        machine.location, machine.registered, machine.folder / "documents", [LENGTH], shared=machine.shared
    )
    return np.asarray(found[LENGTH.name])


def test_a_purge_leaves_nothing_of_the_content_and_all_of_others(machines: Sequence[Machine], tmp_path: Path) -> None:
    one = machines[0]
    assert one.shared is not None
    one.tokenise()
    column(one)
    other = CorpusLocation(uri=str(write(tmp_path, "b.jsonl", records("other", "texts"))))
    print_ = scan_corpus(other)[1].fingerprint
    overlap = TextColumn(name=f"overlap-n1-13-{one.registered}", dtype=np.int64, compute=count_characters)
    ensure_columns(other, print_, one.folder / "documents", [LENGTH, overlap], shared=one.shared)
    scan_corpus(other)[0].save(one.folder / "documents" / print_)
    publish_table(one.shared, one.folder / "documents" / print_, print_)
    files, size = purge_shared(one.shared, [one.registered])
    assert files > len(one.copied())
    assert size > 0
    left = listed(one.shared)
    assert [name for name in left if one.registered in name] == []
    assert len([name for name in left if print_ in name and LENGTH.name in name]) == 2
    assert purge_shared(one.shared, [one.registered]) == (0, 0)
