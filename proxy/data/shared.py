"""What machines share: a folder of an object store, read and written through fsspec.

A file lies there under a name that holds its checksum and is found through a pointer: a small JSON file, written after
the files that it names. So nobody sees half of anything, two that write at once write the same, and what is cut off or
damaged is told from what is whole. Copies on this machine are fetched under a hidden name, checked and renamed.

Whatever a driver raises becomes a SharedStoreError with the store's name: its URL without user, password and query.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from proxy.data.arrays import checksum, whole_file
from proxy.errors import DriverMissingError, ForetasteError, SharedStoreError

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")  # what a pointer may name: never a way out of a folder
DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file's name on a machine, its size in bytes and its checksum (BLAKE2b, 128 bits)."""

    name: str
    size: int
    checksum: str

    @classmethod
    def of(cls, path: Path) -> "StoredFile":
        """Reads the file to its end."""
        return cls(name=path.name, size=path.stat().st_size, checksum=checksum(path))

    @property
    def key(self) -> str:
        """Its name in the store: the checksum before what the name ends in."""
        stem, dot, suffix = self.name.rpartition(".")
        return f"{stem}.{self.checksum}.{suffix}" if dot else f"{self.name}.{self.checksum}"

    def is_at(self, path: Path) -> bool:
        """Whether a whole file lies there: by its size, for what has another name was never checked."""
        try:
            return path.stat().st_size == self.size
        except OSError:
            return False

    def to_json(self) -> dict[str, Any]:
        """As a pointer says it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> "StoredFile | None":
        """None for what is no description of a plain file."""
        try:
            made = cls(name=content["name"], size=int(content["size"]), checksum=content["checksum"])
            is_plain = PLAIN_NAME.fullmatch(made.name) and DIGEST.fullmatch(made.checksum) and made.size >= 0
        except (TypeError, KeyError, ValueError):
            return None
        return made if is_plain else None


@dataclass(frozen=True, kw_only=True)
class SharedStore:
    """A folder of a store, as `s3://bucket/folder`; keys are paths below it. SharedStoreError wherever it fails."""

    url: str

    @property
    def name(self) -> str:
        """What people may read of its URL."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def read(self, key: str) -> Any | None:
        """What a pointer says; None if there is none, or none that is whole."""
        content = self._do(lambda store, place: store.cat_file(place), key)
        try:
            return None if content is None else json.loads(content)
        except ValueError:
            return None

    def write(self, key: str, content: Any) -> None:
        """Writes a pointer, after what it points at."""
        raw = json.dumps(content).encode()

        def write(store: Any, place: str) -> None:
            if (path := _local(store, place)) is None:
                _with_folders(store, place, lambda: store.pipe_file(place, raw))
                return
            with whole_file(path) as partial:
                partial.write_bytes(raw)

        self._do(write, key, is_new=True)

    def put(self, path: Path, folder: str, file: StoredFile, *, again: bool = False) -> None:
        """Copies a local file to the store, unless one of its size lies there under its name; `again`: also then."""

        def put(store: Any, place: str) -> None:
            if not again and _size(store, place) == file.size:
                return
            if (target := _local(store, place)) is None:
                _with_folders(store, place, lambda: store.put_file(str(path), place))
                return
            with whole_file(target) as partial:
                shutil.copyfile(path, partial)

        self._do(put, f"{folder}/{file.key}", is_new=True)

    def fetch(self, folder: str, file: StoredFile, path: Path) -> bool:
        """Copies a file to `path`, whole or not at all; False if it is missing in the store, cut off or damaged."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
        try:
            self._do(lambda store, place: store.get_file(place, str(partial)), f"{folder}/{file.key}")
            if not file.is_at(partial) or checksum(partial) != file.checksum:
                return False
            os.replace(partial, path)
            return True
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, folder: str) -> tuple[int, int]:
        """Removes a folder with all that is in it; how many files and bytes that were."""

        def remove(store: Any, place: str) -> tuple[int, int]:
            found = store.find(place, detail=True)
            if store.exists(place):
                store.rm(place, recursive=True)
            return len(found), sum(entry["size"] or 0 for entry in found.values())

        return cast("tuple[int, int]", self._do(remove, folder) or (0, 0))

    def remove_matching(self, pattern: str) -> tuple[int, int]:
        """Removes the files that a glob finds; how many files and bytes that were."""

        def remove(store: Any, place: str) -> tuple[int, int]:
            found = {name: one for name, one in store.glob(place, detail=True).items() if one["type"] == "file"}
            for name in found:
                store.rm_file(name)
            return len(found), sum(entry["size"] or 0 for entry in found.values())

        return cast("tuple[int, int]", self._do(remove, pattern) or (0, 0))

    def _do(self, action: Callable[[Any, str], Any], key: str, *, is_new: bool = False) -> Any | None:
        """The action's answer; None where what it reads is not there."""
        with self._drivers_faults():
            store, root = self._open()
            try:
                return action(store, f"{root}/{key}")
            except FileNotFoundError:
                if is_new:
                    raise
                return None

    def _open(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        store, root = url_to_fs(self.url)
        store.invalidate_cache()  # others write at the same time
        folder = _local(store, root)
        if folder is not None and not folder.is_dir():
            raise FileNotFoundError(f"there is no folder {folder}; is it mounted?")
        return store, root.rstrip("/")

    @contextmanager
    def _drivers_faults(self) -> Iterator[None]:
        try:
            yield
        except ForetasteError:
            raise
        except ImportError as error:
            message = f"the shared store {self.name} needs a package that is not installed: {self._reason(error)}"
            raise DriverMissingError(message) from None
        except Exception as error:  # noqa: BLE001 - each driver raises what its library raises
            raise SharedStoreError(f"the shared store {self.name} cannot be used: {self._reason(error)}") from None

    def _reason(self, error: Exception) -> str:
        """A driver's words without what the URL says of keys."""
        words = f"{type(error).__name__}: {error}"
        parts = urlsplit(self.url)
        account = parts.netloc.rpartition("@")[0]
        secrets = {account, *account.split(":", 1)[1:], parts.query, parts.fragment}
        for secret in sorted({*secrets, *map(unquote, secrets)} - {""}, key=len, reverse=True):
            words = words.replace(secret, "…")
        return re.sub(r"://[^/@\s]*@", "://…@", words)


def _local(store: Any, place: str) -> Path | None:
    """The path of what lies on a disk of this machine, or one that is mounted there."""
    from fsspec.implementations.local import LocalFileSystem

    return Path(place) if isinstance(store, LocalFileSystem) else None


def _size(store: Any, place: str) -> int | None:
    try:
        size = cast("Mapping[str, Any]", store.info(place)).get("size")
    except FileNotFoundError:
        return None
    return None if size is None else int(size)


def _with_folders(store: Any, place: str, write: Callable[[], None]) -> None:
    """Object stores have no folders; others want them made."""
    try:
        write()
    except FileNotFoundError:
        store.makedirs(place.rpartition("/")[0], exist_ok=True)
        write()
