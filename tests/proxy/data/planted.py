"""Planted near-duplicates of real text: pairs whose similarity is known, because it is counted by brute force."""

import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from proxy.data.documents import normalise


def real_texts(count: int, words: int) -> list[str]:
    """`count` texts of `words` words from the standard library's source, which every machine has."""
    texts: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tokens = path.read_text(encoding="utf-8", errors="ignore").split()
        texts += [" ".join(tokens[i : i + words]) for i in range(0, len(tokens) - words + 1, words)]
        if len(texts) >= count:
            return texts[:count]
    raise AssertionError(f"the standard library holds only {len(texts)} texts of {words} words")


def shingles(text: str, words: int = 5) -> set[str]:
    """The definition: all n-grams of the normalised text, or the whole of a shorter one."""
    tokens = normalise(text).split()
    return {" ".join(tokens[i : i + words]) for i in range(max(1, len(tokens) - words + 1))}


def jaccard(left: set[str], right: set[str]) -> float:
    """Shared of all."""
    return len(left & right) / len(left | right)


def edited(text: str, similarity: float, generator: np.random.Generator) -> str:
    """The text with words replaced, at random places, until its similarity is at most `similarity`."""
    tokens, original = text.split(), shingles(text)
    for place in generator.permutation(len(tokens)):
        if jaccard(original, shingles(" ".join(tokens))) <= similarity:
            break
        tokens[place] = f"new{generator.integers(1 << 30)}"
    return " ".join(tokens)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Texts, shuffled, and the true similarity of all pairs (i < j) that share a shingle."""

    texts: list[str]
    similarity: dict[tuple[int, int], float]


def plant(originals: list[str], low: float, generator: np.random.Generator) -> Planted:
    """Each original and an edited copy, at a similarity drawn evenly from [low, 1]."""
    copies = [edited(text, generator.uniform(low, 1), generator) for text in originals]
    both = originals + copies
    texts = [both[i] for i in generator.permutation(len(both))]
    return Planted(texts=texts, similarity=all_pairs(texts))


def all_pairs(texts: list[str]) -> dict[tuple[int, int], float]:
    """Brute force over all pairs; the ones without a shared shingle are left out."""
    sets = [shingles(text) for text in texts]
    holders: dict[str, list[int]] = {}
    for row, of_text in enumerate(sets):
        for shingle in of_text:
            holders.setdefault(shingle, []).append(row)
    pairs = {(i, j) for rows in holders.values() for i in rows for j in rows if i < j}
    return {pair: jaccard(sets[pair[0]], sets[pair[1]]) for pair in pairs}


@dataclass(frozen=True, kw_only=True)
class Found:
    """How well groups agree with the truth. `clear` figures leave out pairs whose true similarity is near the stated
    one; `sharp` figures count every pair, on the one side or the other.
    """

    clear_precision: float
    clear_recall: float
    sharp_precision: float
    sharp_recall: float
    clear_pairs: int


def compare(groups: Sequence[int], planted: Planted, similarity: float, margin: float = 0.05) -> Found:
    """Of pairs: a pair is found if its two documents are in one group."""
    found = np.array([groups[i] == groups[j] for i, j in planted.similarity])
    true = np.array(list(planted.similarity.values()))
    is_clear = np.abs(true - similarity) >= margin - 1e-9
    wanted = true >= similarity
    both = found & wanted
    return Found(
        clear_precision=float((both & is_clear).sum() / (found & is_clear).sum()),
        clear_recall=float((both & is_clear).sum() / (wanted & is_clear).sum()),
        sharp_precision=float(both.sum() / found.sum()),
        sharp_recall=float(both.sum() / wanted.sum()),
        clear_pairs=int((wanted & is_clear).sum()),
    )
