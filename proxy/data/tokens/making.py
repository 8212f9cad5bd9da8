"""Making the shards of one span: read, digest, tokenise, write.

The library tokenises without the interpreter's lock, so a second thread keeps it busy while this one parses the next
batch and writes the last: what is not tokenising costs next to nothing where there are two cores.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import tokenizers

from proxy.data.corpora import CorpusLocation, parse_raw
from proxy.data.identity import FINGERPRINT_MODULUS, content_digest
from proxy.data.shared import SharedStore
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokens.shards import Shard, ShardWriter, finished_shards, shard_name
from proxy.data.tokens.sharing import SharedTokens
from proxy.data.tokens.spans import SHARD_BYTES, Span, plan_spans, read_span

BATCH_CHARACTERS = 500_000  # the library holds about 100 bytes a token; the first batch waits to be read
NUMERICS = f"tokens-v1 tokenizers-{tokenizers.__version__}"  # shards of another way of making are not mixed in

BATCHES_AHEAD = 3
DIGEST_WORDS = 8  # of 8 bytes

Advance = Callable[[int, int], None]  # documents and bytes of text more


@dataclass(kw_only=True)
class Batch:
    """Texts and what is known of them before they are tokenised; `digests` are 64 bytes each."""

    texts: list[str] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    characters: int = 0
    text_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Making:
    """What every span of a corpus is made with. With a store that machines share, spans that are there are not made,
    and those that are made are published there."""

    location: CorpusLocation
    tokenizer: Tokenizer
    place: Path
    shard_bytes: int = SHARD_BYTES
    shared: SharedStore | None = None

    @property
    def shared_tokens(self) -> SharedTokens | None:
        """The tokens in the store that machines share."""
        return None if self.shared is None else SharedTokens(store=self.shared, place=self.place)


def spans_of(making: Making) -> tuple[Span, ...]:
    """What `make_span` is to make, span by span."""
    tokenizer = making.tokenizer
    made_by = f"{NUMERICS} {tokenizer.fingerprint} {tokenizer.dtype.__name__}"
    return plan_spans(making.location, made_by, making.shard_bytes)


def make_span(making: Making, span: Span, advance: Advance) -> list[Shard]:
    """All shards of a span; those that are there and intact are used again, their documents passed over unparsed. The
    files of a span that another machine has published are not fetched."""
    if (shared := making.shared_tokens) is None:
        return _make_locally(making, span, advance)
    if published := shared.find_span(span.source):
        for shard in published:
            advance(shard.documents, shard.text_bytes)
        return published
    made = _make_locally(making, span, advance)
    shared.publish_span(span.source, made)
    return made


def _make_locally(making: Making, span: Span, advance: Advance) -> list[Shard]:
    done = list(finished_shards(making.place, span.index, span.source))
    for shard in done:
        advance(shard.documents, shard.text_bytes)
    if done and done[-1].is_last:
        return done
    documents = sum(shard.documents for shard in done)
    batches = _encoded(_batches(making, span, documents), making.tokenizer)
    while not (done and done[-1].is_last):
        done.append(_make_shard(making, span, len(done), batches, advance))
    return done


class _Encoded:
    """A batch whose tokens are on their way."""

    def __init__(self, batch: Batch, encoding: "Future[list[tokenizers.Encoding]]", is_last: bool) -> None:
        self.batch, self.encoding, self.is_last = batch, encoding, is_last


def _make_shard(making: Making, span: Span, number: int, batches: Iterator[_Encoded], advance: Advance) -> Shard:
    writer = ShardWriter(making.place, shard_name(span.index, number), making.tokenizer.dtype)
    digest_sum = text_bytes = characters = 0
    try:
        for encoded in batches:
            tokens, lengths = making.tokenizer.flatten(encoded.encoding.result())
            batch = encoded.batch
            writer.write(tokens, lengths, _words(batch.digests))
            digest_sum += sum(int.from_bytes(digest, "big") for digest in batch.digests)
            text_bytes += batch.text_bytes
            characters += batch.characters
            advance(len(batch.texts), batch.text_bytes)
            if encoded.is_last or characters >= making.shard_bytes:
                break
        return writer.finish(
            source=span.source,
            is_last=encoded.is_last,
            text_bytes=text_bytes,
            digest_sum=digest_sum % FINGERPRINT_MODULUS,
            numerics=NUMERICS,
        )
    finally:
        writer.discard()


def _words(digests: list[bytes]) -> np.typing.NDArray[np.uint64]:
    """The first two words of each digest, uint64[d, 2]."""
    words = np.frombuffer(b"".join(digests), dtype=">u8").reshape(-1, DIGEST_WORDS)
    return words[:, :2].astype(np.uint64)


def _encoded(batches: Iterable[Batch], tokenizer: Tokenizer) -> Iterator[_Encoded]:
    """Keeps three batches in the library's hands while the one before them is written and the next one is read: with
    one, its cores would idle whenever its thread waits for the interpreter's lock. Three take 3 % less than two."""
    with ThreadPoolExecutor(BATCHES_AHEAD, thread_name_prefix="tokenise") as threads:
        ahead: deque[_Encoded] = deque()
        for batch in batches:
            encoding = threads.submit(tokenizer.encode_lazily, batch.texts)
            ahead.append(_Encoded(batch, encoding, is_last=False))
            if len(ahead) > BATCHES_AHEAD:
                yield ahead.popleft()
        if not ahead:
            ahead.append(_Encoded(Batch(), threads.submit(tokenizer.encode_lazily, []), is_last=True))
        ahead[-1].is_last = True
        yield from ahead


def _batches(making: Making, span: Span, skip: int) -> Iterator[Batch]:
    batch = Batch()
    for place, raw in islice(read_span(span, making.location), skip, None):
        document = parse_raw(place, raw, making.location)
        encoded = document.text.encode()
        batch.texts.append(document.text)
        batch.digests.append(content_digest(encoded, document.fields))
        batch.characters += len(document.text)
        batch.text_bytes += len(encoded)
        if batch.characters >= BATCH_CHARACTERS:
            yield batch
            batch = Batch()
    if batch.texts:
        yield batch


def fingerprint_of(shards: Iterable[Shard]) -> str:
    """The corpus's fingerprint, as `TableBuilder` computes it."""
    documents = digest_sum = 0
    for shard in shards:
        documents += shard.documents
        digest_sum += int(shard.digest_sum, 16)
    total = (digest_sum % FINGERPRINT_MODULUS).to_bytes(64, "big") + documents.to_bytes(8, "big")
    return hashlib.blake2b(total, digest_size=16).hexdigest()
