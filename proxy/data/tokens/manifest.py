"""The manifest of a store: written last, it makes the shards beside it a whole. Sizes are checked on every opening;
checksums by `building`, where a store is small, and by `verify_tokens`, on demand."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from proxy.data.arrays import checksum
from proxy.data.tokens.index import INDEX_FILES
from proxy.data.tokens.shards import Shard, write_whole

MANIFEST = "manifest.json"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a store holds. `documents_table` is the folder of the table of documents, relative to the store's;
    `index` maps each file of the index to its size and checksum; `lost` says what imported tokens cannot do."""

    corpus: str
    tokenizer: str
    vocabulary: int
    dtype: str
    documents: int
    tokens: int
    text_bytes: int
    documents_table: str
    index: dict[str, tuple[int, str]]
    shards: tuple[Shard, ...]
    lost: tuple[str, ...] = ()
    version: int = VERSION

    def save(self, place: Path) -> None:
        """Makes the store valid."""
        write_whole(place / MANIFEST, json.dumps(asdict(self), indent=1).encode())

    @classmethod
    def load(cls, place: Path) -> "Manifest | None":
        """None if there is none that this version wrote."""
        try:
            return cls.from_json(json.loads((place / MANIFEST).read_bytes()))
        except (OSError, ValueError):
            return None

    @classmethod
    def from_json(cls, content: Any) -> "Manifest | None":
        """None for what this version did not write."""
        try:
            if content["version"] != VERSION:
                return None
            index = {name: (size, digest) for name, (size, digest) in content["index"].items()}
            shards = tuple(Shard(**shard) for shard in content["shards"])
            return cls(**{**content, "index": index, "shards": shards, "lost": tuple(content["lost"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def has_index(self, place: Path) -> bool:
        """True if the index is there and as long as it must be."""
        return all(_size(place / name) == size for name, (size, _) in self.index.items())

    def has_sizes(self, place: Path) -> bool:
        """True if all files are there and as long as they must be."""
        return self.has_index(place) and all(shard.has_sizes(place) for shard in self.shards)

    def damage(self, place: Path) -> list[str]:
        """Names of what is missing or does not have its checksum; reads everything."""
        files = [
            name
            for name, (size, digest) in self.index.items()
            if _size(place / name) != size or checksum(place / name) != digest
        ]
        return files + [shard.name for shard in self.shards if not shard.is_intact(place)]

    def drop_damaged(self, place: Path) -> None:
        """Removes files that do not have their checksums; reads everything that is there."""
        shards = {f"{shard.name}.tokens": shard.tokens_checksum for shard in self.shards}
        rows = {f"{shard.name}.npy": shard.index_checksum for shard in self.shards}
        for name, digest in ({name: digest for name, (_, digest) in self.index.items()} | shards | rows).items():
            path = place / name
            if path.exists() and checksum(path) != digest:
                path.unlink()


def index_identity(place: Path) -> dict[str, tuple[int, str]]:
    """Size and checksum of the index's files."""
    return {name: (_size(place / name), checksum(place / name)) for name in INDEX_FILES}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
