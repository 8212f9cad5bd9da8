"""Columns: values computed from the text of every document, made once a corpus and kept beside its table.

`<folder>/<corpus fingerprint>/columns/<name>.npy` is memory-mapped, [D] or [D, width], and its rows are those of the
corpus's table (ascending by key). A name carries a version: a function that changes gets a new name. All columns that
are missing are made in one pass over the text, which holds one batch of documents and 16 bytes a document; values
wait on disk in reading order until the keys, and with them the rows, are known.

B counts the documents of a batch.
"""

import pickle
import re
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from proxy.data.arrays import map_array, whole_file
from proxy.data.corpora import CorpusLocation, Document
from proxy.data.documents import Int64Array, Progress, follow
from proxy.data.identity import ContentReader, key_order
from proxy.data.shared import SharedStore
from proxy.data.shared_tables import fetch_column, publish_column
from proxy.errors import CorpusChangedError, InvalidInputError

Array = npt.NDArray[Any]
Mapped = np.memmap[Any, Any]

FILE_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
BATCH_CHARACTERS = 500_000
BATCHES_AHEAD = 2  # a process: one it works on, one that waits
MOVE_BYTES = 1 << 26  # of rows put into order at a time
STALE_SECONDS = 24 * 3600.0  # what a killed process left is removed after so long; a pass takes less


