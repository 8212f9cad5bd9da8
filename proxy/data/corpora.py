"""Reading corpora: JSON lines (plain, gzip, Zstandard) and Parquet, streamed, one document at a time.

Every fault names the field of the registration it belongs to (`/uri`, `/text_field`, `/fields/0`) and the place
(file and line, or row) where it was found.
"""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from typing import IO, Any

import zstandard

from proxy.data.files import SUFFIXES, CorpusFile, CorpusLocation, FileState, find_files
from proxy.errors import CorpusChangedError, InvalidInputError

__all__ = [
    "SUFFIXES",
    "CorpusFile",
    "CorpusLocation",
    "Document",
    "FilePart",
    "Raw",
    "find_files",
    "parse_raw",
    "read_documents",
    "read_file",
    "read_raw",
]

PARQUET_BATCH_ROWS = 1024
PARQUET_BATCH_BYTES = 1 << 24
ZSTD_CHUNK_BYTES = 1 << 17  # compressed; text expands a thousandfold at worst, so this bounds what is held
ZSTD_WINDOW_BYTES = 1 << 31  # `zstd --long=31`, the largest there is


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text and the fields that were asked for, in that order; a field that is missing is None.

    `place` is the file and the line or row, for messages.
    """

    text: str
    fields: dict[str, Any] = field(default_factory=dict)
    place: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class FilePart:
    """A file, or a part of one: lines that begin in bytes [start, stop) of plain JSON lines, row groups [start, stop)
    of a .parquet. A compressed file has no parts."""

    file: CorpusFile
    start: int = 0
    stop: int | None = None


Raw = tuple[str, bytes | dict[str, Any]]  # where a document stands, and what stands there: a line or a row


def read_documents(location: CorpusLocation) -> Iterator[Document]:
    """All documents in the order of the sorted files. InvalidInputError at the first one that is wrong,
    CorpusChangedError if a file changes while it is read."""
    for file in find_files(location):
        yield from read_file(file, location)


def read_file(file: CorpusFile, location: CorpusLocation) -> Iterator[Document]:
    """All documents of one file, in order; errors as `read_documents`."""
    with _watched(file):
        for place, raw in _read(FilePart(file=file), location):
            document = parse_raw(place, raw, location)
            del raw  # it may be 100 MB, and so may the document
            yield document


def read_raw(part: FilePart, location: CorpusLocation) -> Iterator[Raw]:
    """The documents of a file or part before they are parsed, for who wants to pass over some."""
    with _watched(part.file):
        yield from _read(part, location)


def _read(part: FilePart, location: CorpusLocation) -> Iterator[Raw]:
    return (_raw_rows if part.file.place.endswith(".parquet") else _raw_lines)(part, location)


@contextmanager
def _watched(file: CorpusFile) -> Iterator[None]:
    """What goes wrong in a file that changed meanwhile is that it changed."""
    try:
        yield
    except InvalidInputError as error:
        require_unchanged(file, error)
        raise
    except OSError as error:
        require_unchanged(file, error)
        raise InvalidInputError.at("/uri", file.place, f"cannot be read: {error}") from error
    require_unchanged(file)


def parse_raw(place: str, raw: bytes | dict[str, Any], location: CorpusLocation) -> Document:
    """InvalidInputError for what is no document."""
    return parse_line(raw, place, location) if isinstance(raw, bytes) else _document(raw, place, location)


def require_unchanged(file: CorpusFile, cause: Exception | None = None) -> None:
    """CorpusChangedError if the file is no longer what it was when it was found."""
    try:
        now: FileState | None = file.now()
    except FileNotFoundError:
        now = None
    except (OSError, InvalidInputError):  # what cannot be looked at was not seen to change
        return
    if now != file.state:
        state = "is gone" if now is None else f"had {file.state.size} bytes and has {now.size}"
        raise CorpusChangedError(
            f"{file.place} changed while it was read ({state}, or it was written again); "
            "register the corpus again when its files are complete"
        ) from cause


def _raw_lines(part: FilePart, _: CorpusLocation) -> Iterator[Raw]:
    with part.file.open() as raw:
        if part.start or part.stop is not None:
            yield from _lines_between(part, raw)
            return
        lines = iter(_opened(part.file.place, raw))
        number = 0
        while True:
            number += 1
            place = f"{part.file.place}:{number}"
            try:
                line = next(lines, None)
            except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
                raise InvalidInputError.at("/uri", place, f"damaged or truncated file: {error}") from error
            if line is None:
                return
            if not line.isspace() and line:
                found, line = [line], None  # whoever takes it may let it go
                yield place, found.pop()


def _lines_between(part: FilePart, raw: IO[bytes]) -> Iterator[Raw]:
    """A line belongs to the part it begins in, so that parts need not know each other."""
    position = part.start
    if position:
        raw.seek(position - 1)
        position += len(raw.readline()) - 1
    while part.stop is None or position < part.stop:
        line = raw.readline()
        if not line:
            return
        if line.strip():
            yield f"{part.file.place}: line at byte {position}", line
        position += len(line)


def parse_line(line: bytes, place: str, location: CorpusLocation) -> Document:
    """The document of one line. InvalidInputError if it is none."""
    return _document(_parsed(line, place), place, location)


def _opened(place: str, raw: IO[bytes]) -> Iterator[bytes]:
    if place.endswith(".gz"):
        yield from gzip.GzipFile(fileobj=raw)
    elif place.endswith(".zst"):
        yield from _zstd_lines(raw)
    else:
        yield from raw


def _zstd_lines(raw: IO[bytes]) -> Iterator[bytes]:
    """Lines of a Zstandard file of one or more frames; unlike the library's reader, a truncated frame is an error."""
    parts: list[bytes] = []  # of a line that is not complete; joined once, for it may be 100 MB
    unread, is_inside = b"", False
    decompressor = _zstd_frame()
    while chunk := unread or raw.read(ZSTD_CHUNK_BYTES):
        is_inside = True
        *lines, left = decompressor.decompress(chunk).split(b"\n")
        unread = b""
        if decompressor.eof:
            unread = decompressor.unused_data
            decompressor, is_inside = _zstd_frame(), False
        for line in lines:
            whole, parts = b"".join((*parts, line)), []
            yield whole
        whole, lines = b"", []
        parts.append(left)
    if is_inside:
        raise zstandard.ZstdError("the last frame ends before its time")
    if any(parts):
        yield b"".join(parts)


