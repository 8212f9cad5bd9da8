"""Dolma mixer config (Soldaini et al. 2024, arXiv 2402.00159; allenai/dolma): streams, chosen by attributes.

Taggers wrote the attributes before; where one of them counts what a statistic here counts, its threshold is carried.
Streams are concatenated there, so shares go by token count here.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.errors import InvalidInputError
from proxy.importers.job import Job
from proxy.importers.reading import read_list, read_mapping, read_text
from proxy.importers.report import Kind
from proxy.importers.steps import Steps, statistic_filter

_REPEATED = "leaves the first of equals out of the repeated"
ATTRIBUTES: Mapping[str, tuple[str, str]] = {
    "word_count": ("words", ""),
    "uniseg_length_paragraphs_with_doc_length_v1__document": (
        "words",
        "are cut at white space here, by a word segmenter there",
    ),
    "whitespace_tokenizer_with_paragraphs_v1__document": ("words", "leave out empty pieces at the ends of paragraphs"),
    "char_length_with_paragraphs_v1__document": ("characters", ""),
    "symbol_to_word_ratio": ("symbol_to_word_ratio", "counts the marks, ... too; there words that hold # or …"),
    "fraction_of_words_with_alpha_character": ("alphabetic_word_share", ""),
    "required_word_count": ("stop_words", "counts different ones in any case; there each occurrence in lower case"),
    "fraction_of_lines_starting_with_bullet_point": (
        "bullet_line_share",
        "knows • and ● too, behind indentation too, and leaves out empty lines",
    ),
    "fraction_of_lines_ending_with_ellipsis": ("ellipsis_line_share", "knows ... too, and leaves out empty lines"),
    "fraction_of_duplicate_lines": ("duplicate_line_share", _REPEATED),
    "fraction_of_characters_in_duplicate_lines": ("duplicate_line_character_share", _REPEATED),
    **{
        f"fraction_of_characters_in_most_common_{length}{ending}": (
            f"top_{length}_gram_share",
            "counts no character twice, and nothing that occurs once",
        )
        for length in range(2, 5)
        for ending in ("gram", "grams")  # both are met in published files
    },
    **{
        f"fraction_of_characters_in_duplicate_{length}grams": (
            f"duplicate_{length}_gram_share",
            f"{_REPEATED} and counts no character twice",
        )
        for length in range(5, 11)
    },
    "has_curly_brace": ("curly_brackets", "counts } too"),
    "has_lorem_ipsum": ("lorem_ipsum", ""),
    "has_javascript": ("javascript_lines", "finds it inside words too"),
}
KNOWN_LOSSES = (
    ("median_word_length", Kind.MEANING, "is a median; mean_word_length here is a mean"),
    ("blocklist", Kind.LIST, "needs a list of addresses"),
    ("naughty", Kind.LIST, "needs a list of words"),
    ("lang_id", Kind.MODEL, "needs a language model's score; keep by a field of the documents instead"),
    ("cld2", Kind.MODEL, "needs a language model's score; keep by a field of the documents instead"),
    ("nsfw", Kind.MODEL, "needs a classifier's score; keep by a field of the documents instead"),
    ("toxic", Kind.MODEL, "needs a classifier's score; keep by a field of the documents instead"),
    ("classifier", Kind.MODEL, "needs a classifier's score; keep by a field of the documents instead"),
    ("decontamination", Kind.EVALUATION, "the protocol's decontamination set is removed by default"),
    ("paloma", Kind.EVALUATION, "the protocol's decontamination set is removed by default"),
    ("bff_duplicate", Kind.MEANING, "is a Bloom filter's finding; write dedup into the source instead"),
)
_NUMBER = r"(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_ATTRIBUTE = r"@\.([\w-]+)"
# $.attributes[?(@.A && @.A[0] && @.A[0][2] > 0.3)], the guards being optional
_CONDITION = re.compile(
    rf"\$@?\.attributes\[\?\((?:{_ATTRIBUTE}\s*&&\s*@\.\1\[0\]\s*&&\s*)?@\.([\w-]+)\[0\]\[2\]\s*(<=|>=|<|>)\s*{_NUMBER}\s*\)\]"
)
LONGEST_EXPRESSION = 10_000
OTHER_FIELDS = {
    "processes": (Kind.BOOKKEEPING, "says how many processes run"),
    "work_dir": (Kind.BOOKKEEPING, "says where files lie while it runs"),
    "dryrun": (Kind.BOOKKEEPING, "says how it runs"),
    "shuffle": (Kind.BOOKKEEPING, "orders files; the order of training is a recipe's own"),
}
STREAM_FIELDS = {
    "documents": (Kind.LOCATION, "register a corpus from these files under the stream's name"),
    "attributes": (Kind.LOCATION, "names files of tags; statistics are computed from the text here"),
    "output": (Kind.BOOKKEEPING, "says where and how files are written"),
    "compression": (Kind.BOOKKEEPING, "says how files are read and written"),
    "span_replacement": (Kind.EDIT, "replaces spans of texts"),
}


def looks_like_dolma(content: Any) -> bool:
    """A mapping with a list under `streams`."""
    return isinstance(content, dict) and isinstance(content.get("streams"), list)


def read_dolma(job: Job) -> list[dict[str, Any]]:
    """One recipe with a source a stream."""
    content = read_mapping("", job.content)
    members: dict[str, dict[str, Any]] = {}
    for index, one in enumerate(read_list("/streams", content.get("streams"))):
        pointer = f"/streams/{index}"
        stream = read_mapping(pointer, one)
        name = read_text(f"{pointer}/name", stream.get("name"))
        if name in members:
            raise InvalidInputError.at(f"{pointer}/name", name, "is the name of two streams")
        members[name] = _member(job, pointer, name, stream)
    job.lose_known(OTHER_FIELDS, content)
    sources = list(members.values())
    otherwise = next(iter(members)) if len(members) == 1 else "dolma"
    if len(sources) > 1:
        return [{"name": job.recipe_name(otherwise=otherwise), "size_exponent": 1.0, "sources": sources}]
    return [{"name": job.recipe_name(otherwise=otherwise), "sources": [{**sources[0], "weight": 1.0}]}]


def _member(job: Job, pointer: str, name: str, stream: dict[str, Any]) -> dict[str, Any]:
    job.carry(f"{pointer}/name")
    job.lose_known(STREAM_FIELDS, stream, pointer)
    steps = Steps()
    chosen = stream.get("filter")
    if isinstance(chosen, dict):
        syntax = chosen.get("syntax", "jsonpath")
        job.carry(*([f"{pointer}/filter/syntax"] if "syntax" in chosen else []))
        job.carry(*(f"{pointer}/filter/{kind}" for kind in ("include", "exclude") if chosen.get(kind, 0) in (None, [])))
        for kind in ("include", "exclude"):
            for place, text, is_alone in _expressions(f"{pointer}/filter/{kind}", chosen.get(kind)):
                _take(
                    job,
                    place,
                    text,
                    steps,
                    kind == "exclude",
                    is_readable=syntax == "jsonpath" and (is_alone or kind == "exclude"),
                )
    shortest = stream["output"].get("min_text_length") if isinstance(stream.get("output"), dict) else None
    if isinstance(shortest, int) and not isinstance(shortest, bool) and shortest > 0:
        steps.add(job, f"{pointer}/output/min_text_length", shortest, {"kind": "length", "minimum": shortest})
        job.carry_nearly(f"{pointer}/output/min_text_length", shortest, "there after spans were replaced")
    return {"corpus": job.corpus(f"{pointer}/name", name), **steps.as_source()}


def _expressions(pointer: str, expressions: Any) -> Iterator[tuple[str, str, bool]]:
    """Place and text of each, and whether it stands alone: several to include are alternatives."""
    if expressions is None:
        return
    if not isinstance(expressions, list):
        raise InvalidInputError.at(pointer, expressions, "must be a list of expressions")
    for index, text in enumerate(expressions):
        yield f"{pointer}/{index}", read_text(f"{pointer}/{index}", text), len(expressions) == 1


def _take(job: Job, pointer: str, text: str, steps: Steps, is_excluded: bool, *, is_readable: bool) -> None:
    match = _CONDITION.fullmatch(text.strip()) if is_readable and len(text) <= LONGEST_EXPRESSION else None
    if match is None or (match[1] is not None and match[1] != match[2]):
        _lose(job, pointer, text)
        return
    attribute, sign, limit = match[2], match[3], float(match[4])
    if attribute.endswith("__random") and _is_share(sign, is_excluded):
        steps.keep_share(pointer, limit)
        job.carry_nearly(pointer, text, "a subset is chosen by document hash here")
        return
    found = next((entry for ending, entry in ATTRIBUTES.items() if _ends_with(attribute, ending)), None)
    if found is None:
        _lose(job, pointer, text)
        return
    statistic, differs = found
    steps.add(job, pointer, text, statistic_filter(pointer, statistic, **_kept(sign, limit, is_excluded)))
    job.carry(pointer)
    if differs:
        job.differ(pointer, text, f"{statistic} {differs}")


def _ends_with(attribute: str, ending: str) -> bool:
    return attribute == ending or attribute.endswith(f"__{ending}")


def _is_share(sign: str, is_excluded: bool) -> bool:
    """Whether the condition keeps uniform numbers below the limit."""
    return sign.startswith(">") if is_excluded else sign.startswith("<")


def _kept(sign: str, limit: float, is_excluded: bool) -> dict[str, float]:
    """The closed range of what stays: beyond an open end, the next number that there is."""
    if is_excluded:
        sign = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[sign]
    if sign in (">", ">="):
        return {"minimum": limit if sign == ">=" else math.nextafter(limit, math.inf)}
    return {"maximum": limit if sign == "<=" else math.nextafter(limit, -math.inf)}


def _lose(job: Job, pointer: str, text: str) -> None:
    found = next(((kind, why) for part, kind, why in KNOWN_LOSSES if part in text), None)
    kind, reason = found or (Kind.MEANING, "is an expression over attributes that no statistic here means")
    job.lose(pointer, text, kind, reason)
