"""A store of tokens as plans and scorers see it: rows in the order of the documents' keys, files mapped when touched.

Ten million documents cost nothing until they are looked at: both arrays of the index are memory-mapped, and no object
belongs to a document. A shard is opened by the first row that lies in it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.tokenizers import TokenArray
from proxy.data.tokens.index import load_index
from proxy.data.tokens.manifest import Manifest
from proxy.data.tokens.streams import copy_pieces

OPEN_SHARDS = 256  # each mapped file holds a file descriptor, and 1024 is what a process usually may have

OpenShard = Callable[[int], TokenArray]


@dataclass(frozen=True, kw_only=True)
class TokenStore:
    """`token_counts` and `starts`, int64[D], in key order: document i is tokens [starts[i], starts[i] + counts[i]) of
    the shards laid end to end, without an end of text. Shard s begins at `bases[s]`, int64[S + 1]. `lost` says what
    the tokens' source does not allow (imported tokens). `fetch_shards` copies shards that lie on no disk of this
    machine yet; None where all do."""

    token_counts: Int64Array
    starts: Int64Array
    bases: Int64Array
    dtype: np.dtype[np.uint16] | np.dtype[np.uint32]
    open_shard: OpenShard
    load_table: Callable[[], DocumentTable]
    lost: tuple[str, ...] = ()
    fetch_shards: Callable[[Iterable[int]], None] | None = None

    def __len__(self) -> int:
        return len(self.token_counts)

    @cached_property
    def documents(self) -> DocumentTable:
        """The table of documents, row for row; read when it is first asked for."""
        return self.load_table()

    def fetch(self, rows: Int64Array) -> None:
        """Copies the shards of these rows to this machine where they are not: what is far away or damaged is known
        before it is waited for. SharedStoreError or TokensDamagedError if it cannot."""
        if self.fetch_shards is not None:
            held = rows[self.token_counts[rows] > 0]
            shards = np.searchsorted(self.bases, self.starts[held], side="right") - 1
            self.fetch_shards(np.unique(shards).tolist())

    def row(self, index: int) -> TokenArray:
        """The tokens of one document, a view of its shard."""
        start, count = int(self.starts[index]), int(self.token_counts[index])
        if count == 0:
            return np.empty(0, dtype=self.dtype)
        shard = int(np.searchsorted(self.bases, start, side="right")) - 1
        first = start - int(self.bases[shard])
        return self.open_shard(shard)[first : first + count]

    def gather(
        self,
        rows: Int64Array,
        lengths: Int64Array,
        end_of_text: int,
        out: TokenArray | None = None,
        at: Int64Array | None = None,
    ) -> TokenArray:
        """The beginnings of documents one after the other, each after an end of text, which its length includes.

        A length of 1 is the end of text alone; lengths beyond a document's tokens and one are a ValueError. With `out`
        and `at`, piece i is written to out[at[i]:] instead, so that several stores can fill one stream.
        """
        if len(rows) and ((lengths < 1).any() or (lengths - 1 > self.token_counts[rows]).any()):
            raise ValueError("a piece has at least its end of text and at most its document's tokens")
        if at is None:
            at = np.cumsum(lengths) - lengths
        if out is None:
            out = np.empty(int(lengths.sum()), dtype=self.dtype)
        out[at] = end_of_text
        copy_pieces(self.open_shard, self.bases, self.starts[rows], lengths - 1, at + 1, out)
        return out

    @classmethod
    def in_memory(cls, documents: DocumentTable, tokens: Sequence[TokenArray]) -> "TokenStore":
        """A store of one shard that is not on disk; `tokens` row for row of the table."""
        dtype = tokens[0].dtype if len(tokens) else np.dtype(np.uint16)
        counts = np.array([len(row) for row in tokens], dtype=np.int64)
        flat = np.concatenate([np.empty(0, dtype=dtype), *tokens])
        order = np.argsort(documents.key, kind="stable")
        return cls(
            token_counts=counts[order],
            starts=(np.cumsum(counts) - counts)[order],
            bases=np.array([0, len(flat)], dtype=np.int64),
            dtype=dtype,
            open_shard=lambda _: flat,
            load_table=lambda: documents,
        )


def open_tokens(folder: Path, corpus_fingerprint: str, tokenizer_fingerprint: str) -> TokenStore | None:
    """The stored tokens; None if this pair was never tokenised, or a file is missing or of the wrong size."""
    place = folder / corpus_fingerprint / tokenizer_fingerprint
    manifest = Manifest.load(place)
    if manifest is None or not manifest.has_sizes(place) or not (place / manifest.documents_table).exists():
        return None
    return store_of(
        place,
        manifest,
        _shard_opener(place, manifest),
        lambda: DocumentTable.load(place / manifest.documents_table),
    )


def store_of(
    place: Path,
    manifest: Manifest,
    open_shard: OpenShard,
    load_table: Callable[[], DocumentTable],
    fetch_shards: Callable[[Iterable[int]], None] | None = None,
) -> TokenStore:
    """The store that a manifest describes; its index lies in `place`."""
    starts, lengths = load_index(place)
    return TokenStore(
        token_counts=lengths,
        starts=starts,
        bases=np.cumsum([0, *(shard.tokens for shard in manifest.shards)], dtype=np.int64),
        dtype=np.dtype(np.uint16) if manifest.dtype == "uint16" else np.dtype(np.uint32),
        open_shard=open_shard,
        load_table=load_table,
        lost=manifest.lost,
        fetch_shards=fetch_shards,
    )


def load_token_counts(folder: Path, corpus_fingerprint: str, tokenizer_fingerprint: str) -> Int64Array | None:
    """Tokens of each document, int64[D] in key order; None if never tokenised."""
    store = open_tokens(folder, corpus_fingerprint, tokenizer_fingerprint)
    return None if store is None else store.token_counts


def verify_tokens(folder: Path, corpus_fingerprint: str, tokenizer_fingerprint: str) -> list[str] | None:
    """Names of the files and shards that are damaged, [] if none; None if there is no store. Reads all of it;
    `tokenise_corpus` makes again what is damaged."""
    place = folder / corpus_fingerprint / tokenizer_fingerprint
    manifest = Manifest.load(place)
    return None if manifest is None else manifest.damage(place)


def _shard_opener(place: Path, manifest: Manifest) -> OpenShard:
    @lru_cache(maxsize=OPEN_SHARDS)
    def open_shard(index: int) -> TokenArray:
        shard = manifest.shards[index]
        # A plain array over the mapping: slicing a np.memmap costs ten times as much.
        mapped: TokenArray = np.memmap(place / f"{shard.name}.tokens", dtype=shard.dtype, mode="r").view(np.ndarray)
        return mapped

    return open_shard