def _zstd_frame() -> "zstandard.ZstdDecompressionObj":  # a name that only the stub has
    return zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).decompressobj()


def _parsed(line: bytes, place: str) -> Any:
    """Decodes as UTF-8 and nothing else: given bytes, `json` would guess UTF-16 as well."""
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInputError.at("/uri", place, f"is not UTF-8: {error.reason} at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError.at("/uri", place, f"is not JSON: {error}") from error


def _document(record: Any, place: str, location: CorpusLocation) -> Document:
    if not isinstance(record, dict):
        raise InvalidInputError.at("/uri", place, f"is not a JSON object but {type(record).__name__}")
    if location.text_field not in record:
        known = ", ".join(sorted(map(str, record))) or "none"
        raise InvalidInputError.at("/text_field", location.text_field, f"{place} has no such field; it has {known}")
    text = record[location.text_field]
    if not isinstance(text, str):
        raise InvalidInputError.at(
            "/text_field", location.text_field, f"{place} holds {type(text).__name__} there, not text"
        )
    if not _is_encodable(text):
        raise InvalidInputError.at("/uri", place, "the text holds lone surrogates and cannot be written as UTF-8")
    fields = {name: json_value(record.get(name)) for name in location.fields}
    return Document(text=text, fields=fields, place=place)


def json_value(value: Any) -> Any:
    """A field's value as every format says it: dates, decimals and bytes become text, NaN null, and 1.0 is 1."""
    if isinstance(value, dict):
        return {str(name): json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    return str(value).encode(errors="replace").decode()  # lone surrogates would break every later write


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_row_groups(
    file: CorpusFile, location: CorpusLocation, choose: Callable[[int], Iterable[int]]
) -> Iterator[Iterator[Document]]:
    """The documents of chosen row groups of a Parquet file, an iterator a group; `choose` is told their number."""
    with _opened_table(file, location) as table:
        for group in choose(table.num_row_groups):
            yield (_document(record, place, location) for place, record in _rows(file, location, table, [group]))


def _raw_rows(part: FilePart, location: CorpusLocation) -> Iterator[tuple[str, dict[str, Any]]]:
    with _opened_table(part.file, location) as table:
        stop = table.num_row_groups if part.stop is None else part.stop
        for group in range(part.start, stop):
            yield from _rows(part.file, location, table, [group])


@contextmanager
def _opened_table(file: CorpusFile, location: CorpusLocation) -> Iterator[Any]:
    from pyarrow import parquet

    with _parquet_faults(file.place), file.open() as raw, parquet.ParquetFile(raw) as table:
        _require_columns(file.place, location, set(table.schema_arrow.names))
        yield table


def _rows(
    file: CorpusFile, location: CorpusLocation, table: Any, groups: list[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    row = sum(table.metadata.row_group(before).num_rows for before in range(groups[0]))
    columns = list(dict.fromkeys([location.text_field, *location.fields]))
    with _parquet_faults(file.place):
        for batch in table.iter_batches(_batch_rows(table.metadata, groups), row_groups=groups, columns=columns):
            records = batch.to_pylist()
            del batch  # its only text may have 100 MB
            for record in records:
                row += 1
                yield f"{file.place}:row {row}", record


@contextmanager
def _parquet_faults(place: str) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise InvalidInputError.at("/uri", place, f"is no readable Parquet file: {error}") from error


def _batch_rows(metadata: Any, groups: list[int]) -> int:
    """Rows of these groups that take about PARQUET_BATCH_BYTES."""
    parts = [metadata.row_group(group) for group in groups]
    row_bytes = max((part.total_byte_size / max(1, part.num_rows) for part in parts), default=0)
    return max(1, min(PARQUET_BATCH_ROWS, int(PARQUET_BATCH_BYTES / max(1, row_bytes))))


def _require_columns(place: str, location: CorpusLocation, columns: set[str]) -> None:
    known = ", ".join(sorted(columns)) or "none"
    if location.text_field not in columns:
        raise InvalidInputError.at("/text_field", location.text_field, f"{place} has no such column; it has {known}")
    for index, name in enumerate(location.fields):
        if name not in columns:
            raise InvalidInputError.at(f"/fields/{index}", name, f"{place} has no such column; it has {known}")
