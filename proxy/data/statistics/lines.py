"""Lines, paragraphs and sentences of a text, counted line by line: 16 bytes a line, one block of lines in memory.

A line is what stands between two line feeds, with its indentation and without white space at its end; empty ones
are not lines. A paragraph is lines without an empty one between them. A sentence ends with a run of . ! ? … and
closing quotes or brackets before white space or the end (。！？ end one anywhere); what is left after the last end is
one more if it has a letter or digit. "Mr. Smith" is therefore two: exact enough for limits of a few sentences, and
needs no language.
"""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from proxy.data.statistics.characters import LINE_FEED, as_int64, blocks

SHORT_LINE_CHARACTERS = 30  # Penedo et al. 2024, section 3.6
BULLETS = ("•", "●", "*", "-")  # Rae et al. name none; these are what two open re-implementations take together
ELLIPSES = ("...", "…")
TERMINAL_MARKS = tuple(".!?…。！？؟۔।॥։።၊။។៕")  # of the larger scripts; no quotes, as in FineWeb's code
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)  # the released code of C4 (tensorflow_datasets, c4_utils)
_SENTENCE_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’»)\]]*+(?=\s|\Z)|[。！？]++""")
_WORD_CHARACTER = re.compile(r"\w")

C4_END_MARKS = (".", "!", "?", '"')
C4_FEWEST_WORDS = 5
C4_LONGEST_WORD = 1000
_C4_TOO_LONG_WORD = re.compile(rf"(?<!\S)\S{{{C4_LONGEST_WORD + 1}}}")
_C4_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Lines or paragraphs: how many, with how many characters, and what of it repeats an earlier one."""

    count: int
    characters: int
    duplicates: int
    duplicate_characters: int


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What there is of lines, and how many begin or end how; lengths in characters."""

    repeated: Repeated
    longest: int
    short: int
    bullets: int
    ellipses: int
    terminal: int


def split_lines(text: str) -> Iterator[str]:
    """Every line without the white space at its end; empty ones too."""
    for block in blocks(text, LINE_FEED):
        yield from map(str.rstrip, block.removesuffix("\n").split("\n"))


def find_lines(text: str) -> Lines:
    """One pass; meanwhile a line is its 64-bit hash and its length."""
    hashes, lengths = array("q"), array("q")
    bullets = ellipses = terminal = 0
    for line in filter(None, split_lines(text)):
        hashes.append(hash(line))
        lengths.append(len(line))
        bullets += line.lstrip().startswith(BULLETS)
        ellipses += line.endswith(ELLIPSES)
        terminal += line.endswith(TERMINAL_MARKS)
    lengths_L = as_int64(lengths)
    return Lines(
        repeated=_repeated(hashes, lengths),
        longest=int(lengths_L.max(initial=0)),
        short=int(np.count_nonzero(lengths_L < SHORT_LINE_CHARACTERS)),
        bullets=bullets,
        ellipses=ellipses,
        terminal=terminal,
    )


def find_paragraphs(text: str) -> Repeated:
    """Paragraphs are equal if all their lines are; characters are those of the lines."""
    hashes, lengths = array("q"), array("q")
    paragraph, characters = 0, 0
    for line in chain(split_lines(text), [""]):
        if line:
            paragraph, characters = hash((paragraph, line)), characters + len(line)
        elif characters:
            hashes.append(paragraph)
            lengths.append(characters)
            paragraph, characters = 0, 0
    return _repeated(hashes, lengths)


def _repeated(hashes: "array[int]", lengths: "array[int]") -> Repeated:
    """The first of equal rows is no duplicate."""
    lengths_R = as_int64(lengths)
    _, first = np.unique(as_int64(hashes), return_index=True)
    characters = int(lengths_R.sum())
    return Repeated(
        count=len(lengths_R),
        characters=characters,
        duplicates=len(lengths_R) - len(first),
        duplicate_characters=characters - int(lengths_R[first].sum()),
    )


def count_sentences(text: str) -> int:
    """Sentence ends, and one more for an unended rest with a letter or digit."""
    ended, last = 0, 0
    for match in _SENTENCE_END.finditer(text):
        ended, last = ended + 1, match.end()
    return ended + bool(_WORD_CHARACTER.search(text, last))


def count_lines_with(text: str, *phrases: str) -> int:
    """Lines that hold one of these lower-case phrases, in any case."""
    return sum(
        any(phrase in line for phrase in phrases)
        for block in blocks(text, LINE_FEED)
        if any(phrase in (lowered := block.lower()) for phrase in phrases)
        for line in lowered.split("\n")
    )


def count_c4_sentences(text: str) -> int:
    """Sentences on the lines that C4 keeps: that end in . ! ? or " but not "...", have five words and none over 1000
    characters, and say neither javascript nor a policy phrase.
    """
    return sum(count_sentences(line) for line in map(_clean_c4_line, split_lines(text)) if line)


def _clean_c4_line(line: str) -> str:
    """The line without citation marks, or "" where C4 drops it."""
    cleaned = _C4_CITATION.sub("", line.lstrip())
    if not cleaned.endswith(C4_END_MARKS) or cleaned.endswith("..."):
        return ""
    if len(cleaned.split(maxsplit=C4_FEWEST_WORDS)) < C4_FEWEST_WORDS or _C4_TOO_LONG_WORD.search(cleaned):
        return ""
    lowered = cleaned.lower()
    return "" if any(phrase in lowered for phrase in ("javascript", *POLICY_PHRASES)) else cleaned
