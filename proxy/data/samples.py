"""A sample of a corpus that a request can wait for: estimates before anybody has read the whole.

How it is drawn, the same each time: a corpus whose text fits is read whole. Else at most SAMPLE_FILES files, evenly
spaced in sorted order, share the bytes in proportion to their size. A plain file is entered at SAMPLE_PLACES evenly
spaced bytes, from the next line on, and a Parquet file at as many row groups; a compressed file can be entered at its
beginning only, and every SKIP-th document is taken there.

What this cannot see: order inside compressed files beyond their beginning, and how many duplicates there are, for
twins seldom meet in a sample.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from proxy.data.columns import Array, TextColumn, compute_batches, in_batches
from proxy.data.corpora import Document, parse_line, read_file, read_row_groups
from proxy.data.documents import DocumentTable, TableBuilder
from proxy.data.files import LINES, CorpusFile, CorpusLocation, find_files
from proxy.data.identity import inverse
from proxy.errors import InvalidInputError

SAMPLE_FILES = 32
SAMPLE_PLACES = 8
SKIP = 4


@dataclass(frozen=True, kw_only=True)
class ColumnSample(Mapping[str, Array]):
    """Columns of the sampled documents by name, [S] or [S, width], row for row those of `table`.

    `is_whole` says that every document of the corpus is there, so that nothing is an estimate.
    """

    columns: Mapping[str, Array]
    table: DocumentTable
    is_whole: bool

    @property
    def documents(self) -> int:
        """How many were sampled."""
        return len(self.table)

    @property
    def text_bytes(self) -> int:
        """Bytes of their text."""
        return int(self.table.text_bytes.sum())

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


def sample_columns(location: CorpusLocation, wanted: Sequence[TextColumn], most_bytes: int) -> ColumnSample:
    """Columns of about `most_bytes` of text, computed in this process; at least a document a place that is entered.

    InvalidInputError as in reading a corpus, and at /uri if the files hold no document.
    """
    documents, is_whole = _sample(location, most_bytes)
    if not documents:
        raise InvalidInputError.at("/uri", location.uri, "holds no document")
    builder = TableBuilder()
    for document in documents:
        builder.add(document)
    order_S = inverse(builder.reading_order())
    parts = list(compute_batches(in_batches(iter(documents)), wanted))
    columns = {column.name: np.concatenate([part[column.name] for part in parts])[order_S] for column in wanted}
    return ColumnSample(columns=columns, table=builder.table(), is_whole=is_whole)


def _sample(location: CorpusLocation, most_bytes: int) -> tuple[list[Document], bool]:
    """Documents and whether they are all there are."""
    files = find_files(location)
    if sum(file.state.size or most_bytes + 1 for file in files) <= most_bytes:
        documents = list(_until(most_bytes, (document for file in files for document in read_file(file, location))))
        if _bytes_of(documents) < most_bytes:
            return documents, True
    chosen = [files[place] for place in _evenly(len(files), SAMPLE_FILES)]
    total = sum(file.state.size or 1 for file in chosen)
    sampled: list[Document] = []
    for file in chosen:
        sampled.extend(_sample_file(file, location, most_bytes * (file.state.size or 1) // max(1, total)))
    return sampled, False


def _sample_file(file: CorpusFile, location: CorpusLocation, most_bytes: int) -> Iterator[Document]:
    if file.place.endswith(LINES) and file.state.size is not None:
        size, each = file.state.size, most_bytes // SAMPLE_PLACES
        for place in range(SAMPLE_PLACES):
            start, end = size * place // SAMPLE_PLACES, size * (place + 1) // SAMPLE_PLACES
            yield from _until(each, _lines_between(file, location, start, end))
    elif file.place.endswith(".parquet"):
        groups: list[int] = []

        def choose(count: int) -> list[int]:
            groups.extend(_evenly(count, SAMPLE_PLACES))
            return groups

        for documents in read_row_groups(file, location, choose):
            step = 1 if len(groups) == SAMPLE_PLACES else SKIP
            yield from _until(most_bytes // len(groups), islice(documents, 0, None, step))
    else:
        yield from _until(most_bytes, islice(read_file(file, location), 0, None, SKIP))


def _lines_between(file: CorpusFile, location: CorpusLocation, start: int, end: int) -> Iterator[Document]:
    """Documents of the lines that begin in [start, end) of a plain file."""
    with file.open() as raw:
        raw.seek(max(0, start - 1))
        if start > 0:
            raw.readline()  # the rest of the line before
        while (position := raw.tell()) < end and (line := raw.readline()):
            if line.strip():
                yield parse_line(line, f"{file.place}: byte {position}", location)


def _until(most_bytes: int, documents: Iterator[Document]) -> Iterator[Document]:
    """Documents until their text reaches so many bytes; the one that does is the last."""
    left = most_bytes
    for document in documents:
        yield document
        left -= len(document.text.encode())
        if left <= 0:
            return


def _bytes_of(documents: Sequence[Document]) -> int:
    return sum(len(document.text.encode()) for document in documents)


def _evenly(count: int, most: int) -> list[int]:
    """At most so many of `count` places, in the middle of equal parts."""
    parts = min(count, most)
    return [(2 * part + 1) * count // (2 * parts) for part in range(parts)]
