"""Text statistics by name: each a pure function of the text that is finite for every string.

A share is in [0, 1] and 0 where its whole is empty. Characters are Unicode code points. Words are runs of
characters that are not white space (words.py); lines, paragraphs and sentences are defined in lines.py, character
classes in characters.py. A change of what a statistic returns for any text is a new version of it.

No compression ratio is among them: what zlib writes differs from version to version, so a threshold would too. What
it would be asked for, repetition, `duplicate_5_gram_share` and `word_entropy` say exactly.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from proxy.data.statistics.lines import POLICY_PHRASES, SHORT_LINE_CHARACTERS, count_c4_sentences, count_lines_with
from proxy.data.statistics.prose import prose_quality
from proxy.data.statistics.view import TextView
from proxy.data.statistics.words import count_tokens
from proxy.errors import InvalidInputError

ENTROPY_DECIMALS = 9  # the last bits of a logarithm differ from machine to machine


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """A number for every text. `description` gives what is counted, its unit or range."""

    name: str
    version: int
    description: str
    of: Callable[[TextView], float]

    def compute(self, text: str) -> float:
        """The statistic of one text; `measure` shares the work between several."""
        return float(self.of(TextView(text)))


def column_name(statistic: Statistic) -> str:
    """File-name safe, and new with each version."""
    return f"statistic-{statistic.name}-v{statistic.version}"


def find_statistic(name: str, pointer: str = "/statistic") -> Statistic:
    """The statistic of this name; InvalidInputError with the known names for another."""
    if name not in STATISTICS:
        raise InvalidInputError.at(pointer, name, f"is no text statistic; known are {', '.join(sorted(STATISTICS))}")
    return STATISTICS[name]


def measure(text: str, names: Sequence[str]) -> list[float]:
    """These statistics of one text, in the order of `names`; the text is analysed once."""
    return compute_many(text, [find_statistic(name) for name in names])


def compute_many(text: str, statistics: Iterable[Statistic]) -> list[float]:
    """As `measure`, for statistics already found: what a pass over a corpus calls for each document."""
    view = TextView(text)
    return [float(statistic.of(view)) for statistic in statistics]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _symbol_to_word_ratio(view: TextView) -> float:
    ellipses = view.text.count("...") + view.text.count("…")
    return _share(max(view.text.count("#"), ellipses), len(view.words))


def _alphabetic_token_share(view: TextView) -> float:
    tokens, alphabetic = count_tokens(view.text)
    return _share(alphabetic, tokens)


def _word_entropy(view: TextView) -> float:
    shares_V = np.sort(view.words.counts_V) / max(len(view.words), 1)  # sorted: a sum depends on its order
    return round(abs(float(-(shares_V * np.log2(shares_V)).sum())), ENTROPY_DECIMALS)


def _entry(name: str, description: str, of: Callable[[TextView], float], version: int = 1) -> Statistic:
    return Statistic(name=name, version=version, description=description, of=of)


def _class_share(name: str, description: str, count: Callable[[TextView], int]) -> Statistic:
    return _entry(name, f"share of characters {description}", lambda view: _share(count(view), len(view.text)))


def _line_share(name: str, description: str, count: Callable[[TextView], int]) -> Statistic:
    return _entry(name, f"share of lines {description}", lambda view: _share(count(view), view.lines.repeated.count))


def _top_ngram(length: int) -> Statistic:
    return _entry(
        f"top_{length}_gram_share",
        f"share of characters in words that the commonest word {length}-gram covers, 0 if none occurs twice",
        lambda view: _share(view.ngrams[length].top_characters, view.words.characters),
    )


def _duplicate_ngram(length: int) -> Statistic:
    return _entry(
        f"duplicate_{length}_gram_share",
        f"share of characters in words that word {length}-grams seen before cover, none counted twice",
        lambda view: _share(view.ngrams[length].duplicate_characters, view.words.characters),
    )


_SIZES = (
    _entry("characters", "Unicode code points", lambda view: len(view.text)),
    _entry("utf8_bytes", "bytes in UTF-8", lambda view: len(view.text.encode("utf-8", "surrogatepass"))),
    _entry("words", "runs of characters that are not white space", lambda view: len(view.words)),
    _entry("lines", "lines that are not empty", lambda view: view.lines.repeated.count),
    _entry("sentences", "sentence ends, and an unended rest", lambda view: view.sentences),
    _entry("paragraphs", "lines between empty lines", lambda view: view.paragraphs.count),
)
_CHARACTERS = (
    _class_share("alphabetic_share", "that are letters", lambda view: view.characters.alphabetic),
    _class_share("digit_share", "that are decimal digits", lambda view: view.characters.digits),
    _class_share("uppercase_share", "that are capitals", lambda view: view.characters.uppercase),
    _class_share("punctuation_share", "that are punctuation or symbols", lambda view: view.characters.punctuation),
    _class_share("white_space_share", "that are white space", lambda view: view.characters.spaces),
    _class_share("non_ascii_share", "above U+007F", lambda view: view.characters.non_ascii),
)
_WORDS = (
    _entry("mean_word_length", "characters a word", lambda view: _share(view.words.characters, len(view.words))),
    _entry("symbol_to_word_ratio", "hash signs or ellipses, whichever are more, a word", _symbol_to_word_ratio),
    _entry(
        "alphabetic_word_share",
        "share of words with at least one letter",
        lambda view: _share(view.words.alphabetic, len(view.words)),
    ),
    _entry(
        "alphabetic_token_share",
        "share of tokens with at least one letter, where marks at the ends of words are tokens too",
        _alphabetic_token_share,
    ),
    _entry(
        "stop_words",
        "how many of the, be, to, of, and, that, have, with occur, in any case: 0 to 8",
        lambda view: len(view.stop_words),
    ),
    _entry(
        "stop_word_share",
        "occurrences of these eight a word; above 1 where marks join them, as in the-the",
        lambda view: _share(view.stop_words.total(), len(view.words)),
    ),
    _entry(
        "unique_word_share",
        "distinct words a word; falls with length",
        lambda view: _share(len(view.words.counts_V), len(view.words)),
    ),
    _entry("word_entropy", "Shannon entropy of the text's own word frequencies, bits a word", _word_entropy),
)
_LINES = (
    _line_share("bullet_line_share", "that begin with • ● * or -", lambda view: view.lines.bullets),
    _line_share("ellipsis_line_share", "that end with ... or …", lambda view: view.lines.ellipses),
    _line_share(
        "terminal_punctuation_line_share",
        "that end with . ! ? … or another script's sentence mark",
        lambda view: view.lines.terminal,
    ),
    _line_share(
        "short_line_share",
        f"shorter than {SHORT_LINE_CHARACTERS} characters",
        lambda view: view.lines.short,
    ),
    _entry("newline_ratio", "line feeds a word", lambda view: _share(view.text.count("\n"), len(view.words))),
    _entry("longest_line", "characters", lambda view: view.lines.longest),
    _entry(
        "mean_line_length",
        "characters a line",
        lambda view: _share(view.lines.repeated.characters, view.lines.repeated.count),
    ),
)
_REPETITION = (
    _line_share("duplicate_line_share", "that repeat an earlier one", lambda view: view.lines.repeated.duplicates),
    _entry(
        "duplicate_line_character_share",
        "share of the lines' characters in lines that repeat an earlier one",
        lambda view: _share(view.lines.repeated.duplicate_characters, view.lines.repeated.characters),
    ),
    _entry(
        "duplicate_paragraph_share",
        "share of paragraphs that repeat an earlier one",
        lambda view: _share(view.paragraphs.duplicates, view.paragraphs.count),
    ),
    _entry(
        "duplicate_paragraph_character_share",
        "share of the lines' characters in paragraphs that repeat an earlier one",
        lambda view: _share(view.paragraphs.duplicate_characters, view.lines.repeated.characters),
    ),
    *(_top_ngram(length) for length in (2, 3, 4)),
    *(_duplicate_ngram(length) for length in range(5, 11)),
)
_C4 = (
    _entry("curly_brackets", "how often { or } occurs", lambda view: view.text.count("{") + view.text.count("}")),
    _entry("lorem_ipsum", "how often “lorem ipsum” occurs", lambda view: view.text.lower().count("lorem ipsum")),
    _entry("javascript_lines", "lines that say javascript", lambda view: count_lines_with(view.text, "javascript")),
    _entry(
        "policy_lines",
        "lines that say terms of use, privacy policy, cookie policy or use of cookies",
        lambda view: count_lines_with(view.text, *POLICY_PHRASES),
    ),
    _entry("c4_sentences", "sentences on the lines that C4 keeps", lambda view: count_c4_sentences(view.text)),
)
_QUALITY = (_entry("prose_quality", "likeness to English prose by six counts, 0 to 1", prose_quality),)

STATISTICS = MappingProxyType(
    {
        statistic.name: statistic
        for statistic in (*_SIZES, *_CHARACTERS, *_WORDS, *_LINES, *_REPETITION, *_C4, *_QUALITY)
    }
)
