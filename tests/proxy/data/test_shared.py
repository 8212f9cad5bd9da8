"""A shared store in memory and on a disk that is mounted: whole files or none, and errors without keys."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from proxy.data.shared import SharedStore, StoredFile
from proxy.errors import DriverMissingError, SharedStoreError
from tests.proxy.data.material import stored


@pytest.fixture(params=["memory", "file"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedStore]:
    """An empty store of each kind."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs.clear()
    (tmp_path / "mnt").mkdir()
    yield SharedStore(url="memory://bucket/folder" if request.param == "memory" else f"file://{tmp_path}/mnt")
    memory.store.clear()


def put(shared: SharedStore, tmp_path: Path, content: bytes = b"tokens", *, again: bool = False) -> StoredFile:
    path = tmp_path / "shard.tokens"
    path.write_bytes(content)
    file = StoredFile.of(path)
    shared.put(path, "a/b", file, again=again)
    return file


def test_a_file_comes_back_as_it_was(shared: SharedStore, tmp_path: Path) -> None:
    file = put(shared, tmp_path)
    target = tmp_path / "elsewhere" / "copy"
    assert shared.fetch("a/b", file, target)
    assert target.read_bytes() == b"tokens"
    assert [path.name for path in target.parent.iterdir()] == ["copy"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_what_is_damaged_is_not_taken_and_leaves_nothing(shared: SharedStore, tmp_path: Path, damage: str) -> None:
    file = put(shared, tmp_path)
    stored(shared, "a/b", file).hurt(damage)
    target = tmp_path / "elsewhere" / "copy"
    assert not shared.fetch("a/b", file, target)
    assert list(target.parent.iterdir()) == []


def test_a_file_of_another_size_is_put_again_and_one_that_is_there_is_not(shared: SharedStore, tmp_path: Path) -> None:
    file = put(shared, tmp_path)
    there = stored(shared, "a/b", file)
    there.hurt("truncate")  # as a writer leaves it who was killed
    put(shared, tmp_path)
    assert there.read() == b"tokens"
    there.hurt("flip")
    put(shared, tmp_path)
    assert there.read() != b"tokens"
    put(shared, tmp_path, again=True)
    assert there.read() == b"tokens"


def test_a_pointer_is_read_whole_or_not_at_all(shared: SharedStore) -> None:
    assert shared.read("a/manifest.json") is None
    shared.write("a/manifest.json", {"files": [1, 2]})
    assert shared.read("a/manifest.json") == {"files": [1, 2]}
    stored(shared, "a", "manifest.json").hurt("truncate")
    assert shared.read("a/manifest.json") is None


def test_folders_and_matching_files_are_removed_and_counted(shared: SharedStore, tmp_path: Path) -> None:
    file = put(shared, tmp_path)
    for name in ("one/columns/overlap-a.npy", "two/columns/overlap-a.json", "two/columns/words.npy"):
        shared.write(name, {})
    assert shared.remove("a") == (1, file.size)
    assert shared.remove("a") == shared.remove("none") == (0, 0)
    assert shared.remove_matching("*/columns/overlap-a.*") == (2, 4)
    assert shared.remove_matching("*/columns/overlap-a.*") == (0, 0)
    assert shared.read("two/columns/words.npy") == {}


@pytest.mark.parametrize("content", [None, [], {"name": "../x", "size": 1, "checksum": "0" * 32}, {"name": "x"},
    {"name": "x", "size": -1, "checksum": "0" * 32}, {"name": "x", "size": "many", "checksum": "0" * 32},
    {"name": "x", "size": 1, "checksum": "../../x"}, {"name": 3, "size": 1, "checksum": "0" * 32}])  # fmt: skip
def test_what_describes_no_plain_file_is_none(content: Any) -> None:
    assert StoredFile.from_json(content) is None


def test_a_driver_that_is_not_installed_is_named() -> None:
    with pytest.raises(
        DriverMissingError, match=r"s3://bucket/x needs a package that is not installed.*s3fs"
    ) as caught:
        SharedStore(url="s3://bucket/x").read("key")
    assert not caught.value.is_retryable


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(SharedStoreError, match=r"nothing://bucket/x cannot be used.*Protocol not known"):
        SharedStore(url="nothing://bucket/x").read("key")


def test_a_store_that_does_not_answer_is_named_without_its_keys() -> None:
    store = SharedStore(url="ftp://user:s3cr%65t@127.0.0.1:1/shared")
    with pytest.raises(SharedStoreError) as caught:
        store.write("key", {})
    words = str(caught.value)
    assert words.startswith("the shared store ftp://127.0.0.1:1/shared cannot be used: ConnectionRefusedError")
    assert not any(secret in words for secret in ("s3cr", "user"))
    assert caught.value.is_retryable
    assert caught.value.__cause__ is None


def test_a_drivers_words_are_said_without_keys() -> None:
    store = SharedStore(url="x://user:secret@host/shared")
    found = store._reason(ValueError("no x://user:secret@host/shared, nor y://other:key@host; tried 'secret'"))
    assert found == "ValueError: no x://…@host/shared, nor y://…@host; tried '…'"


def test_a_disk_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    store = SharedStore(url=f"file://{tmp_path}/mnt")
    for use in (lambda: store.read("key"), lambda: store.write("key", {}), lambda: store.remove("key")):
        with pytest.raises(SharedStoreError, match="is it mounted"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_full_or_lost_disk_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "mnt" / "a").mkdir(parents=True)
    store = SharedStore(url=f"file://{tmp_path}/mnt")
    (tmp_path / "mnt" / "a" / "b").write_text("a file where a folder should be")
    with pytest.raises(SharedStoreError, match="cannot be used"):
        put(store, tmp_path)
    shutil.rmtree(tmp_path / "mnt")
    with pytest.raises(SharedStoreError, match="is it mounted"):
        put(store, tmp_path)
