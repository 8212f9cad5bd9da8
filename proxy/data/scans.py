"""Scans that are remembered: files that were read once are not parsed again, whatever they are called now.

Files are known by place, size and time (or an object store's tag); else, as when they were moved, by size and the hash
of their bytes as they lie on disk (compressed). `<folder>/known/<identity>.json` says what was counted in them.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from proxy.data.arrays import save_json
from proxy.data.corpora import CorpusLocation
from proxy.data.documents import CorpusCounts, DocumentTable, Progress, scan_corpus
from proxy.data.files import SUFFIXES, CorpusFile, LocalFile, find_files
from proxy.errors import ConflictError

FileIdentity = list[str]

READING = 1  # raised when the same bytes give other documents, or other keys


def scan_once(location: CorpusLocation, folder: Path, progress: Progress | None = None) -> CorpusCounts:
    """Counts of the corpus, its table in `<folder>/<fingerprint>`; InvalidInputError or CorpusChangedError as in
    reading. With the table still there, files that were read to their end once are not parsed again."""
    files = find_files(location)
    stated = _identity(location, [_state_of(file) for file in files])
    if (counts := _known(folder, stated)) is not None:
        return counts
    hashed = _identity(location, [_hash_of(file) for file in files])
    counts = _known(folder, hashed) or _scan(location, folder, progress)
    if find_files(location) == files:  # else what was read may be other bytes than those
        for identity in {stated, hashed} - {None}:
            save_json(folder / "known" / f"{identity}.json", asdict(counts))
    return counts


def was_read(location: CorpusLocation, folder: Path) -> bool:
    """Whether these files, unchanged since, were read to their end once; opens none of them."""
    return _known(folder, _identity(location, [_state_of(file) for file in find_files(location)])) is not None


def _scan(location: CorpusLocation, folder: Path, progress: Progress | None) -> CorpusCounts:
    table, counts = scan_corpus(location, progress)
    table.save(folder / counts.fingerprint)
    return counts


def _known(folder: Path, identity: str | None) -> CorpusCounts | None:
    """What was counted before, if it can be read and the table is whole."""
    try:
        counts = CorpusCounts(**json.loads((folder / "known" / f"{identity}.json").read_bytes()))
        table = DocumentTable.load(folder / counts.fingerprint)
    except (FileNotFoundError, ValueError, TypeError, ConflictError):
        return None
    return counts if len(table) == counts.documents else None


def _identity(location: CorpusLocation, files: list[FileIdentity | None]) -> str | None:
    """Of the files in any order, and of what is read of them; None if one cannot be told from others."""
    if None in files:
        return None
    read = [READING, location.text_field, sorted(location.fields), sorted(map(json.dumps, files))]
    return hashlib.blake2b(json.dumps(read).encode(), digest_size=16).hexdigest()


def _state_of(file: CorpusFile) -> FileIdentity | None:
    state = file.state
    return None if state.version is None else [file.place, str(state.size), state.version]


def _hash_of(file: CorpusFile) -> FileIdentity | None:
    """Of a local file; what is read of it depends on the end of its name."""
    if not isinstance(file, LocalFile):
        return None
    suffix = max((suffix for suffix in SUFFIXES if file.place.endswith(suffix)), key=len)
    try:
        with file.path.open("rb") as raw:
            return [suffix, str(file.state.size), hashlib.file_digest(raw, "sha256").hexdigest()]
    except OSError:  # the scan says which file it is
        return None
