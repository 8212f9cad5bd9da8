"""Progress of what reads a corpus to its end, tokenising it or computing its columns: said the same way everywhere."""

import time
from collections.abc import Callable

from proxy.data.documents import Progress

Tell = Callable[..., None]


def nobody_asks(**_: object) -> None:
    """A Tell that nobody hears."""


def tell_lazily(tell: Tell, of_bytes: Callable[[], int | None]) -> Progress:
    """As `tell_progress`; how much there is to read is asked when the first word is said, for mostly there is none."""
    begun: list[Progress] = []

    def progress(documents: int, text_bytes: int) -> None:
        if not begun:
            begun.append(tell_progress(tell, of_bytes()))
        begun[0](documents, text_bytes)

    return progress


def tell_progress(tell: Tell, of_bytes: int | None) -> Progress:
    """Says documents, bytes, speed and time left; of a span the job it is a part of knows how much there is."""
    began = time.monotonic()
    first: int | None = None  # bytes that were there already, which say nothing about the speed

    def progress(documents: int, text_bytes: int) -> None:
        nonlocal first
        first = text_bytes if first is None else first
        speed = (text_bytes - first) / max(time.monotonic() - began, 1e-3)
        tell(
            documents=documents,
            bytes=text_bytes,
            of_bytes=of_bytes,
            megabytes_a_second=round(speed / 1e6, 3),
            seconds_left=round((of_bytes - text_bytes) / speed) if of_bytes is not None and speed else None,
        )

    return progress
