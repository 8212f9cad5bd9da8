"""Removing from the artifact folder all that was derived from a content: its table and columns, its tokens, what other
corpora's columns say of their overlap with it, copies of remote files; and the same from the store that machines share.
Nothing outside the two is ever touched."""

import json
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.data.files import is_url
from proxy.data.remote import cache_folder, forget_copies
from proxy.data.shared_tables import purge_shared
from proxy.errors import ConflictError
from worker.artifacts import Place, copies_folder, documents_folder, documents_path, tokens_folder
from worker.sharing import shared_store


@dataclass(frozen=True, kw_only=True)
class Purged:
    """How much was removed."""

    files: int
    bytes: int


def purge(place: Place, contents: Iterable[str], uris: Iterable[str]) -> Purged:
    """Removes everything of these contents, here and in the store that machines share, and the copies of these URLs;
    again is harmless. ConflictError if something could not be removed, SharedStoreError if the store does not answer.

    Other machines' copies go when their own reconcilers look.
    """
    contents = set(contents)
    shared = shared_store(place)
    shared_files, shared_bytes = (0, 0) if shared is None else purge_shared(shared, contents)
    remote = [uri for uri in uris if is_url(uri)]
    folders = [folder for content in contents for folder in _folders(place, content)]
    copies = [cache_folder(copies_folder(place), uri) for uri in remote]
    loose = [*_overlaps(place, contents), *_remembered(place, contents)] if contents else []
    files = [path for folder in (*folders, *copies) for path in folder.rglob("*") if path.is_file()] + loose
    purged = Purged(files=shared_files + len(files), bytes=shared_bytes + sum(map(_size, files)))
    for uri in remote:
        forget_copies(copies_folder(place), uri)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    for path in loose:
        path.unlink(missing_ok=True)
    if left := [str(path) for path in (*folders, *copies, *loose) if path.exists()]:
        raise ConflictError(f"{', '.join(left)} could not be removed; send it again once they can be")
    return purged


def left_behind(place: Place, contents: Collection[str]) -> list[str]:
    """Those of which a folder lies there."""
    return [content for content in contents if any(folder.exists() for folder in _folders(place, content))]


def _folders(place: Place, content: str) -> tuple[Path, Path]:
    return tokens_folder(place) / content, documents_path(place, content)


def _overlaps(place: Place, contents: Collection[str]) -> Iterator[Path]:
    """Columns of any corpus that were computed against one of these."""
    for content in contents:
        yield from documents_folder(place).glob(f"*/columns/overlap-*-{content}.npy")


def _remembered(place: Place, contents: Collection[str]) -> Iterator[Path]:
    """Notes of what was counted in which files."""
    for path in (documents_folder(place) / "known").glob("*.json"):
        try:
            content = json.loads(path.read_bytes()).get("fingerprint")
        except (OSError, ValueError, AttributeError):
            continue
        if content in contents:
            yield path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another purge was first
        return 0
