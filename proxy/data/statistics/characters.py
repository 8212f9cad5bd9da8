"""Character classes of a text, counted in blocks: linear in the text, at most one block of code points in memory.

Classes are Python's own Unicode properties (`str.isspace`, `isalpha`, `isdecimal`, `isupper`, category P* or S* for
punctuation), so they follow the Unicode version of the Python that runs them (14.0 for Python 3.11).
"""

import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ByteArray = npt.NDArray[np.uint8]

BLOCK_CHARACTERS = 1 << 20
WHITE_SPACE = re.compile(r"\s")
LINE_FEED = re.compile("\n")
KNOWN, SPACE, ALPHABETIC, DIGIT, UPPERCASE, PUNCTUATION = (1 << bit for bit in range(6))
ASCII_POINTS = 128
CODE_POINTS = 0x110000

_classes = np.zeros(CODE_POINTS, dtype=np.uint8)  # filled as code points are met: all of them would take a second


@dataclass(frozen=True, kw_only=True)
class CharacterCounts:
    """How many characters are of each class; a character can be of several."""

    spaces: int
    alphabetic: int
    digits: int
    uppercase: int
    punctuation: int
    non_ascii: int


def count_characters(text: str) -> CharacterCounts:
    """One pass over `text`."""
    by_classes = np.zeros(1 << 6, dtype=np.int64)
    non_ascii = 0
    for start in range(0, len(text), BLOCK_CHARACTERS):
        points = code_points(text[start : start + BLOCK_CHARACTERS])
        by_classes += np.bincount(classes_of(points), minlength=len(by_classes))
        if points.dtype != np.uint8:
            non_ascii += int(np.count_nonzero(points >= ASCII_POINTS))
    return CharacterCounts(
        spaces=_of_class(by_classes, SPACE),
        alphabetic=_of_class(by_classes, ALPHABETIC),
        digits=_of_class(by_classes, DIGIT),
        uppercase=_of_class(by_classes, UPPERCASE),
        punctuation=_of_class(by_classes, PUNCTUATION),
        non_ascii=non_ascii,
    )


def _of_class(by_classes: npt.NDArray[np.int64], flag: int) -> int:
    return int(by_classes[(np.arange(len(by_classes)) & flag) > 0].sum())


def code_points(text: str) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint32]:
    """Unicode code points: a byte each for ASCII, else four; lone surrogates are code points like others."""
    if text.isascii():
        return np.frombuffer(text.encode(), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def classes_of(points: npt.NDArray[np.uint8] | npt.NDArray[np.uint32]) -> ByteArray:
    """Class flags of each code point."""
    classes: ByteArray = _classes[points]
    if not classes.all():
        unknown = np.unique(points[classes == 0])
        _classes[unknown] = [_classify(chr(point)) for point in unknown.tolist()]
        classes = _classes[points]
    return classes


def _classify(character: str) -> int:
    return (
        KNOWN
        | SPACE * character.isspace()
        | ALPHABETIC * character.isalpha()
        | DIGIT * character.isdecimal()
        | UPPERCASE * character.isupper()
        | PUNCTUATION * (unicodedata.category(character)[0] in "PS")
    )


def blocks(text: str, separator: re.Pattern[str]) -> Iterator[str]:
    """`text` in pieces of about a million characters that end with `separator`: a line or a word is never cut.

    What has no separator for longer is one piece.
    """
    start = 0
    while start < len(text):
        cut = separator.search(text, start + BLOCK_CHARACTERS)
        end = cut.end() if cut else len(text)
        yield text[start:end]
        start = end


def as_int64(values: "array[int]") -> npt.NDArray[np.int64]:
    """An `array("q")` as a numpy array on the same memory."""
    return np.frombuffer(values, dtype=np.int64) if values else np.zeros(0, dtype=np.int64)
