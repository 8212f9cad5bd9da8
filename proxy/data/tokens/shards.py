"""Shards: what one span of a corpus becomes on disk.

`shard-00003-01.tokens` holds the tokens of its documents one after the other (uint16 or uint32, no ends of text),
`shard-00003-01.npy` a row a document, uint64[d, 3]: two words of the content digest and the number of tokens, and
`shard-00003-01.json`, written last, what they must hold. Numbered by span; the second number is 00 but for spans whose
text is longer than a shard. All files are renamed into place, and two processes that race write the same bytes.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from proxy.data.arrays import checksum
from proxy.data.documents import Int64Array
from proxy.data.hashing import UInt64Array
from proxy.data.tokenizers import TokenArray

INDEX_COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What `<name>.tokens` and `<name>.npy` hold, and of which source. `digest_sum` is its part of the corpus's
    fingerprint, hex; `is_last` says that its span ends here."""

    name: str
    source: str
    is_last: bool
    documents: int
    tokens: int
    text_bytes: int
    dtype: str
    digest_sum: str
    tokens_checksum: str
    index_checksum: str
    index_bytes: int
    numerics: str

    @property
    def tokens_bytes(self) -> int:
        """Size of the file of tokens."""
        return self.tokens * np.dtype(self.dtype).itemsize

    def has_sizes(self, folder: Path) -> bool:
        """True if both files are there and as long as they must be: what every opening checks."""
        try:
            return (
                os.stat(folder / f"{self.name}.tokens").st_size == self.tokens_bytes
                and os.stat(folder / f"{self.name}.npy").st_size == self.index_bytes
            )
        except OSError:
            return False

    def is_intact(self, folder: Path) -> bool:
        """True if both files have their checksums; reads them whole."""
        return (
            self.has_sizes(folder)
            and checksum(folder / f"{self.name}.tokens") == self.tokens_checksum
            and checksum(folder / f"{self.name}.npy") == self.index_checksum
        )

    def load_index(self, folder: Path) -> tuple[UInt64Array, Int64Array]:
        """Words of each document's digest, uint64[d, 2], and its tokens, int64[d]."""
        index = np.load(folder / f"{self.name}.npy", allow_pickle=False)
        return index[:, :2], index[:, 2].astype(np.int64)


def shard_name(span: int, number: int) -> str:
    """The files' common name."""
    return f"shard-{span:05d}-{number:02d}"


def finished_shards(folder: Path, span: int, source: str) -> Iterator[Shard]:
    """The shards of a span from its first on, as far as they are there, of this source and intact."""
    number = 0
    while (shard := _load(folder / f"{shard_name(span, number)}.json")) is not None:
        if shard.source != source or not shard.is_intact(folder):
            return
        yield shard
        if shard.is_last:
            return
        number += 1


def _load(path: Path) -> Shard | None:
    try:
        return Shard(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # missing, cut off, or of another version
        return None


class ShardWriter:
    """Writes one shard under names of its own and renames the files when it is finished; `discard` if it is not."""

    def __init__(self, folder: Path, name: str, dtype: type[np.uint16] | type[np.uint32]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._name, self._dtype = folder, name, np.dtype(dtype)
        self._partial = folder / f".{name}-{uuid.uuid4().hex}"
        self._file = self._partial.open("wb")
        self._hasher = hashlib.blake2b(digest_size=16)
        self._content: list[UInt64Array] = []
        self._lengths: list[Int64Array] = []

    def write(self, tokens: TokenArray, lengths: Int64Array, content_D2: UInt64Array) -> None:
        """Documents more: their tokens one after the other, how many each has, and the words of their digests."""
        flat = np.ascontiguousarray(tokens, dtype=self._dtype).view(np.uint8).data
        self._file.write(flat)
        self._hasher.update(flat)
        self._lengths.append(lengths)
        self._content.append(content_D2)

    def finish(self, *, source: str, is_last: bool, text_bytes: int, digest_sum: int, numerics: str) -> Shard:
        """Moves the files into place, the JSON last."""
        self._file.close()
        lengths = np.concatenate([np.empty(0, dtype=np.int64), *self._lengths])
        index = np.empty((len(lengths), INDEX_COLUMNS), dtype=np.uint64)
        index[:, :2] = np.concatenate([np.empty((0, 2), dtype=np.uint64), *self._content])
        index[:, 2] = lengths
        index_path = self._partial.with_suffix(".npy")
        np.save(index_path, index, allow_pickle=False)
        shard = Shard(
            name=self._name,
            source=source,
            is_last=is_last,
            documents=len(lengths),
            tokens=int(lengths.sum()),
            text_bytes=text_bytes,
            dtype=self._dtype.name,
            digest_sum=f"{digest_sum:x}",
            tokens_checksum=self._hasher.hexdigest(),
            index_checksum=checksum(index_path),
            index_bytes=index_path.stat().st_size,
            numerics=numerics,
        )
        os.replace(self._partial, self._folder / f"{self._name}.tokens")
        os.replace(index_path, self._folder / f"{self._name}.npy")
        write_whole(self._folder / f"{self._name}.json", json.dumps(asdict(shard), indent=1).encode())
        return shard

    def discard(self) -> None:
        """Leaves nothing of an unfinished shard."""
        self._file.close()
        for path in (self._partial, self._partial.with_suffix(".npy")):
            with suppress(FileNotFoundError):
                path.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """The file appears whole or not at all."""
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
