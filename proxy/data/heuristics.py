"""Published document filters as rules over text statistics: a document passes if every rule holds.

Limits are the publications' own; where publication and released code disagree the publication counts and
`not_carried` says so. Sources, also checked against two open re-implementations (datatrove 0.10, DCLM):

- Gopher: Rae et al. 2021, arXiv 2112.11446, section A1.1 and table A1.
- C4: Raffel et al. 2020, JMLR 21(140), section 2.2. The first preprint swaps two numbers (5 sentences, 3 words).
- FineWeb: Penedo et al. 2024, arXiv 2406.17557, section 3.6.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from sys import float_info
from types import MappingProxyType

from proxy.data.statistics import measure
from proxy.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Passes values from `minimum` to `maximum`; the limits themselves pass unless the rule `is_strict`."""

    name: str
    statistic: str
    minimum: float | None = None
    maximum: float | None = None
    is_strict: bool = False
    meaning: str

    def passes(self, value: float) -> bool:
        """Whether a document with this value of the statistic may stay."""
        if self.minimum is not None and (value < self.minimum or (self.is_strict and value == self.minimum)):
            return False
        return not (self.maximum is not None and (value > self.maximum or (self.is_strict and value == self.maximum)))


@dataclass(frozen=True, kw_only=True)
class Heuristic:
    """A published filter. `not_carried`: what of the publication these rules leave out or read their own way."""

    name: str
    source: str
    rules: tuple[Rule, ...]
    not_carried: str

    def failures(self, values: Mapping[str, float]) -> list[Rule]:
        """The rules that a document with these statistics breaks."""
        return [rule for rule in self.rules if not rule.passes(values[rule.statistic])]

    def statistics(self) -> tuple[str, ...]:
        """Names of the statistics that the rules read, each once."""
        return tuple(dict.fromkeys(rule.statistic for rule in self.rules))


def broken_rules(heuristic: Heuristic, text: str) -> list[Rule]:
    """The rules that one text breaks; none where it passes."""
    names = heuristic.statistics()
    return heuristic.failures(dict(zip(names, measure(text, names), strict=True)))


def find_heuristic(name: str, overrides: Mapping[str, float] | None = None, pointer: str = "") -> Heuristic:
    """The filter of this name with other limits for some rules, by rule name; a rule has one limit.

    InvalidInputError names the field below `pointer`, the value and the names that are known.
    """
    if name not in HEURISTICS:
        known = ", ".join(sorted(HEURISTICS))
        raise InvalidInputError.at(f"{pointer}/heuristic", name, f"is no published filter; known are {known}")
    heuristic = HEURISTICS[name]
    limits = dict(overrides or {})
    _check_limits(heuristic, limits, f"{pointer}/limits")
    rules = (_with_limit(rule, limits[rule.name]) if rule.name in limits else rule for rule in heuristic.rules)
    return replace(heuristic, rules=tuple(rules))


def _check_limits(heuristic: Heuristic, limits: Mapping[str, float], pointer: str) -> None:
    known = [rule.name for rule in heuristic.rules]
    for rule, limit in limits.items():
        if rule not in known:
            message = f"is no rule of {heuristic.name}; known are {', '.join(known)}"
            raise InvalidInputError.at(f"{pointer}/{rule}", rule, message)
        if isinstance(limit, bool) or not isinstance(limit, int | float) or not abs(limit) <= float_info.max:
            raise InvalidInputError.at(f"{pointer}/{rule}", limit, "must be a finite number")


def _with_limit(rule: Rule, limit: float) -> Rule:
    return replace(rule, minimum=limit) if rule.minimum is not None else replace(rule, maximum=limit)


def _at_least(name: str, limit: float, meaning: str, statistic: str | None = None) -> Rule:
    return Rule(name=name, statistic=statistic or name, minimum=limit, meaning=meaning)


def _at_most(name: str, limit: float, meaning: str, statistic: str | None = None) -> Rule:
    return Rule(name=name, statistic=statistic or name, maximum=limit, meaning=meaning)


def _strictly(rule: Rule) -> Rule:
    return replace(rule, is_strict=True)


GOPHER_QUALITY = Heuristic(
    name="gopher_quality",
    source="Rae et al. 2021, arXiv 2112.11446, section A1.1",
    rules=(
        _at_least("fewest_words", 50, "shorter documents are dropped", "words"),
        _at_most("most_words", 100_000, "longer documents are dropped", "words"),
        _at_least("shortest_mean_word", 3, "characters", "mean_word_length"),
        _at_most("longest_mean_word", 10, "characters", "mean_word_length"),
        _at_most("symbol_to_word_ratio", 0.1, "hash signs or ellipses a word"),
        _at_most("bullet_line_share", 0.9, "lines that begin with a bullet"),
        _at_most("ellipsis_line_share", 0.3, "lines that end with an ellipsis"),
        _at_least("alphabetic_word_share", 0.8, "words with a letter"),
        _at_least("stop_words", 2, "different ones of eight English stop words"),
    ),
    not_carried=(
        "The paper defines neither word nor bullet. Words are cut at white space here, as in DCLM and Dolma; "
        "where punctuation counts as words (gopher_quality_datatrove) far more is dropped. English alone."
    ),
)

