"""How fast a corpus becomes tokens, against the bare library on the same text and cores; how fast streams are gathered.

Rounds of both alternate and the best of each is compared: what else a machine does only ever adds time. Processor time
stands beside it. The bare library gets all texts in memory in one call of `encode_batch_fast` and keeps its objects;
tokenising reads and parses files, digests each document, writes and checks shards, index and manifest. The figure is
that of one corpus of all files; beside it stands that of a corpus a file, where beginning and ending each costs more.
`python -m tests.benchmarks.data.tokenising CORPUS...` prints the rows; without a corpus the demo's texts stand in.
"""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from proxy.data.corpora import CorpusLocation, read_documents
from proxy.data.documents import DocumentTable, scan_corpus
from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import TokenStore, tokenise_corpus
from proxy.data.tokens.index import write_index
from proxy.data.tokens.shards import ShardWriter, shard_name
from tests.benchmarks.data.text import as_much_as, as_one, locations_in, sampled
from tests.benchmarks.figures import Row, at_least, at_most, for_information, in_own_process, process_megabytes

ROUNDS = 4
VOCABULARY = 4096
SMALL_SHARD_BYTES = 1 << 21
NANO_TOKENS_A_SECOND = 60_000  # what a nano proxy consumes here
MANY_DOCUMENTS, TOKENS_A_DOCUMENT = 10_000_000, 12
GATHERED_TOKENS = 20_000_000

LEAST_RATIO, LEAST_SPEEDUP, MOST_REOPENED, MOST_MEGABYTES = 0.9, 50.0, 0.01, 1000.0


def tokenising_figures(corpus_paths: Sequence[Path]) -> list[Row]:
    """All figures of this file; an empty list of corpora is the demo's."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parts = list(as_much_as(locations_in(corpus_paths, place / "corpora")))
        whole = as_one(parts, place / "whole")
        tokenizer = Tokenizer.from_json(train_tokenizer(sampled(parts), VOCABULARY))
        rows = _speed(whole, parts, tokenizer, place)
        rows += _resuming(whole, tokenizer, place / "killed")
    _, _, index_megabytes = in_own_process(index_many)
    seconds, tokens, megabytes = in_own_process(gather_from_many)
    speedup = tokens / seconds / NANO_TOKENS_A_SECOND
    shape = f"{GATHERED_TOKENS:,} tokens out of {MANY_DOCUMENTS:,} documents"
    return [
        *rows,
        at_least(f"gathering {shape}: tokens/s ÷ the nano proxy's {NANO_TOKENS_A_SECOND:,}", speedup, LEAST_SPEEDUP),
        at_most(f"gathering {shape}: MB, mapped files included", megabytes, MOST_MEGABYTES),
        at_most(f"indexing {MANY_DOCUMENTS:,} documents: MB", index_megabytes, MOST_MEGABYTES),
    ]


def _speed(whole: CorpusLocation, parts: Sequence[CorpusLocation], tokenizer: Tokenizer, place: Path) -> list[Row]:
    texts = [document.text for document in read_documents(whole)]
    corpora = {"whole": [_registered(whole, place)], "parts": [_registered(part, place) for part in parts]}
    times: dict[str, list[tuple[float, float]]] = {"bare": [], "whole": [], "again": [], "parts": []}
    for index in range(ROUNDS):
        times["bare"].append(_timed(lambda: tokenizer.encode_lazily(texts)))
        for name, kind in (("whole", "whole"), ("again", "whole"), ("parts", "parts")):  # again: the tokens are there
            folder = place / f"round-{index}-{kind}"
            times[name].append(_timed(partial(_tokenise, corpora[kind], tokenizer, folder)))
    best = {name: np.min(found, axis=0).tolist() for name, found in times.items()}
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    words = f"{megabytes:.0f} MB, {len(os.sched_getaffinity(0))} cores, best of {ROUNDS}"
    apart = f"the same where each of the {len(parts)} files is a corpus of its own"
    return [
        at_least(f"tokenising ÷ bare library, {words}", best["bare"][0] / best["whole"][0], LEAST_RATIO),
        at_least("the same in processor time", best["bare"][1] / best["whole"][1], LEAST_RATIO),
        for_information(apart, best["bare"][0] / best["parts"][0]),
        for_information(f"{apart}, in processor time", best["bare"][1] / best["parts"][1]),
        at_most("opening and checking tokens ÷ making them", best["again"][0] / best["whole"][0], MOST_REOPENED),
    ]


def _tokenise(corpora: Iterable[tuple[CorpusLocation, str, Path]], tokenizer: Tokenizer, folder: Path) -> None:
    for location, fingerprint, documents in corpora:
        tokenise_corpus(location, fingerprint, tokenizer, folder, documents=documents)


def _registered(location: CorpusLocation, place: Path) -> tuple[CorpusLocation, str, Path]:
    table, counts = scan_corpus(location)
    folder = place / "documents" / counts.fingerprint
    table.save(folder)
    return location, counts.fingerprint, folder


def _resuming(location: CorpusLocation, tokenizer: Tokenizer, folder: Path) -> list[Row]:
    """Killed half-way, how much of the work is done again."""
    _, counts = scan_corpus(location)
    arguments = (location, counts.fingerprint, tokenizer, folder, counts.text_bytes // 2)
    killed = multiprocessing.get_context("spawn").Process(target=_tokenise_and_die, args=arguments)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    kept = sum(json.loads(path.read_bytes())["text_bytes"] for path in folder.rglob("shard-*.json"))
    progress: list[int] = []
    tokenise_corpus(
        location,
        counts.fingerprint,
        tokenizer,
        folder,
        lambda _, text_bytes: progress.append(text_bytes),
        shard_bytes=SMALL_SHARD_BYTES,
    )
    assert progress[-1] == counts.text_bytes
    most = 0.5 + 2 * SMALL_SHARD_BYTES / counts.text_bytes
    return [at_most("text tokenised again after a kill half-way ÷ all", 1 - kept / counts.text_bytes, most)]


def _tokenise_and_die(
    location: CorpusLocation, fingerprint: str, tokenizer: Tokenizer, folder: Path, at_bytes: int
) -> None:
    def die(_: int, text_bytes: int) -> None:
        if text_bytes >= at_bytes:
            os.kill(os.getpid(), signal.SIGKILL)

    tokenise_corpus(location, fingerprint, tokenizer, folder, die, shard_bytes=SMALL_SHARD_BYTES)


def index_many() -> tuple[float, int, float]:
    """Seconds and documents of joining ten shards into one index, and the process's memory, MB."""
    rng = np.random.default_rng(0)
    each = MANY_DOCUMENTS // 10
    with tempfile.TemporaryDirectory() as folder:
        shards = []
        for index in range(10):
            writer = ShardWriter(Path(folder), shard_name(index, 0), np.uint16)
            content_D2 = rng.integers(0, 1 << 63, (each, 2), dtype=np.uint64)
            writer.write(np.zeros(each, dtype=np.uint16), np.ones(each, dtype=np.int64), content_D2)
            shards.append(writer.finish(source="", is_last=True, text_bytes=0, digest_sum=0, numerics=""))
        began = time.perf_counter()
        write_index(Path(folder), shards)
        seconds = time.perf_counter() - began
    return seconds, MANY_DOCUMENTS, process_megabytes()["VmHWM"]


