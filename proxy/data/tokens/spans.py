"""Spans: the pieces of a corpus that are tokenised one by one, known from names and sizes without reading any text.

Files in sorted order; small ones are grouped until they hold `shard_bytes`; a plain .jsonl that is larger is cut at
multiples of it (a line belongs to the span it begins in), a .parquet into runs of whole row groups by the bytes that
its footer states. A compressed file cannot be entered in its middle: it is one span, and its shards are cut while it
is read. A span's source changes with its files' sizes and times, so that what was made of other files is not used.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from proxy.data.corpora import CorpusFile, CorpusLocation, FilePart, Raw, find_files, read_raw
from proxy.data.files import LINES
from proxy.errors import InvalidInputError
from proxy.fingerprints import fingerprint

SHARD_BYTES = 1 << 27  # of text: about 20 seconds of one core, and what a kill costs at most


@dataclass(frozen=True, kw_only=True)
class Span:
    """Span number `index`: its parts of files, their bytes on disk, and the fingerprint of what it is made from."""

    index: int
    parts: tuple[FilePart, ...]
    bytes_on_disk: int
    source: str

    def to_json(self) -> dict[str, Any]:
        """As a job's message carries it."""
        parts = [{"place": part.file.place, "start": part.start, "stop": part.stop} for part in self.parts]
        return {"index": self.index, "parts": parts, "bytes_on_disk": self.bytes_on_disk, "source": self.source}

    @classmethod
    def from_json(cls, content: dict[str, Any], location: CorpusLocation) -> "Span":
        """Reads what `to_json` made. InvalidInputError at /uri for a file that is there no more."""
        return cls(**{**content, "parts": tuple(_part(part, location) for part in content["parts"])})


def _part(content: dict[str, Any], location: CorpusLocation) -> FilePart:
    (file,) = find_files(replace(location, uri=content["place"]))
    return FilePart(file=file, start=content["start"], stop=content["stop"])


def plan_spans(location: CorpusLocation, made_by: str = "", shard_bytes: int = SHARD_BYTES) -> tuple[Span, ...]:
    """All spans; `made_by` names whatever else shards depend on. InvalidInputError at /uri if there is no file."""
    files = find_files(location)
    groups = list(_groups(files, shard_bytes))
    root = _common_folders([file.place for file in files])
    reading = [location.text_field, list(location.fields), made_by, shard_bytes]
    return tuple(
        Span(
            index=index,
            parts=parts,
            bytes_on_disk=sum(_size(part) for part in parts),
            source=fingerprint([*reading, [_identity(part, root) for part in parts]]),
        )
        for index, parts in enumerate(groups)
    )


def read_span(span: Span, location: CorpusLocation) -> Iterator[Raw]:
    """Its documents before they are parsed."""
    for part in span.parts:
        yield from read_raw(part, location)


def _groups(files: list[CorpusFile], shard_bytes: int) -> Iterator[tuple[FilePart, ...]]:
    group: list[FilePart] = []
    size = 0
    for file in files:
        parts = _split(file, shard_bytes)
        here = _bytes_of(file)
        if group and (len(parts) > 1 or size + here > shard_bytes):
            yield tuple(group)
            group, size = [], 0
        if len(parts) > 1:
            yield from ((part,) for part in parts)
        else:
            group, size = [*group, *parts], size + here
    if group:
        yield tuple(group)


def _split(file: CorpusFile, shard_bytes: int) -> list[FilePart]:
    whole = FilePart(file=file)
    if file.place.endswith(".parquet"):
        return [replace(whole, start=start, stop=stop) for start, stop in _row_groups(file, shard_bytes)]
    size = _bytes_of(file)
    if not file.place.endswith(LINES) or size <= shard_bytes:
        return [whole]
    starts = range(0, size, shard_bytes)
    return [replace(whole, start=start, stop=min(start + shard_bytes, size)) for start in starts]


def _bytes_of(file: CorpusFile) -> int:
    """On disk; a store that does not say is taken for empty, and its files are grouped as small ones."""
    return file.state.size or 0


def _row_groups(file: CorpusFile, shard_bytes: int) -> list[tuple[int, int | None]]:
    """Runs of row groups of at most `shard_bytes` uncompressed, or a single larger one."""
    metadata = _footer(file)
    runs, start, size = [], 0, 0
    for group in range(metadata.num_row_groups):
        here = metadata.row_group(group).total_byte_size
        if group > start and size + here > shard_bytes:
            runs.append((start, group))
            start, size = group, 0
        size += here
    return [*runs, (start, metadata.num_row_groups)] if runs else [(0, None)]


def _footer(file: CorpusFile) -> Any:
    """A Parquet file's description of itself. InvalidInputError at /uri if there is none."""
    import pyarrow
    from pyarrow import parquet

    try:
        with file.open() as raw:
            return parquet.read_metadata(raw)
    except (pyarrow.ArrowException, OSError) as error:
        raise InvalidInputError.at("/uri", file.place, f"is no readable Parquet file: {error}") from error


def _size(part: FilePart) -> int:
    """Bytes on disk: of a Parquet file cut into runs, each run counts the whole file's share of row groups."""
    if part.stop is None:
        return _bytes_of(part.file)
    if not part.file.place.endswith(".parquet"):
        return part.stop - part.start
    metadata = _footer(part.file)
    return sum(
        metadata.row_group(group).column(column).total_compressed_size
        for group in range(part.start, part.stop)
        for column in range(metadata.num_columns)
    )


def _common_folders(places: Sequence[str]) -> int:
    """How many leading folders all places share."""
    folders = [place.split("/")[:-1] for place in places]
    shared = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    return len(list(shared))


def _identity(part: FilePart, root: int) -> list[Any]:
    """Name below the common folder, size and time of its file, and which part."""
    state = part.file.state
    return [part.file.place.split("/")[root:], state.size, state.version, part.start, part.stop]
