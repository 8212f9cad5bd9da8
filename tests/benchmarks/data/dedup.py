"""Near-duplicates that were planted, found again; and how fast texts are signed and measured.

Two readings of "precision and recall at the stated similarity": over pairs that are clearly on one side of it (as far
as a signature can tell, see tests/proxy/data/planted.py), and over all pairs, those at the very edge among them.
`python -m tests.benchmarks.data.dedup CORPUS...` prints the rows.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from proxy.data.columns import TextColumn, compute_batches, in_batches
from proxy.data.corpora import Document, read_documents
from proxy.data.near_duplicates import NearDuplicates
from proxy.data.needs import signature_column, statistic_column
from proxy.data.statistics import STATISTICS
from tests.benchmarks.data.text import as_much_as, locations_in
from tests.benchmarks.figures import Row, at_least, for_information
from tests.benchmarks.near_duplicates import SETTINGS, measure

LEAST = 0.95
LOWEST = (0.0, 0.5, 0.7)  # planted similarities are drawn evenly from there to 1
MEGABYTES = 5.0


def dedup_figures() -> list[Row]:
    """Precision and recall of each setting."""
    return [row for settings in SETTINGS for low in LOWEST for row in _found(settings, low)]


def _found(settings: NearDuplicates, low: float) -> Iterator[Row]:
    found, _ = measure(settings, low)
    words = f"{settings.bands} × {settings.rows} hashes, similarity {settings.similarity}, planted from {low}"
    pairs = f"{found.clear_pairs:,} clear pairs"
    yield at_least(f"precision over {pairs}, {words}", found.clear_precision, LEAST)
    yield at_least(f"recall over {pairs}, {words}", found.clear_recall, LEAST)
    yield for_information(f"precision over all pairs, {words}", found.sharp_precision)
    yield for_information(f"recall over all pairs, {words}", found.sharp_recall)


def speed_figures(corpora: Sequence[Path]) -> list[Row]:
    """Megabytes of text a second of one core."""
    with tempfile.TemporaryDirectory() as folder:
        locations = list(as_much_as(locations_in(corpora, Path(folder)), 8 * MEGABYTES))
        documents = list(_some(document for location in locations for document in read_documents(location)))
    megabytes = sum(len(document.text.encode()) for document in documents) / 1e6
    statistics = [statistic_column(name) for name in STATISTICS]
    signatures = [signature_column(NearDuplicates())]
    return [
        for_information(f"{name}, MB/s of one core", megabytes / _seconds(partial(_compute, documents, columns)))
        for name, columns in (
            (f"all {len(statistics)} statistics together", statistics),
            ("near-duplicate signatures", signatures),
        )
    ]


def _some(documents: Iterator[Document]) -> Iterator[Document]:
    """Every eighth, until they are enough."""
    left = MEGABYTES * 1e6
    for document in islice(documents, 0, None, 8):
        left -= len(document.text)
        if left < 0:
            return
        yield document


def _compute(documents: Sequence[Document], columns: Sequence[TextColumn]) -> None:
    for _ in compute_batches(in_batches(iter(documents)), columns):
        pass


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    for row in [*dedup_figures(), *speed_figures([Path(argument) for argument in sys.argv[1:]])]:
        print(row["holds"], f"{row['value']:.4g}", row["must"], row["figure"], sep="\t", flush=True)