@dataclass(frozen=True, kw_only=True)
class TextColumn:
    """A column made of text: one value a document, or `width` of them.

    With several processes `compute` must be picklable: a module's function, or functools.partial of one.
    """

    name: str
    dtype: npt.DTypeLike
    width: int | None = None
    compute: Callable[[str], Any]

    def __post_init__(self) -> None:
        if not FILE_SAFE.fullmatch(self.name):
            raise ValueError(f"column {self.name!r}: a name is up to 100 of A-Z a-z 0-9 . _ - and begins with no sign")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one document's value."""
        return () if self.width is None else (self.width,)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Documents that are computed together, and where each was found."""

    texts: tuple[str, ...]
    places: tuple[str, ...]


def columns_folder(folder: Path, fingerprint: str) -> Path:
    """Where the columns of a corpus lie."""
    return folder / fingerprint / "columns"


def open_column(folder: Path, fingerprint: str, name: str) -> Mapped | None:
    """The column, read-only, [D] or [D, width]; None if it was never made or is damaged."""
    try:
        return map_array(columns_folder(folder, fingerprint) / f"{name}.npy")
    except (FileNotFoundError, EOFError, ValueError):
        return None


def ensure_columns(  # noqa: PLR0913 - what, of what, where to, and how
    location: CorpusLocation,
    fingerprint: str,
    folder: Path,
    wanted: Sequence[TextColumn],
    progress: Progress | None = None,
    *,
    processes: int = 1,
    shared: SharedStore | None = None,
) -> dict[str, Mapped]:
    """Opens columns by name, making those that are missing in one pass over the corpus. What the store that machines
    share has is fetched instead, and what is made is published there.

    CorpusChangedError if the files no longer hold what was registered; InvalidInputError, naming the document, for a
    value that is not finite. Either leaves no column behind. Processes that race do the work twice and harm nothing.
    """
    missing = [column for column in wanted if _usable(folder, fingerprint, column) is None]
    if shared is not None:
        missing = [column for column in missing if not _fetched(shared, folder, fingerprint, column)]
    if missing:
        target = columns_folder(folder, fingerprint)
        _sweep(target)
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target) as name:
            _make(location, fingerprint, Path(name), missing, progress, processes)
        if shared is not None:
            for column in missing:
                publish_column(shared, folder, fingerprint, column.name)
    made = {column.name: open_column(folder, fingerprint, column.name) for column in wanted}
    return {name: mapped for name, mapped in made.items() if mapped is not None}


def compute_batches(
    batches: Iterator[Batch], columns: Sequence[TextColumn], processes: int = 1
) -> Iterator[dict[str, Array]]:
    """Values of each batch by column name, [B] or [B, width], in the order of the batches."""
    if processes <= 1:
        yield from (_compute(columns, batch) for batch in batches)
        return
    _require_picklable(columns)
    waiting: deque[Future[dict[str, Array]]] = deque()
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(_compute, columns, batch))
                if len(waiting) >= processes * BATCHES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def in_batches(documents: Iterator[Document], characters: int | None = None) -> Iterator[Batch]:
    """Documents in groups of so many characters; a longer one is a batch of its own end."""
    texts: list[str] = []
    places: list[str] = []
    left = most = BATCH_CHARACTERS if characters is None else characters
    for document in documents:
        texts.append(document.text)
        places.append(document.place)
        left -= len(document.text) + 1  # an empty one counts too
        if left <= 0:
            yield Batch(texts=tuple(texts), places=tuple(places))
            texts, places, left = [], [], most
    if texts:
        yield Batch(texts=tuple(texts), places=tuple(places))


def _usable(folder: Path, fingerprint: str, column: TextColumn) -> Mapped | None:
    """The column if it is there and as it should be."""
    mapped = open_column(folder, fingerprint, column.name)
    is_right = mapped is not None and mapped.dtype == np.dtype(column.dtype) and mapped.shape[1:] == column.shape
    return mapped if is_right else None


def _fetched(shared: SharedStore, folder: Path, fingerprint: str, column: TextColumn) -> bool:
    return fetch_column(shared, folder, fingerprint, column.name) and _usable(folder, fingerprint, column) is not None


def _make(
    location: CorpusLocation,
    fingerprint: str,
    temporary: Path,
    columns: Sequence[TextColumn],
    progress: Progress | None,
    processes: int,
) -> None:
    """Writes values in reading order below `temporary`, then each column, in order, into the folder above it."""
    reader = ContentReader()
    with ExitStack() as stack:
        outs = {column.name: stack.enter_context((temporary / column.name).open("wb")) for column in columns}
        _write_values(in_batches(follow(location, reader, progress)), columns, outs, processes)
    if (found := reader.fingerprinter.fingerprint()) != fingerprint:
        raise CorpusChangedError(
            f"{location.uri} no longer holds what was registered: fingerprint {found} instead of {fingerprint}; "
            "register it again to get a new revision"
        )
    order_D = key_order(reader.fingerprinter.keys())
    for column in columns:
        _put_in_order(temporary / column.name, column, order_D, temporary.parent / f"{column.name}.npy")


def _write_values(
    batches: Iterator[Batch], columns: Sequence[TextColumn], outs: Mapping[str, IO[bytes]], processes: int
) -> None:
    for values in compute_batches(batches, columns, processes):
        for name, value_B in values.items():
            outs[name].write(np.ascontiguousarray(value_B).tobytes())


def _put_in_order(source: Path, column: TextColumn, order_D: Int64Array, target: Path) -> None:
    """From raw values in reading order to a column in the order of the table."""
    shape = (len(order_D), *column.shape)
    dtype = np.dtype(column.dtype)
    read: Array = np.memmap(source, dtype=dtype, mode="r", shape=shape)
    rows = max(1, MOVE_BYTES // max(1, read[:1].nbytes))
    with whole_file(target) as partial, partial.open("wb") as out:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(out, header)
        for start in range(0, len(order_D), rows):
            out.write(read[order_D[start : start + rows]].tobytes())
    source.unlink()


def _compute(columns: Sequence[TextColumn], batch: Batch) -> dict[str, Array]:
    """Text by text, so that columns which analyse it share the analysis."""
    values = {column.name: np.empty((len(batch.texts), *column.shape), dtype=column.dtype) for column in columns}
    for index, text in enumerate(batch.texts):
        for column in columns:
            values[column.name][index] = _value(column, text, batch.places[index])
    return values


def _value(column: TextColumn, text: str, place: str) -> Array:
    """In the column's type. InvalidInputError for a value that is not finite."""
    value = np.asarray(column.compute(text))
    if value.shape != column.shape:
        raise ValueError(f"column {column.name}: {value.shape} values for a document instead of {column.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        kept = value.astype(column.dtype)
    for found in (value, kept):  # a number may be too large for the column's type
        if not np.isfinite(found).all():
            number = float(found[~np.isfinite(found)].ravel()[0])
            raise InvalidInputError.at("/uri", place, f"column {column.name} is {number} for this document")
    return kept


def _require_picklable(columns: Sequence[TextColumn]) -> None:
    for column in columns:
        try:
            pickle.dumps(column)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(f"column {column.name} cannot be computed in several processes: {error}") from error


def _sweep(target: Path) -> None:
    """Removes what killed processes left long ago."""
    for left in chain(target.glob(".making-*"), target.glob(".*.npy-*")):
        try:
            is_stale = time.time() - left.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:  # another process was first
            continue
        if is_stale and left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        elif is_stale:
            left.unlink(missing_ok=True)
