"""Sets of the word n-grams of held-out texts, with who has them: what overlap is measured against.

Words are what remains after NFC and case folding when everything but letters, numbers and marks (Unicode categories
L, N and M) separates: punctuation, symbols, underscores, white space. An n-gram is 13 words in a row, as for GPT-3
(Brown et al., NeurIPS 2020, appendix C; lower case, no punctuation). A held-out text shorter than that counts as one
n-gram as a whole from 8 words on, the least that they used, and is found inside longer texts; a shorter one is
ignored. In scripts without spaces a "word" is a clause, so only long copies are found.

Boilerplate such as a licence header is in everything and says nothing. GPT-3 ignored n-grams found in more than 10
training documents; here an n-gram in more than 10 held-out documents is ignored (`maximum_documents`), because that
can be known before any training text is read and does not change with it.

Array axes: U distinct n-grams, E pairs of an n-gram and a held-out document that has it, V held-out documents.
"""

import hashlib
import io
import json
import re
import sys
import unicodedata
import uuid
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from proxy.data.hashing import UInt64Array
from proxy.data.shingles import Int64Array, hashed_pieces
from proxy.errors import FieldProblem, InvalidInputError

BoolArray = npt.NDArray[np.bool_]

NORMALISATION = "words-v1"  # what `only_words` and the hashes of n-grams do; part of the fingerprint
WORDS = 13
MINIMUM_WORDS = 8
MAXIMUM_DOCUMENTS = 10
MOST_SIEVE_BITS = 26  # 64 MB

# Where a text may be cut: what separates words and never combines with a character before it.
SEPARATOR = re.compile(r"[\s!-/:-@\[-`{-~]")
ASCII_WORDS = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}


def only_words(text: str) -> str:
    """The words of a text with single spaces between them."""
    if text.isascii():
        return " ".join(text.translate(ASCII_WORDS).split())
    folded = unicodedata.normalize("NFC", text).casefold()
    codes = np.frombuffer(folded.encode("utf-32-le", errors="surrogatepass"), dtype="<u4")
    spaced = np.where(_is_of_word()[codes], codes, np.uint32(ord(" ")))
    return " ".join(spaced.astype("<u4").tobytes().decode("utf-32-le", errors="surrogatepass").split())


@lru_cache(maxsize=1)
def _is_of_word() -> BoolArray:
    """Whether each code point belongs to a word; made once a process, in about 0.2 s."""
    return np.array([unicodedata.category(chr(code))[0] in "LNM" for code in range(sys.maxunicode + 1)])