def gather_from_many() -> tuple[float, int, float]:
    """Seconds and tokens of a stream drawn from ten million documents on disk, and the process's own memory, MB."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        store = _many_documents(Path(folder))
        rows = rng.integers(0, MANY_DOCUMENTS, GATHERED_TOKENS // (TOKENS_A_DOCUMENT + 1))
        began = time.perf_counter()
        stream = store.gather(rows, store.token_counts[rows] + 1, 0)
        seconds = time.perf_counter() - began
    return seconds, len(stream), process_megabytes()["VmHWM"]


def _many_documents(place: Path) -> TokenStore:
    """Files as a store's, written in pieces so that making them costs no memory."""
    tokens = np.memmap(place / "tokens", np.uint16, "w+", shape=(MANY_DOCUMENTS * TOKENS_A_DOCUMENT,))
    tokens[:] = 7
    tokens.flush()
    del tokens
    starts = np.lib.format.open_memmap(place / "starts.npy", "w+", np.int64, (MANY_DOCUMENTS,))
    starts[:] = np.arange(MANY_DOCUMENTS)
    starts *= TOKENS_A_DOCUMENT
    lengths = np.lib.format.open_memmap(place / "lengths.npy", "w+", np.int64, (MANY_DOCUMENTS,))
    lengths[:] = TOKENS_A_DOCUMENT
    flat = np.memmap(place / "tokens", np.uint16, "r").view(np.ndarray)
    return TokenStore(
        token_counts=lengths,
        starts=starts,
        bases=np.array([0, len(flat)]),
        dtype=np.dtype(np.uint16),
        open_shard=lambda _: flat,
        load_table=_no_table,
    )


def _no_table() -> DocumentTable:
    raise AssertionError("gathering needs no table")


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    began, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - processor


if __name__ == "__main__":
    for row in tokenising_figures([Path(argument) for argument in sys.argv[1:]]):
        print(row["holds"], f"{row['value']:.4g}", row["must"], row["figure"], sep="\t", flush=True)