GOPHER_QUALITY_DATATROVE = Heuristic(
    name="gopher_quality_datatrove",
    source="datatrove 0.10, GopherQualityFilter defaults, which made FineWeb",
    rules=tuple(
        replace(rule, statistic="alphabetic_token_share") if rule.name == "alphabetic_word_share" else rule
        for rule in GOPHER_QUALITY.rules
    ),
    not_carried=(
        "Marks at the ends of words count as words without a letter, as with the spaCy tokenizer of that library; "
        "the tokenizer itself is not used, so documents close to a limit may differ. It asks for stop words in lower "
        "case and takes • and - alone for bullets."
    ),
)

_TOP_NGRAM_LIMITS = {2: 0.20, 3: 0.18, 4: 0.16}
_DUPLICATE_NGRAM_LIMITS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def _ngram_rules() -> Iterable[Rule]:
    for length, limit in _TOP_NGRAM_LIMITS.items():
        yield _at_most(f"top_{length}_gram_share", limit, f"characters in the commonest {length}-gram")
    for length, limit in _DUPLICATE_NGRAM_LIMITS.items():
        yield _at_most(f"duplicate_{length}_gram_share", limit, f"characters in repeated {length}-grams")


GOPHER_REPETITION = Heuristic(
    name="gopher_repetition",
    source="Rae et al. 2021, arXiv 2112.11446, table A1",
    rules=(
        _at_most("duplicate_line_share", 0.30, "lines that repeat an earlier one"),
        _at_most("duplicate_paragraph_share", 0.30, "paragraphs that repeat an earlier one"),
        _at_most("duplicate_line_character_share", 0.20, "characters in repeated lines"),
        _at_most("duplicate_paragraph_character_share", 0.20, "characters in repeated paragraphs"),
        *_ngram_rules(),
    ),
    not_carried=(
        "Shares are of characters that are not white space; the first of equal lines or n-grams is no duplicate "
        "(DCLM counts it), and an n-gram that occurs once is no repetition (in datatrove it is)."
    ),
)

C4 = Heuristic(
    name="c4",
    source="Raffel et al. 2020, JMLR 21(140), section 2.2",
    rules=(
        _at_least("c4_sentences", 3, "sentences on the lines that C4 keeps"),
        _at_most("lorem_ipsum", 0, "placeholder text"),
        _at_most("curly_brackets", 0, "most likely code"),
    ),
    not_carried=(
        "No line is removed from a document that stays: lines without end mark, of under five words, with javascript "
        "or policy phrases only do not count as sentences. Left out: the list of bad words, the language test and "
        "the dedup of three-sentence spans. The released code looks for brackets and lorem ipsum only on lines it "
        "has not dropped; the paper, and this, in the whole page."
    ),
)

FINEWEB_QUALITY = Heuristic(
    name="fineweb_quality",
    source="Penedo et al. 2024, arXiv 2406.17557, section 3.6",
    rules=(
        _strictly(
            _at_least("terminal_punctuation_line_share", 0.12, "lines that end with punctuation"),
        ),
        _strictly(_at_most("duplicate_line_character_share", 0.1, "characters in repeated lines")),
        _strictly(_at_most("short_line_share", 0.67, "lines shorter than 30 characters")),
    ),
    not_carried=(
        "The released code (fineweb_quality_datatrove) limits characters in repeated lines to 0.01 where the paper "
        "says 0.1, adds a limit of 0.3 line feeds a word, and keeps documents that are exactly at a limit."
    ),
)

FINEWEB_QUALITY_DATATROVE = Heuristic(
    name="fineweb_quality_datatrove",
    source="datatrove 0.10, FineWebQualityFilter defaults, as examples/fineweb.py runs them",
    rules=(
        *(replace(rule, is_strict=False) for rule in FINEWEB_QUALITY.rules[::2]),
        _at_most("duplicate_line_character_share", 0.01, "characters in repeated lines"),
        _at_most("newline_ratio", 0.3, "line feeds a word"),
    ),
    not_carried=(
        "Words are cut at white space; datatrove counts punctuation as words, so its newline ratio is lower. It takes "
        "a line of exactly 30 characters for short, and lines with the white space at their ends."
    ),
)

HEURISTICS: Mapping[str, Heuristic] = MappingProxyType(
    {
        heuristic.name: heuristic
        for heuristic in (
            GOPHER_QUALITY,
            GOPHER_QUALITY_DATATROVE,
            GOPHER_REPETITION,
            C4,
            FINEWEB_QUALITY,
            FINEWEB_QUALITY_DATATROVE,
        )
    }
)
