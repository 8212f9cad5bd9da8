"""Planning and sampling over ten million documents: memory, and how cost grows.

Two made-up corpora lie on disk as real ones do, every array memory-mapped. A fresh process opens them, plans a recipe
that takes every kind of step, and reads the whole stream. Its memory is the peak of everything that was resident
(VmHWM), mapped pages included; what is its own at the end (RssAnon) stands beside it.
`python -m tests.benchmarks.data.planning` prints the rows.

D counts documents.
"""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from proxy.data.arrays import map_array, save_array
from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.fields import CategoryColumn, NumberColumn
from proxy.data.hashing import combine, mix, unit_interval
from proxy.data.holdings import Holdings
from proxy.data.plans import plan_stream
from proxy.data.statistics import column_name, find_statistic
from proxy.data.tokens import TokenStore
from proxy.recipes import Recipe
from tests.benchmarks.figures import Row, at_most, for_information, in_own_process, process_megabytes

CORPORA = {"web": 0.7, "books": 0.3}  # share of the documents
SIZES = (1_000_000, 3_000_000, 10_000_000)
SHARDS = 10
BLOCK = 1 << 20
MEAN_TOKENS = 300
TOKENS_A_DOCUMENT = 2  # of the budget: a proxy samples a small part
STATISTIC = "words"
LANGUAGES = ("de", "en", "fr", "ja")

MOST_MEGABYTES, MOST_GROWTH = 1000.0, 1.5

WEB: dict[str, Any] = {
    "corpus": "web",
    "weight": 3,
    "filters": [
        {"kind": "field", "field": "language", "any_of": ["en", "de", "fr"]},
        {"kind": "statistic", "statistic": STATISTIC, "minimum": 100},
        {"kind": "quantile", "field": "quality", "low": 0.1, "high": 1},
    ],
    "dedup": "exact",
    "subset": 0.9,
    "max_epochs": 4,
    "repeat": {"field": "quality", "low": 0.8, "high": 1, "times": 3},
}
BOOKS: dict[str, Any] = {"corpus": "books", "weight": 1, "dedup": "exact", "max_epochs": 2}
CURRICULUM: dict[str, Any] = {"kind": "ascending", "by": {"field": "quality"}}
RECIPE: dict[str, Any] = {
    "name": "every-step",
    "phases": [
        {"share": 0.75, "dedup": "exact", "sources": [WEB, BOOKS]},
        {"share": 0.25, "order": CURRICULUM, "sources": [{**BOOKS, "weight": 1}, {**WEB, "subset": 0.5}]},
    ],
}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one process: seconds of planning and of reading the stream, tokens read, memory in MB."""

    planning_seconds: float
    reading_seconds: float
    tokens: int
    planning_megabytes: float
    peak_megabytes: float
    own_megabytes: float


def planning_figures(sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Memory at the largest size, and seconds a document there against the smallest."""
    found = {documents: cost_of(documents) for documents in sizes}
    smallest, largest = sizes[0], sizes[-1]
    most = found[largest]
    growth = (most.planning_seconds / largest) / (found[smallest].planning_seconds / smallest)
    return [
        at_most(f"planning and sampling {largest:,} documents: MB at the peak", most.peak_megabytes, MOST_MEGABYTES),
        for_information("the process's own memory afterwards, without mapped files, MB", most.own_megabytes),
        at_most(f"seconds of planning a document, {largest:,} documents ÷ {smallest:,}", growth, MOST_GROWTH),
        *(for_information(f"seconds of planning {size:,} documents", found[size].planning_seconds) for size in sizes),
        for_information(f"seconds of reading the stream, {most.tokens:,} tokens", most.reading_seconds),
    ]


