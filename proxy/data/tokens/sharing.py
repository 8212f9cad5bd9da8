"""Tokens in a shared store: `tokens/<corpus>/<tokenizer>/…`, files as they lie on a machine, each with its checksum.

`spans/<source>.json` says which shards one span became, so that no other machine makes them; `manifest.json`, written
last, makes all of them a store. A machine fetches manifest and index, and a shard when its first token is wanted.
"""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from proxy.data.shared import DIGEST, SharedStore, StoredFile
from proxy.data.tokenizers import TokenArray
from proxy.data.tokens.index import INDEX_FILES
from proxy.data.tokens.manifest import MANIFEST, Manifest
from proxy.data.tokens.shards import Shard
from proxy.data.tokens.store import OPEN_SHARDS
from proxy.errors import TokensDamagedError

SHARD_NAME = re.compile(r"shard-[0-9]{5,}-[0-9]{2,}")
DTYPES = ("uint16", "uint32")
COPIES_AT_ONCE = 8

Remake = Callable[[Shard], None]


@dataclass(frozen=True, kw_only=True)
class SharedTokens:
    """The tokens of one (corpus, tokenizer) in a store, with `place`, the folder of their copies on this machine."""

    store: SharedStore
    place: Path

    @property
    def key(self) -> str:
        """Their folder in the store."""
        return f"tokens/{self.place.parent.name}/{self.place.name}"

    def find_span(self, source: str) -> list[Shard]:
        """The shards that a span became on whatever machine; empty if nobody has published it."""
        content = self.store.read(f"{self.key}/spans/{source}.json")
        shards = [_shard(one) for one in content] if isinstance(content, list) else []
        whole = [shard for shard in shards if shard is not None]
        return whole if len(whole) == len(shards) and whole and whole[-1].is_last else []

    def publish_span(self, source: str, shards: Iterable[Shard]) -> None:
        """Copies shards that lie in `place` to the store, then says that the span is there."""
        made = list(shards)
        for shard in made:
            self.put(shard)
        self.store.write(f"{self.key}/spans/{source}.json", [asdict(shard) for shard in made])

    def put(self, shard: Shard, *, again: bool = False) -> None:
        """Copies a shard's files to the store; `again`: also where files of their size lie there."""
        for file in (tokens_file(shard), rows_file(shard)):
            self.store.put(self.place / file.name, self.key, file, again=again)

    def fetch(self, file: StoredFile) -> bool:
        """Copies a file to `place`, unless one of its size is there; False if the store has none that is whole."""
        return file.is_at(self.place / file.name) or self.fetch_anew(file)

    def fetch_anew(self, file: StoredFile) -> bool:
        """As `fetch`, whatever lies in `place`."""
        return self.store.fetch(self.key, file, self.place / file.name)

    def is_published(self) -> bool:
        """Whether a whole store of tokens is there."""
        return self.manifest() is not None

    def manifest(self) -> Manifest | None:
        """What was published; None if nothing was, or nothing that this version can read."""
        content = self.store.read(f"{self.key}/{MANIFEST}") or {}
        found = Manifest.from_json(content)
        if found is None or (found.corpus, found.tokenizer) != (self.place.parent.name, self.place.name):
            return None
        is_plain = all(_shard(one) for one in content["shards"]) and set(found.index) == set(INDEX_FILES)
        return found if is_plain and found.dtype in DTYPES else None

    def publish(self, manifest: Manifest) -> None:
        """Copies the shards that lie in `place`, the index and at last the manifest to the store."""
        here = [shard for shard in manifest.shards if shard.has_sizes(self.place)]
        at_once(self.put, here)
        for file in _index_files(manifest):
            self.store.put(self.place / file.name, self.key, file, again=True)
        self.store.write(f"{self.key}/{MANIFEST}", asdict(manifest))

    def withdraw(self, *, unless_published: bool = False) -> None:
        """Removes what was published, so that it is made anew; or spans alone, where they never became a whole."""
        if not (unless_published and self.is_published()):
            self.store.remove(self.key)

    def localise(self, documents_table: str) -> Manifest | None:
        """Manifest and index on this machine, fetched where they are not; None if the store has none that is whole."""
        manifest = Manifest.load(self.place)
        if manifest is not None and manifest.has_index(self.place):
            return manifest
        manifest = self.manifest()
        if manifest is None or not all(map(self.fetch_anew, _index_files(manifest))):
            return None
        manifest = replace(manifest, documents_table=documents_table)
        manifest.save(self.place)
        return manifest


@dataclass(frozen=True, kw_only=True)
class ShardCopies:
    """Shards that are fetched when they are wanted; one that is damaged in the store is made again by `remake`."""

    shared: SharedTokens
    manifest: Manifest
    remake: Remake | None

    def opener(self) -> Callable[[int], TokenArray]:
        """Maps a shard's tokens."""

        @lru_cache(maxsize=OPEN_SHARDS)
        def open_shard(index: int) -> TokenArray:
            self.keep(index)
            shard = self.manifest.shards[index]
            path = self.shared.place / f"{shard.name}.tokens"
            mapped: TokenArray = np.memmap(path, dtype=shard.dtype, mode="r").view(np.ndarray)
            return mapped

        return open_shard

    def fetch(self, indices: Iterable[int]) -> None:
        """Copies several shards, some at once."""
        at_once(self.keep, indices)

    def keep(self, index: int) -> None:
        """Copies a shard unless it is there. TokensDamagedError if it cannot be made again."""
        shard = self.manifest.shards[index]
        if self.shared.fetch(tokens_file(shard)):
            return
        if self.remake is None:
            raise TokensDamagedError(damage_words(self.shared, shard, "nothing is known of its text here"))
        self.remake(shard)


def damage_words(shared: SharedTokens, shard: Shard, reason: str) -> str:
    """Which shard of which store cannot be used, and why that is not mended."""
    return (
        f"{shared.key}/{shard.name} is missing or damaged in the shared store {shared.store.name} and cannot be made "
        f"again: {reason}"
    )


def tokens_file(shard: Shard) -> StoredFile:
    """The file of a shard's tokens."""
    return StoredFile(name=f"{shard.name}.tokens", size=shard.tokens_bytes, checksum=shard.tokens_checksum)


def rows_file(shard: Shard) -> StoredFile:
    """The file that says which documents a shard holds."""
    return StoredFile(name=f"{shard.name}.npy", size=shard.index_bytes, checksum=shard.index_checksum)


def _index_files(manifest: Manifest) -> list[StoredFile]:
    return [StoredFile(name=name, size=size, checksum=digest) for name, (size, digest) in manifest.index.items()]


def _shard(content: Any) -> Shard | None:
    """None for what names no plain files: another machine's words become paths on this one."""
    try:
        shard = Shard(**content)
        is_plain = SHARD_NAME.fullmatch(shard.name) and shard.dtype in DTYPES and shard.tokens >= 0
        digests = (shard.tokens_checksum, shard.index_checksum)
    except TypeError:
        return None
    return shard if is_plain and all(map(DIGEST.fullmatch, digests)) else None


def at_once(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    """For each item, some at a time: an object store answers slowly, and many questions at once."""
    with ThreadPoolExecutor(COPIES_AT_ONCE, thread_name_prefix="copy") as threads:
        for _ in threads.map(work, items):
            pass
