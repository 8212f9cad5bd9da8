"""Arrays and small files on disk: each appears whole or not at all, and arrays are read through a memory map."""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

READ_BYTES = 1 << 20


def checksum(path: Path) -> str:
    """BLAKE2b, 128 bits, of a file; about a gigabyte a second."""
    hasher = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (hidden), renamed to it when the block ends and removed when it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """One .npy file."""
    with whole_file(path) as partial, partial.open("wb") as out:
        np.save(out, array, allow_pickle=False)


def map_array(path: Path) -> np.memmap[Any, Any]:
    """The array of a .npy file, read-only; pages are read when they are touched. ValueError if it is cut off."""
    mapped: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def save_json(path: Path, content: Any) -> None:
    """One JSON file."""
    with whole_file(path) as partial:
        partial.write_bytes(json.dumps(content).encode())