def cost_of(documents: int) -> Cost:
    """Of corpora with so many documents together, made here and planned in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(make_corpora, Path(folder), documents)
        return in_own_process(plan_and_read, Path(folder), documents * TOKENS_A_DOCUMENT)


def plan_and_read(folder: Path, budget: int) -> Cost:
    """Everything a run does before it trains, and the tokens it trains on."""
    corpora = {name: _holdings(folder / name) for name in CORPORA}
    stores = {name: _store(folder / name, corpora[name]) for name in CORPORA}
    began = time.perf_counter()
    plan = plan_stream(Recipe.model_validate(RECIPE), stores, budget, 7, 0, corpora)
    planned = time.perf_counter()
    planning = process_megabytes()
    tokens = len(plan.stream()) - 1
    read = time.perf_counter()
    assert tokens == budget
    assert all(report.removed for report in plan.report)
    memory = process_megabytes()
    return Cost(
        planning_seconds=planned - began,
        reading_seconds=read - planned,
        tokens=tokens,
        planning_megabytes=planning["VmHWM"],
        peak_megabytes=memory["VmHWM"],
        own_megabytes=memory["RssAnon"],
    )


def make_corpora(folder: Path, documents: int) -> None:
    """Tables, fields, a statistic and tokens: about one document in eight is a copy, in both corpora."""
    for seed, (name, share) in enumerate(CORPORA.items()):
        _make_corpus(folder / name, int(documents * share), seed)


def _make_corpus(place: Path, documents: int, seed: int) -> None:
    place.mkdir()
    rng = np.random.default_rng(seed)
    key_D = np.sort(mix(np.arange(documents, dtype=np.uint64), seed))
    tokens_D = rng.poisson(MEAN_TOKENS, documents).astype(np.int64)
    text_key_D = mix(rng.integers(0, documents * 4, documents).astype(np.uint64), 1)
    fields = {
        "language": CategoryColumn(
            name="language",
            code_D=rng.integers(0, len(LANGUAGES), documents).astype(np.int32),
            load_distinct=lambda: list(LANGUAGES),
        ),
        "quality": NumberColumn(name="quality", number_D=unit_interval(combine(key_D, text_key_D))),
    }
    table = DocumentTable(
        key=key_D, text_key=text_key_D, characters=tokens_D * 5, text_bytes=tokens_D * 5, fields=fields
    )
    table.save(place)
    save_array(place / f"{STATISTIC}.npy", rng.poisson(MEAN_TOKENS // 2, documents).astype(np.float64))
    save_array(place / "lengths.npy", tokens_D)
    starts_D = np.empty(documents, dtype=np.int64)
    places = rng.permutation(documents)  # on disk in reading order, which is not that of the keys
    starts_D[places] = np.cumsum(tokens_D[places]) - tokens_D[places]
    save_array(place / "starts.npy", starts_D)
    total = int(tokens_D.sum())
    with (place / "tokens").open("wb") as out:
        os.truncate(out.fileno(), total * 2)  # without content it takes no room on disk, but pages in memory


def _holdings(place: Path) -> Holdings:
    column = column_name(find_statistic(STATISTIC))
    return Holdings(
        table=DocumentTable.load(place),
        token_counts=_mapped(place / "lengths.npy"),
        columns={column: map_array(place / f"{STATISTIC}.npy")},
    )


def _store(place: Path, holdings: Holdings) -> TokenStore:
    flat = np.memmap(place / "tokens", np.uint16, "r").view(np.ndarray)
    assert holdings.token_counts is not None
    return TokenStore(
        token_counts=holdings.token_counts,
        starts=_mapped(place / "starts.npy"),
        bases=np.array([0, len(flat)]),
        dtype=np.dtype(np.uint16),
        open_shard=lambda _: flat,
        load_table=lambda: holdings.table,
    )


def _mapped(path: Path) -> Int64Array:
    return np.asarray(map_array(path))


if __name__ == "__main__":
    for row in planning_figures():
        print(row["holds"], f"{row['value']:.4g}", row["must"], row["figure"], sep="\t", flush=True)
