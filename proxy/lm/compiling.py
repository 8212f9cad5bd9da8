"""One process at a time compiles the same thing; the others wait, and find it in the compiler's cache then.

Lanes that begin together would each compile everything for themselves: nothing is in the cache yet. Compiled by one,
with the others' cores, it is there sooner. A note beside the cache says what has been compiled once, so that nobody
waits for whoever only loads it.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch._inductor.runtime.cache_dir_utils import cache_dir

from proxy.fingerprints import fingerprint


@contextmanager
def first_to_compile(what: Mapping[str, object]) -> Iterator[None]:
    """Compile in the block; `what` decides the code. A process that dies in it lets the next one in; where the cache
    cannot be locked, everybody compiles."""
    key, folder = key_of(what), Path(cache_dir()) / "foretaste"
    note = folder / key
    if not note.exists():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{key}.lock"):
            if not note.exists():
                yield
                with suppress(OSError):
                    note.touch()
                return
    yield


def key_of(what: Mapping[str, object]) -> str:
    """Of what is compiled, by this version of the compiler."""
    return fingerprint({**what, "torch": torch.__version__})


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        file = path.open("w")
    except OSError:
        yield
        return
    with file:
        with suppress(OSError):  # released when the file is closed, or its process ends
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
