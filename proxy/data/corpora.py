"""Reading corpora: JSON lines (plain, gzip, Zstandard) and Parquet, streamed, one document at a time.

Every fault names the field of the registration it belongs to (`/uri`, `/text_field`, `/fields/0`) and the place
(file and line, or row) where it was found.
"""

import glob
import gzip
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import IO, Any

import zstandard

from proxy.errors import InvalidInputError

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
PARQUET_BATCH_ROWS = 1024
ZSTD_CHUNK_BYTES = 1 << 17  # compressed; text expands a thousandfold at worst, so this bounds what is held
ZSTD_WINDOW_BYTES = 1 << 31  # `zstd --long=31`, the largest there is


@dataclass(frozen=True, kw_only=True)
class CorpusLocation:
    """Where documents lie: a file, a folder (searched recursively) or a glob; and which fields are read."""

    uri: str
    text_field: str = "text"
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text and the fields that were asked for, in that order; a field that is missing is None."""

    text: str
    fields: dict[str, Any] = field(default_factory=dict)


def find_files(location: CorpusLocation) -> list[Path]:
    """The corpus's files in sorted order. InvalidInputError at /uri: nothing matches, or an unknown suffix."""
    try:
        files = sorted(inner for inner in _matches(location) if inner.is_file())
    except OSError as error:  # a name that is too long, a folder that may not be searched
        raise InvalidInputError.at("/uri", location.uri, f"cannot be looked for: {error.strerror}") from error
    if not files:
        raise InvalidInputError.at("/uri", location.uri, "no file is there")
    for inner in files:
        if not inner.name.endswith(SUFFIXES):
            raise InvalidInputError.at("/uri", str(inner), f"unknown file type; known are {', '.join(SUFFIXES)}")
    return files


def _matches(location: CorpusLocation) -> list[Path]:
    path = Path(location.uri)
    if path.is_dir():
        return [inner for inner in path.rglob("*") if inner.name.endswith(SUFFIXES)]
    if glob.has_magic(location.uri) and not path.exists():
        return [Path(match) for match in glob.glob(location.uri, recursive=True)]
    return [path]


def read_documents(location: CorpusLocation) -> Iterator[Document]:
    """All documents in the order of the sorted files. Raises InvalidInputError at the first one that is wrong."""
    for path in find_files(location):
        read = _read_parquet if path.suffix == ".parquet" else _read_lines
        try:
            yield from read(path, location)
        except OSError as error:
            raise InvalidInputError.at("/uri", str(path), f"cannot be read: {error}") from error


def _read_lines(path: Path, location: CorpusLocation) -> Iterator[Document]:
    with path.open("rb") as raw:
        lines = iter(_opened(path, raw))
        number = 0
        while True:
            number += 1
            place = f"{path}:{number}"
            try:
                line = next(lines, None)
            except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as error:
                raise InvalidInputError.at("/uri", place, f"damaged or truncated file: {error}") from error
            if line is None:
                return
            if line.strip():
                yield _document(_parsed(line, place), place, location)


def _opened(path: Path, raw: IO[bytes]) -> Iterator[bytes]:
    if path.suffix == ".gz":
        yield from gzip.GzipFile(fileobj=raw)
    elif path.suffix == ".zst":
        yield from _zstd_lines(raw)
    else:
        yield from raw


def _zstd_lines(raw: IO[bytes]) -> Iterator[bytes]:
    """Lines of a Zstandard file of one or more frames; unlike the library's reader, a truncated frame is an error."""
    left, is_inside = b"", False
    unread = b""
    decompressor = _zstd_frame()
    while chunk := unread or raw.read(ZSTD_CHUNK_BYTES):
        is_inside = True
        left += decompressor.decompress(chunk)
        unread = b""
        if decompressor.eof:
            unread = decompressor.unused_data
            decompressor, is_inside = _zstd_frame(), False
        *lines, left = left.split(b"\n")
        yield from lines
    if is_inside:
        raise zstandard.ZstdError("the last frame ends before its time")
    if left:
        yield left


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
    return Document(text=text, fields={name: json_value(record.get(name)) for name in location.fields})


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


def _read_parquet(path: Path, location: CorpusLocation) -> Iterator[Document]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as table:
            _require_columns(path, location, set(table.schema_arrow.names))
            columns = list(dict.fromkeys([location.text_field, *location.fields]))
            row = 0
            for batch in table.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=columns):
                for record in batch.to_pylist():
                    row += 1
                    yield _document(record, f"{path}:row {row}", location)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise InvalidInputError.at("/uri", str(path), f"is no readable Parquet file: {error}") from error


def _require_columns(path: Path, location: CorpusLocation, columns: set[str]) -> None:
    known = ", ".join(sorted(columns)) or "none"
    if location.text_field not in columns:
        raise InvalidInputError.at("/text_field", location.text_field, f"{path} has no such column; it has {known}")
    for index, name in enumerate(location.fields):
        if name not in columns:
            raise InvalidInputError.at(f"/fields/{index}", name, f"{path} has no such column; it has {known}")
