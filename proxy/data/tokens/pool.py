"""Several processes on one machine: a span each at a time, progress through a queue.

Each process tokenises with one thread (the library would start one a core in every process) and ends with its parent,
however that ends.
"""

import multiprocessing
import os
import random
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.queues import SimpleQueue

from proxy.data.documents import Progress
from proxy.data.tokens.making import Advance, Making, make_span
from proxy.data.tokens.shards import Shard
from proxy.data.tokens.spans import Span

LISTEN_SECONDS = 0.2

Steps = SimpleQueue[tuple[int, int]]
_steps: "Steps | None" = None  # of a pool's process


def make_spans(making: Making, spans: Sequence[Span], processes: int, progress: Progress | None) -> list[Shard]:
    """The shards of all spans in order. Two calls that do the same begin at different places and meet late."""
    advance = _counting(progress)
    order = list(range(len(spans)))
    first = random.SystemRandom().randrange(max(len(spans), 1))
    order = order[first:] + order[:first]
    if min(processes, len(spans)) <= 1:
        made = {index: make_span(making, spans[index], advance) for index in order}
    else:
        made = _in_pool(making, spans, order, min(processes, len(spans)), advance)
    return [shard for index in range(len(spans)) for shard in made[index]]


def _in_pool(
    making: Making, spans: Sequence[Span], order: Sequence[int], processes: int, advance: Advance
) -> dict[int, list[Shard]]:
    context = multiprocessing.get_context("spawn")
    steps: Steps = context.SimpleQueue()
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(steps,)) as pool:
        futures = {pool.submit(_make, making, spans[index]): index for index in order}
        try:
            pending: set[Future[list[Shard]]] = set(futures)
            while pending:
                done, pending = wait(pending, LISTEN_SECONDS, FIRST_COMPLETED)
                _drain(steps, advance)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # spans that are being made end first: they write into the folder
            raise
    _drain(steps, advance)
    return {index: future.result() for future, index in futures.items()}


def _counting(progress: Progress | None) -> Advance:
    documents = text_bytes = 0

    def advance(more_documents: int, more_bytes: int) -> None:
        nonlocal documents, text_bytes
        documents, text_bytes = documents + more_documents, text_bytes + more_bytes
        if progress:
            progress(documents, text_bytes)

    return advance


def _drain(steps: Steps, advance: Advance) -> None:
    while not steps.empty():
        advance(*steps.get())


def _begin(steps: Steps) -> None:
    """In a new process of the pool, before the library's first batch."""
    global _steps
    _steps = steps
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make(making: Making, span: Span) -> list[Shard]:
    def advance(documents: int, text_bytes: int) -> None:
        assert _steps is not None
        _steps.put((documents, text_bytes))

    return make_span(making, span, advance)
