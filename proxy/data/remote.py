"""Corpora in object stores and on web servers, through fsspec; each protocol's driver is a package of its own.

With a cache, a file is copied once a version and read from the copy: `<cache>/<hash of the corpus's URI>/…`, so that
a corpus's copies can be removed together. Copies appear whole or not at all.
"""

import glob
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from proxy.data.arrays import whole_file
from proxy.data.files import SUFFIXES, CorpusFile, CorpusLocation, FileState, require_within
from proxy.errors import ForetasteError, InvalidInputError

VERSIONS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, kw_only=True)
class RemoteFile(CorpusFile):
    """A file of a store; `key` is its name there."""

    place: str
    state: FileState
    store: Any
    key: str
    cache: Path | None

    def open(self) -> IO[bytes]:
        with _drivers_faults(self.place):
            if self.cache is None or self.state.version is None:
                return cast("IO[bytes]", self.store.open(self.key, "rb"))
            return self._copy(self.cache).open("rb")

    def now(self) -> FileState:
        with _drivers_faults(self.place):
            self.store.invalidate_cache()
            return _state(self.store.info(self.key))

    def _copy(self, cache: Path) -> Path:
        words = f"{self.place}\n{self.state.size}\n{self.state.version}"
        path = cache / hashlib.blake2b(words.encode(), digest_size=16).hexdigest()
        if not path.exists():
            with whole_file(path) as partial:
                self.store.get_file(self.key, str(partial))
        return path


def find_remote(location: CorpusLocation) -> list[RemoteFile]:
    """Files of a URL in sorted order; empty if there are none. InvalidInputError if the driver cannot be used."""
    from fsspec.core import url_to_fs

    with _drivers_faults(location.uri):
        store, key = url_to_fs(location.uri)
        store.invalidate_cache()
        found = _matches(store, key)
    files = []
    for name, entry in sorted(found.items()):
        place = _as_asked(str(store.unstrip_protocol(name)), location.uri)
        require_within(place, location.roots)
        cache = None if location.cache is None else cache_folder(location.cache, location.uri)
        files.append(RemoteFile(place=place, state=_state(entry), store=store, key=name, cache=cache))
    return files


def cache_folder(cache: Path, uri: str) -> Path:
    """Where the copies of one corpus's files lie."""
    return cache / hashlib.blake2b(uri.encode(), digest_size=16).hexdigest()


def forget_copies(cache: Path, uri: str) -> None:
    """Removes the copies of a corpus's files."""
    shutil.rmtree(cache_folder(cache, uri), ignore_errors=True)


def _matches(store: Any, key: str) -> dict[str, dict[str, Any]]:
    if store.isdir(key):
        inner = store.find(key, detail=True)
        return {name: entry for name, entry in inner.items() if name.endswith(SUFFIXES)}
    if glob.has_magic(key) and not store.exists(key):
        matches = store.glob(key, detail=True)
        return {name: entry for name, entry in matches.items() if entry["type"] == "file"}
    try:
        return {key: store.info(key)}
    except FileNotFoundError:
        return {}


def _state(entry: dict[str, Any]) -> FileState:
    version = next((_version(entry[name]) for name in VERSIONS if entry.get(name)), None)
    size = entry.get("size")
    return FileState(size=None if size is None else int(size), version=version)


def _version(value: Any) -> str:
    """Tags as they are; times as seconds, for stores list a file's time as a number and show it as a date."""
    if isinstance(value, datetime):
        value = value.timestamp()
    return f"{value:.6f}" if isinstance(value, int | float) else str(value)


def _as_asked(place: str, uri: str) -> str:
    """A store may write its URLs with more slashes or another name of the protocol than the user did."""
    return f"{uri.partition('://')[0]}://{place.partition('://')[2].removeprefix('/')}"


@contextmanager
def _drivers_faults(place: str) -> Iterator[None]:
    """Says what a driver could not do. OSError is left to the reader, which knows more."""
    try:
        yield
    except (ForetasteError, OSError):
        raise
    except ImportError as error:
        protocol = place.partition("://")[0]
        message = f"reading {protocol}:// needs a package that is not installed: {error}"
        raise InvalidInputError.at("/uri", place, message) from error
    except Exception as error:  # each driver raises what its library raises
        raise InvalidInputError.at("/uri", place, f"cannot be read: {error}") from error
