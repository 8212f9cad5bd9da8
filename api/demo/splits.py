"""Documents out of files: which are trained on, and which are held out.

Each file is cut into documents of a few kilobytes that remember their file (`source`). A hash of the file's path
decides whether it is held out, so no file is in both. What is held out and stands in a training document all the same,
as licences and generated code do, is left out.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from proxy.data.leaks import find_ngram_overlap
from proxy.data.ngram_sets import NgramSet

TRAIN_CHARACTERS = 3_000_000
HELD_OUT_CHARACTERS = 25_000
CANDIDATES = 2  # times as much is looked at, because some of it turns out to be in the training texts
SEEN_SHARE = 0.25  # of a document's word n-grams; a leak is half of them, in a suite whose boilerplate is ignored
HELD_OUT_ONE_IN = 12
DOCUMENT_CHARACTERS = 2_500
LONGEST_SHARE_OF_ONE_FILE = 60_000  # characters of one file a corpus may take: variety before bulk

Document = dict[str, str]  # its text, and the source: the file that it is from
Split = tuple[list[Document], list[Document]]  # for training, and candidates for what is held out


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """One file's text and the path that names it on every machine."""

    source: str
    text: str


def unseen(splits: Mapping[str, Split]) -> dict[str, list[Document]]:
    """Of each corpus's candidates, as many as are wanted of those that no training text holds."""
    candidates = [document for _, held_out in splits.values() for document in held_out]
    training = (document["text"] for train, _ in splits.values() for document in train)
    overlap = find_ngram_overlap(training, NgramSet.of(document["text"] for document in candidates))
    is_seen = iter(np.nan_to_num(overlap.share_V) >= SEEN_SHARE)
    kept: dict[str, list[Document]] = {}
    for name, (_, held_out) in splits.items():
        room = HELD_OUT_CHARACTERS
        kept[name] = []
        for document in held_out:
            if not next(is_seen) and room > 0:
                kept[name].append(document)
                room -= len(document["text"])
    return kept


def split(files: Iterable[TextFile]) -> Split:
    """Documents for training and candidates, until both are full; a text that came before is not taken again."""
    train: list[Document] = []
    held_out: list[Document] = []
    room = {True: CANDIDATES * HELD_OUT_CHARACTERS, False: TRAIN_CHARACTERS}
    seen: set[str] = set()
    for text_file in files:
        is_held_out = hash_of("split:" + text_file.source) % HELD_OUT_ONE_IN == 0
        for document in _documents(text_file):
            if room[is_held_out] <= 0 or document["text"] in seen:
                continue
            seen.add(document["text"])
            (held_out if is_held_out else train).append(document)
            room[is_held_out] -= len(document["text"])
        if max(room.values()) <= 0:
            break
    return train, held_out


def _documents(text_file: TextFile) -> Iterator[Document]:
    """Cuts at line ends into documents of about DOCUMENT_CHARACTERS."""
    lines = text_file.text[:LONGEST_SHARE_OF_ONE_FILE].splitlines(keepends=True)
    size = 0

    def piece_of(line: str) -> int:
        nonlocal size
        size += len(line)
        return (size - 1) // DOCUMENT_CHARACTERS

    for _, group in itertools.groupby(lines, key=piece_of):
        text = "".join(group).strip()
        if len(text) >= 100:
            yield {"text": text, "source": text_file.source}


def hash_of(text: str) -> int:
    """The same number for a name on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
