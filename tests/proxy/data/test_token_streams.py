"""Streams out of stores: piece for piece what a loop over documents gives, and nothing read that is not sampled."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.corpora import CorpusLocation
from proxy.data.documents import scan_corpus
from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import TokenStore, gather_stream, open_tokens, streams, tokenise_corpus
from tests.proxy.data.material import END, few, records, store, write

TOKENIZER = Tokenizer.from_json(train_tokenizer(["one two three"], 260))
MANY = [f"document {i}" + " and more" * (i % 5) for i in range(40)]


def slowly(made: TokenStore, rows: list[int], lengths: list[int]) -> list[int]:
    pieces = ([END, *made.row(row)[: length - 1].tolist()] for row, length in zip(rows, lengths, strict=True))
    return [token for piece in pieces for token in piece]


@pytest.fixture
def sharded(tmp_path: Path) -> TokenStore:
    location = CorpusLocation(uri=str(write(tmp_path, "a.jsonl", records(*MANY))))
    registered = scan_corpus(location)[1].fingerprint
    return tokenise_corpus(location, registered, TOKENIZER, tmp_path / "t", shard_bytes=200)


@few
@given(st.data(), st.lists(st.lists(st.integers(1, 500), max_size=9), min_size=1, max_size=8), st.integers(1, 20))
def test_pieces_are_what_a_loop_over_documents_gives(
    data: st.DataObject, documents: list[list[int]], chunk: int
) -> None:
    made = store(documents)
    rows = data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=12))
    lengths = [data.draw(st.integers(1, 1 + int(made.token_counts[row]))) for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "CHUNK_TOKENS", chunk)
        found = made.gather(np.array(rows, dtype=np.int64), np.array(lengths, dtype=np.int64), END)
    assert found.tolist() == slowly(made, rows, lengths)
    assert found.dtype == made.dtype


def test_pieces_come_from_many_shards(sharded: TokenStore) -> None:
    assert len(sharded.bases) > 5
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 40, 300)
    lengths = rng.integers(1, sharded.token_counts[rows] + 2)
    assert sharded.gather(rows, lengths, END).tolist() == slowly(sharded, rows.tolist(), lengths.tolist())


def test_several_stores_fill_one_stream(sharded: TokenStore) -> None:
    other = store([[1, 2], [3], []])
    source, rows, lengths = (np.array(column) for column in ([1, 0, 1, 0], [0, 5, 1, 7], [1, 3, 1, 2]))
    found = gather_stream([sharded, other], source, rows, lengths, END).tolist()
    pieces = [slowly((sharded, other)[s], [r], [n]) for s, r, n in zip(source, rows, lengths, strict=True)]
    assert found == [token for piece in [*pieces, [END]] for token in piece]


@pytest.mark.parametrize("length", [0, -1, 4])
def test_a_piece_that_no_document_has_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="at most its document's tokens"):
        store([[1, 2]]).gather(np.array([0]), np.array([length]), END)


def test_only_shards_that_are_sampled_are_opened(tmp_path: Path, sharded: TokenStore) -> None:
    shard = np.searchsorted(sharded.bases, sharded.starts, side="right") - 1
    (removed,) = tmp_path.rglob("shard-00004-00.tokens")
    fresh = open_tokens(tmp_path / "t", removed.parent.parent.name, TOKENIZER.fingerprint)
    assert fresh is not None
    removed.unlink()
    others, inside = np.flatnonzero(shard != 4), np.flatnonzero(shard == 4)
    assert len(inside) > 0
    stream = fresh.gather(others, fresh.token_counts[others] + 1, END)
    assert len(stream) == int((fresh.token_counts[others] + 1).sum())
    with pytest.raises(FileNotFoundError):
        fresh.gather(inside, fresh.token_counts[inside] + 1, END)


def test_no_more_shards_than_the_limit_are_open_and_all_are_read(
    tmp_path: Path, sharded: TokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.data.tokens.store.OPEN_SHARDS", 2)
    (manifest,) = tmp_path.rglob("manifest.json")
    fresh = open_tokens(tmp_path / "t", manifest.parent.parent.name, TOKENIZER.fingerprint)
    assert fresh is not None
    rows = np.arange(40)
    np.testing.assert_array_equal(
        fresh.gather(rows, fresh.token_counts + 1, END), sharded.gather(rows, sharded.token_counts + 1, END)
    )
    assert fresh.open_shard.cache_info().currsize == 2  # type: ignore[attr-defined]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is mapped")
def test_what_was_read_stays_in_memory_no_longer_than_its_chunk(tmp_path: Path) -> None:
    path, documents, length = tmp_path / "tokens", 2000, 4096
    np.arange(documents * length, dtype=np.uint16).tofile(path)
    flat = np.memmap(path, np.uint16, "r").view(np.ndarray)
    starts = np.arange(documents, dtype=np.int64) * length
    lengths = np.full(documents, 5)
    out = np.empty(documents * 5, dtype=np.uint16)
    streams.copy_pieces(lambda _: flat, np.array([0, len(flat)]), starts, lengths, np.arange(documents) * 5, out)
    assert out.reshape(-1, 5).tolist() == [[(start + i) % (1 << 16) for i in range(5)] for start in starts.tolist()]
    resident = [line.split()[1] for line in _map_of(path) if line.startswith("Rss:")]
    assert [int(kilobytes) for kilobytes in resident] == [0]


def _map_of(path: Path) -> list[str]:
    """What the system says of a mapped file."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    first = next(index for index, line in enumerate(lines) if line.endswith(str(path)))
    return lines[first : first + 5]