@dataclass(frozen=True, kw_only=True, eq=False)
class NgramSet:
    """The n-grams of `held_out` texts: `hashes`, uint64[U], ascending, and who has them: those of n-gram u are
    `documents[offsets[u]:offsets[u + 1]]`, int32[E]. `lengths` are the words of an n-gram, ascending. 12 to 20 bytes
    an n-gram, about 60 while it is made.
    """

    words: int
    minimum_words: int
    maximum_documents: int | None
    held_out: int
    lengths: tuple[int, ...]
    hashes: UInt64Array
    offsets: Int64Array
    documents: npt.NDArray[np.int32]

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        words: int = WORDS,
        *,
        minimum_words: int | None = None,
        maximum_documents: int | None = MAXIMUM_DOCUMENTS,
    ) -> "NgramSet":
        """The set of these held-out texts. `minimum_words` is 8, or `words` if that is less; n-grams in more than
        `maximum_documents` texts are ignored, none if None.
        """
        least = min(MINIMUM_WORDS, words) if minimum_words is None else minimum_words
        _check(words, least, maximum_documents)
        found = [_ngrams_of(text, words, least) for text in texts]
        sizes = [len(hashes) for hashes, _ in found]
        hash_E = np.concatenate([np.zeros(0, dtype=np.uint64), *(hashes for hashes, _ in found)])
        document_E = np.repeat(np.arange(len(found), dtype=np.int32), sizes)
        order = np.argsort(hash_E, kind="stable")
        hashes, count_U = np.unique(hash_E[order], return_counts=True)
        is_kept_U = count_U <= (len(found) if maximum_documents is None else maximum_documents)
        return cls(
            words=words,
            minimum_words=least,
            maximum_documents=maximum_documents,
            held_out=len(found),
            lengths=tuple(sorted({length for hashes, length in found if len(hashes)} | {words})),
            hashes=hashes[is_kept_U],
            offsets=np.concatenate([[0], np.cumsum(count_U[is_kept_U])]).astype(np.int64),
            documents=document_E[order][np.repeat(is_kept_U, count_U)],
        )

    @cached_property
    def fingerprint(self) -> str:
        """Names the set: what counts as a word, the settings, and every n-gram and who has it."""
        digest = hashlib.blake2b(json.dumps([NORMALISATION, *self._settings()]).encode(), digest_size=16)
        for array in (self.hashes, self.offsets, self.documents):
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def _settings(self) -> list[object]:
        return [self.words, self.minimum_words, self.maximum_documents, self.held_out, list(self.lengths)]

    def save(self, path: Path) -> None:
        """Writes the set into one file, whole or not at all."""
        content = io.BytesIO()
        about = json.dumps([self.fingerprint, *self._settings()])
        np.savez(content, about=np.array(about), hashes=self.hashes, offsets=self.offsets, documents=self.documents)
        partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
        partial.write_bytes(content.getvalue())
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "NgramSet":
        """Reads what `save` wrote. InvalidInputError for a file that is damaged or of another normalisation."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                fingerprint, words, minimum, maximum, held_out, lengths = json.loads(str(arrays["about"]))
                columns = {name: arrays[name] for name in ("hashes", "offsets", "documents")}
        except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidInputError.at("/path", str(path), "is not a set of n-grams") from error
        made = cls(
            words=words,
            minimum_words=minimum,
            maximum_documents=maximum,
            held_out=held_out,
            lengths=tuple(lengths),
            **columns,
        )
        if made.fingerprint != fingerprint:
            raise InvalidInputError.at("/path", str(path), f"is damaged or not made by {NORMALISATION}")
        return made

    def find(self, hashes: UInt64Array) -> Int64Array:
        """The place in `hashes` of each n-gram, -1 for one that is not in the set."""
        places = np.full(len(hashes), -1, dtype=np.int64)
        likely = np.flatnonzero(self._sieve[hashes >> self._shift])
        place = np.searchsorted(self.hashes, hashes[likely])
        is_there = self.hashes[np.minimum(place, len(self.hashes) - 1)] == hashes[likely]
        places[likely[is_there]] = place[is_there]
        return places

    def holders(self, places: Int64Array) -> npt.NDArray[np.int32]:
        """The held-out documents that have these n-grams, one n-gram after the other."""
        counts = self.offsets[places + 1] - self.offsets[places]
        ends = np.cumsum(counts)
        pairs: Int64Array = np.repeat(self.offsets[places] - ends + counts, counts) + np.arange(counts.sum())
        return self.documents[pairs]

    @cached_property
    def sizes(self) -> Int64Array:
        """How many distinct n-grams of the set each held-out document has; int64[V]."""
        return np.bincount(self.documents, minlength=self.held_out)

    @cached_property
    def _shift(self) -> np.uint64:
        return np.uint64(64 - min(MOST_SIEVE_BITS, len(self.hashes).bit_length() + 4))

    @cached_property
    def _sieve(self) -> BoolArray:
        """Whether any n-gram begins with these bits: most of a clean text is done with after one look."""
        sieve = np.zeros(1 << (64 - int(self._shift)), dtype=bool)
        sieve[self.hashes >> self._shift] = True
        return sieve


def _check(words: int, minimum_words: int, maximum_documents: int | None) -> None:
    problems = []
    if words < 1:
        problems.append(FieldProblem(pointer="/words", value=words, message="must be at least 1"))
    elif not 1 <= minimum_words <= words:
        message = f"must be at least 1 and at most the {words} words of an n-gram"
        problems.append(FieldProblem(pointer="/minimum_words", value=minimum_words, message=message))
    if maximum_documents is not None and maximum_documents < 1:
        message = "must be at least 1, or none for no limit"
        problems.append(FieldProblem(pointer="/maximum_documents", value=maximum_documents, message=message))
    if problems:
        raise InvalidInputError(problems)


def _ngrams_of(text: str, words: int, minimum_words: int) -> tuple[UInt64Array, int]:
    """A held-out text's distinct n-grams and how many words they have."""
    parts, length = [np.zeros(0, dtype=np.uint64)], words
    for piece in hashed_pieces(text, words, only_words, SEPARATOR):
        is_short = piece.is_last and len(piece) < words and not any(map(len, parts))
        length = len(piece) if is_short else words
        if length >= minimum_words:
            parts.append(piece.ngrams(length))
    return np.unique(np.concatenate(parts)), length
