"""Where a corpus's files are: a local file, folder or glob, or a URL that fsspec reads; and what may be read at all.

Every file is checked against the roots after links were followed, and it is the resolved file that is opened.
"""

import glob
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

from proxy.errors import InvalidInputError

COMPRESSIONS = ("", ".gz", ".zst")
LINES = (".jsonl", ".ndjson")
SUFFIXES = (
    *(f"{lines}{compression}" for lines in LINES for compression in COMPRESSIONS),
    ".json.gz",  # JSON lines in all published corpora; a plain .json may be anything
    ".json.zst",
    ".parquet",
)
ANY_LOCAL_PATH = ("/",)
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")


@dataclass(frozen=True, kw_only=True)
class CorpusLocation:
    """Where documents lie: a file, a folder (searched recursively) or a glob, or a URL of one; which fields are read.

    Nothing outside `roots`, folders and URL prefixes, is read. Copies of remote files are kept in `cache`; without
    one they are read as they come.
    """

    uri: str
    text_field: str = "text"
    fields: tuple[str, ...] = ()
    roots: tuple[str, ...] = ANY_LOCAL_PATH
    cache: Path | None = None


@dataclass(frozen=True, kw_only=True)
class FileState:
    """What changes when a file does: its size in bytes and its time or tag; None where the store does not say."""

    size: int | None
    version: str | None


class CorpusFile(ABC):
    """One file of a corpus; `place` is its path or URL, `state` what it was when it was found."""

    place: str
    state: FileState

    @abstractmethod
    def open(self) -> IO[bytes]:
        """Its bytes from the beginning. OSError if they cannot be read."""

    @abstractmethod
    def now(self) -> FileState:
        """Its state at this moment."""


@dataclass(frozen=True, kw_only=True)
class LocalFile(CorpusFile):
    """A file of this machine; `path` is where it really lies."""

    place: str
    state: FileState
    path: Path

    def open(self) -> IO[bytes]:
        return self.path.open("rb")

    def now(self) -> FileState:
        return _state(self.path)


def find_files(location: CorpusLocation) -> list[CorpusFile]:
    """The corpus's files in sorted order. InvalidInputError at /uri: outside the roots, nothing there, unknown type."""
    require_within(location.uri, location.roots)
    if is_url(location.uri):
        from proxy.data.remote import find_remote

        files: Sequence[CorpusFile] = find_remote(location)
    else:
        files = _find_local(location)
    if not files:
        raise InvalidInputError.at("/uri", location.uri, "no file is there")
    for file in files:
        if not file.place.endswith(SUFFIXES):
            raise InvalidInputError.at("/uri", file.place, f"unknown file type; known are {', '.join(SUFFIXES)}")
    return list(files)


def is_url(uri: str) -> bool:
    """Whether fsspec is asked for it."""
    return URL.match(uri) is not None


def require_within(uri: str, roots: Sequence[str]) -> None:
    """InvalidInputError at /uri for what lies outside all roots, before anything is looked for."""
    if is_url(uri):
        _require_url_within(uri, roots)
    else:
        _require_path_within(uri, _resolved(uri, _without_wildcards(uri)), roots)


def _find_local(location: CorpusLocation) -> list[CorpusFile]:
    try:
        paths = sorted(inner for inner in _matches(location.uri) if inner.is_file())
    except OSError as error:  # a name that is too long, a folder that may not be searched
        raise InvalidInputError.at("/uri", location.uri, f"cannot be looked for: {error.strerror}") from error
    return [_local_file(path, location.roots) for path in paths]


def _local_file(path: Path, roots: Sequence[str]) -> LocalFile:
    real = _resolved(str(path), path)
    _require_path_within(str(path), real, roots)
    try:
        return LocalFile(place=str(path), state=_state(real), path=real)
    except OSError as error:
        raise InvalidInputError.at("/uri", str(path), f"cannot be read: {error.strerror}") from error


def _state(path: Path) -> FileState:
    stat = path.stat()
    return FileState(size=stat.st_size, version=str(stat.st_mtime_ns))


def _matches(uri: str) -> list[Path]:
    path = Path(uri)
    if path.is_dir():
        return [inner for inner in path.rglob("*") if inner.name.endswith(SUFFIXES)]
    if glob.has_magic(uri) and not path.exists():
        return [Path(match) for match in glob.glob(uri, recursive=True)]
    return [path]


def _without_wildcards(uri: str) -> Path:
    """The part of a path before its first wildcard: a glob finds nothing outside it but through links."""
    parts = Path(uri).parts
    count = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    if os.pardir in parts[count:]:
        raise InvalidInputError.at("/uri", uri, "'..' may not follow a wildcard")
    return Path(*parts[:count])


def _resolved(uri: str, path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # too long, a loop of links, a zero byte
        if isinstance(error, ValueError):
            raise InvalidInputError.at("/uri", uri, "no file is there") from error
        raise InvalidInputError.at("/uri", uri, f"cannot be looked for: {error}") from error


def _require_path_within(uri: str, real: Path, roots: Sequence[str]) -> None:
    folders = [Path(root).resolve() for root in roots if not is_url(root)]
    if not any(real.is_relative_to(folder) for folder in folders):
        raise _outside(uri, roots)


def _require_url_within(uri: str, roots: Sequence[str]) -> None:
    """Prefixes end at a slash. A chain of protocols or a way up could leave them."""
    if "::" in uri or uri.lower().startswith(("file:", "local:")):
        raise InvalidInputError.at("/uri", uri, "chained and file URLs are not read; give the path itself")
    if any(unquote(part) in (os.curdir, os.pardir) for part in re.split(r"[/\\]", unquote(uri))):
        raise InvalidInputError.at("/uri", uri, "'.' and '..' may not be part of a URL")
    prefixes = [root.rstrip("/") for root in roots if is_url(root)]
    if not any(uri == prefix or uri.startswith(f"{prefix}/") for prefix in prefixes):
        raise _outside(uri, roots)


def _outside(uri: str, roots: Sequence[str]) -> InvalidInputError:
    return InvalidInputError.at("/uri", uri, f"lies outside of what may be read: {', '.join(roots) or 'nothing'}")
