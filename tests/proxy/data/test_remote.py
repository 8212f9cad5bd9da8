"""Remote corpora: the same documents as on disk, copies that are whole and used again, and drivers' faults named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from proxy.data.corpora import CorpusLocation, find_files, read_documents
from proxy.data.documents import scan_corpus
from proxy.data.remote import cache_folder, forget_copies
from proxy.errors import CorpusChangedError, InvalidInputError
from tests.proxy.data.material import FORMATS, lines, records, write


@pytest.fixture
def store() -> Iterator[Any]:
    """An empty store in memory."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs.clear()
    yield memory
    memory.store.clear()


def location(uri: str, cache: Path | None = None) -> CorpusLocation:
    return CorpusLocation(uri=uri, roots=("memory://corpora",), cache=cache)


def read(uri: str, cache: Path | None = None) -> list[str]:
    return [document.text for document in read_documents(location(uri, cache))]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("is_cached", [False, True])
def test_every_format_is_read_and_has_the_fingerprint_of_the_local_files(
    tmp_path: Path, store: Any, suffix: str, is_cached: bool
) -> None:
    path = write(tmp_path, f"a.{suffix}", records("é", "two"))
    store.pipe(f"/corpora/a.{suffix}", path.read_bytes())
    remote = location(f"memory://corpora/a.{suffix}", tmp_path / "cache" if is_cached else None)
    assert scan_corpus(remote)[1] == scan_corpus(CorpusLocation(uri=str(path)))[1]


def test_folders_and_globs_are_found_in_sorted_order(store: Any) -> None:
    for name in ("b/1.jsonl", "a.jsonl", "c.jsonl"):
        store.pipe(f"/corpora/{name}", lines(records(name)))
    store.pipe("/corpora/README.md", b"no corpus")
    assert read("memory://corpora") == ["a.jsonl", "b/1.jsonl", "c.jsonl"]
    assert read("memory://corpora/?.jsonl") == ["a.jsonl", "c.jsonl"]
    places = [file.place for file in find_files(location("memory://corpora/b"))]
    assert places == ["memory://corpora/b/1.jsonl"]


def test_a_copy_is_read_again_until_the_file_changes_and_can_be_removed(tmp_path: Path, store: Any) -> None:
    uri = "memory://corpora/a.jsonl"
    store.pipe("/corpora/a.jsonl", lines(records("one")))
    assert read(uri, tmp_path) == ["one"]
    (copy,) = cache_folder(tmp_path, uri).iterdir()
    copy.write_bytes(lines(records("of the copy")))
    assert read(uri, tmp_path) == ["of the copy"]
    store.pipe("/corpora/a.jsonl", lines(records("another")))
    assert read(uri, tmp_path) == ["another"]
    forget_copies(tmp_path, uri)
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_breaks_off_leaves_nothing(tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(key: str, path: str) -> None:
        Path(path).write_bytes(b"half")
        raise ConnectionError("the line is dead")

    store.pipe("/corpora/a.jsonl", lines(records("one")))
    monkeypatch.setattr(type(store), "get_file", lambda self, key, path: break_off(key, path))
    with pytest.raises(InvalidInputError, match=r"memory://corpora/a.jsonl.*|the line is dead"):
        read("memory://corpora/a.jsonl", tmp_path)
    assert [inner for inner in tmp_path.rglob("*") if inner.is_file()] == []


def test_a_remote_file_that_changes_while_it_is_read_is_an_error(store: Any) -> None:
    store.pipe("/corpora/a.jsonl", lines(records("one", "two")))
    documents = read_documents(location("memory://corpora/a.jsonl"))
    next(documents)
    store.pipe("/corpora/a.jsonl", lines(records("three", "four", "five")))
    with pytest.raises(CorpusChangedError, match=r"memory://corpora/a.jsonl changed while it was read"):
        list(documents)


@pytest.mark.parametrize("uri", ["memory://corpora/missing.jsonl", "memory://corpora/*.jsonl", "memory://corpora"])
def test_nothing_there_is_an_error_with_the_url(store: Any, uri: str) -> None:
    with pytest.raises(InvalidInputError, match="no file is there") as caught:
        read(uri)
    assert caught.value.problems[0].value == uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://bucket/a.jsonl", r"reading s3:// needs a package that is not installed: Install s3fs"),
        ("nothing://bucket/a.jsonl", "cannot be read: Protocol not known: nothing"),
    ],
)
def test_a_protocol_without_a_driver_says_what_to_install(uri: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        find_files(CorpusLocation(uri=uri, roots=(uri,)))
    assert (caught.value.problems[0].pointer, caught.value.problems[0].value) == ("/uri", uri)


def test_whatever_a_driver_raises_is_an_error_that_names_the_url(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class CredentialsError(Exception):
        pass

    def refuse(*_: object, **__: object) -> None:
        raise CredentialsError("unable to locate credentials")

    monkeypatch.setattr(type(store), "isdir", refuse)
    with pytest.raises(InvalidInputError, match="cannot be read: unable to locate credentials"):
        read("memory://corpora")
