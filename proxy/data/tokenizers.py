"""Byte-level BPE: trained by us, or a team's own tokenizer.json. Its fingerprint is part of the protocol."""

import json
from array import array
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from proxy.errors import InvalidInputError
from proxy.fingerprints import fingerprint

END_OF_TEXT = "<|endoftext|>"
KNOWN_ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "[EOS]", "<eos>")
SMALLEST_VOCABULARY = 257  # every byte and the end of text

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> str:
    """The tokenizer.json of a byte-level BPE; deterministic in texts and vocabulary."""
    if vocabulary < SMALLEST_VOCABULARY:
        raise InvalidInputError.at("/vocabulary", vocabulary, f"needs at least {SMALLEST_VOCABULARY}")
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    content: str = backend.to_str()
    return content


class Tokenizer:
    """A loaded tokenizer. `vocabulary` counts all ids, the end of text among them."""

    def __init__(self, content: str, backend: Backend, content_fingerprint: str, end_of_text: int) -> None:
        self._content, self._backend = content, backend
        self.fingerprint = content_fingerprint
        self.end_of_text = end_of_text
        self.vocabulary: int = 1 + max(backend.get_vocab(with_added_tokens=True).values())

    @classmethod
    def from_json(cls, content: str) -> "Tokenizer":
        """InvalidInputError at /tokenizer for what is no tokenizer.json or has no end-of-text token."""
        try:
            content_fingerprint = fingerprint(json.loads(content))
            backend = Backend.from_str(content)
        except Exception as error:  # the library raises nothing more specific
            raise InvalidInputError.at("/tokenizer", content[:80], f"is no tokenizer.json: {error}") from error
        backend.no_padding()
        backend.no_truncation()
        # A document that spells out a special token is text: otherwise it would end itself half-way.
        backend.encode_special_tokens = True
        vocabulary = backend.get_vocab(with_added_tokens=True)
        for name in KNOWN_ENDS:
            if name in vocabulary:
                return cls(content, backend, content_fingerprint, vocabulary[name])
        raise InvalidInputError.at("/tokenizer", content[:80], f"has no end-of-text token; known are {KNOWN_ENDS}")

    @property
    def end_of_text_name(self) -> str:
        """How the end of text is spelt."""
        return str(self._backend.id_to_token(self.end_of_text))

    def __reduce__(self) -> tuple[Callable[[str], "Tokenizer"], tuple[str]]:
        """To other processes as its content: the library's own way forgets that special tokens are text."""
        return Tokenizer.from_json, (self._content,)

    @property
    def dtype(self) -> type[np.uint16] | type[np.uint32]:
        """The smallest type that holds every id."""
        return np.uint16 if self.vocabulary <= 1 << 16 else np.uint32

    def encode_batch(self, texts: Sequence[str]) -> list[TokenArray]:
        """Tokens of each text, without special tokens; uses the library's own threads."""
        encoded = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [self._array(one.ids) for one in encoded]

    def encode_lazily(self, texts: Sequence[str]) -> list[Encoding]:
        """The library's own objects, made without holding the interpreter's lock; `flatten` makes arrays of them."""
        return list(self._backend.encode_batch_fast(texts, add_special_tokens=False))

    def flatten(self, encoded: Sequence[Encoding]) -> tuple[TokenArray, npt.NDArray[np.int64]]:
        """Tokens of all texts one after the other, and how many each has. The library gives lists of integers alone;
        an `array` takes them in a third of the time of `np.fromiter`."""
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        ids = array("I")
        for one in encoded:
            ids.fromlist(one.ids)
        tokens = np.frombuffer(ids, dtype=np.uintc)
        return (tokens.astype(np.uint16) if self.dtype is np.uint16 else tokens.astype(np.uint32)), lengths

    def _array(self, ids: Sequence[int]) -> TokenArray:
        return np.asarray(ids, np.uint16) if self.dtype is np.uint16 else np.asarray(ids, np.uint32)

    def decode_batch(self, batch: Sequence[Sequence[int]]) -> list[str]:
        """Text of many token sequences; uses the library's own threads."""
        texts: list[str] = self._backend.decode_batch(batch)
        return texts

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens; the end of text is left out."""
        text: str = self._backend.decode(list(ids))
        return text
