"""DCLM processing YAML (Li et al. 2024; mlfoundations/dclm, baselines/baselines_configs): steps a source."""

from collections.abc import Mapping
from typing import Any

from proxy.importers.job import Job
from proxy.importers.reading import read_list, read_mapping, read_number, read_text, step_into
from proxy.importers.report import Kind
from proxy.importers.steps import OFF, Bounds, Steps, bounded, read_limit, statistic_filter

_TOKENS = dict.fromkeys(
    "tokenizer tokenizer_lang model language ignore_punctuation ignore_whitespace remove_empty".split(),
    "how they cut texts into words and sentences; here it is fixed",
)
_LENGTHS = {
    "char": ("characters", ""),
    "word": ("words", "are cut at white space here, by a word segmenter there"),
    "sentence": ("sentences", "end at marks here, where a trained tokenizer ends them there"),
    "line": ("lines", "that are empty do not count here"),
    "paragraph": ("paragraphs", "lie between empty lines"),
}
BOUNDS: Mapping[str, Bounds] = {
    "word_length_filter": Bounds(statistic="mean_word_length", minimum="min_length", maximum="max_length"),
    "symbol_ratio_filter": Bounds(
        statistic="symbol_to_word_ratio",
        maximum="max_symbol_to_word_ratio",
        defaults={"max_symbol_to_word_ratio": 0.1},
        differs="takes hash signs or ellipses, whichever are more; there both are added up",
    ),
    "bullet_count_filter": Bounds(
        statistic="bullet_line_share",
        maximum="max_bullet_start_ratio",
        defaults={"max_bullet_start_ratio": 0.9},
        differs="knows bullets behind indentation too",
    ),
    "ellipsis_count_filter": Bounds(
        statistic="ellipsis_line_share",
        maximum="max_ellipsis_end_ratio",
        defaults={"max_ellipsis_end_ratio": 0.3},
        differs="does not know . . . with spaces",
    ),
    "alphabetic_word_ratio_filter": Bounds(
        statistic="alphabetic_word_share", maximum="max_ratio", defaults={"max_ratio": 0.2}, complement=True
    ),
}
_WORDS_OR_ADDRESSES = "needs a list of words, addresses or extensions; keep by a field of the documents instead"
_BY_SUFFIX = (
    ("_modifier", Kind.EDIT, "edits texts"),
    ("_enricher", Kind.MODEL, "adds a field; bring it with the corpus"),
)
LOSSES = {
    "url_substring_filter": (Kind.LIST, _WORDS_OR_ADDRESSES),
    "substring_filter": (Kind.LIST, _WORDS_OR_ADDRESSES),
    "github_extension_filter": (Kind.LIST, _WORDS_OR_ADDRESSES),
    "language_filter": (Kind.MODEL, "needs the language of each document; keep by a field of the documents instead"),
    "word_removal_ratio_filter": (Kind.EDIT, "compares with the text before edits"),
    "alphanumeric_char_ratio_filter": (Kind.MEANING, "letters and digits together are no statistic here"),
    "alphabetic_characters_to_tokens_filter": (Kind.MEANING, "filters do not see tokens"),
    "move_url_modifier": (Kind.BOOKKEEPING, "moves a field"),
    "key_name_modifier": (Kind.BOOKKEEPING, "renames a field"),
    "word_counter_enricher": (Kind.BOOKKEEPING, "counts words for a later step"),
    "within_page_dedup": (Kind.EDIT, "removes lines or paragraphs from texts"),
    "split_lines_modifier": (Kind.EDIT, "makes a document of each line"),
}


def looks_like_dclm_processing(content: Any) -> bool:
    """A list of mappings with steps."""
    return (
        isinstance(content, list) and bool(content) and all(isinstance(one, dict) and "steps" in one for one in content)
    )


def read_dclm_processing(job: Job) -> list[dict[str, Any]]:
    """One recipe; several sources have shares by token count."""
    members = [_member(job, f"/{index}", one) for index, one in enumerate(read_list("", job.content))]
    sizes = {"size_exponent": 1.0} if len(members) > 1 else {}
    if not sizes:
        members[0]["weight"] = 1.0
    return [{"name": job.recipe_name(otherwise=f"dclm-{members[0]['corpus']}"), "sources": members, **sizes}]


def _member(job: Job, pointer: str, one: Any) -> dict[str, Any]:
    source = read_text(f"{pointer}/source", read_mapping(pointer, one).get("source"))
    job.carry(f"{pointer}/source")
    steps = Steps()
    for index, step in enumerate(read_list(f"{pointer}/steps", one.get("steps"))):
        place = f"{pointer}/steps/{index}"
        if isinstance(step, str):
            job.lose(place, step, Kind.BOOKKEEPING, "says when files are written")
        else:
            _take(job, place, read_mapping(place, step), steps)
    return {"corpus": job.corpus(f"{pointer}/source", source), **steps.as_source()}


def _take(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    name = read_text(f"{pointer}/func", step.get("func"))
    if name in BOUNDS:
        _add(job, pointer, step, steps, bounded(job, pointer, step, BOUNDS[name]))
    elif name in OWN:
        OWN[name](job, pointer, step, steps)
    else:
        _lose(job, pointer, step, steps)


def _add(job: Job, pointer: str, step: dict[str, Any], steps: Steps, one: dict[str, Any] | None) -> None:
    if one is not None:
        steps.add(job, pointer, step, one)
    job.carry(f"{pointer}/func")


def _lose(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    name = step["func"]
    found = LOSSES.get(name) or next(((kind, why) for end, kind, why in _BY_SUFFIX if name.endswith(end)), None)
    kind, reason = found or (Kind.UNKNOWN, f"{name} is no step that this importer knows")
    if kind == Kind.EDIT and name != "word_removal_ratio_filter":
        steps.edited_by = name if steps.edited_by != "split_lines_modifier" else steps.edited_by
    job.lose(pointer, step, kind, reason)


def _page_length(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    measured = step.get("length_type")
    if measured not in _LENGTHS:
        job.lose(pointer, step, Kind.MEANING, f"length in {measured!r} is not measured here")
        return
    statistic, differs = _LENGTHS[measured]
    bounds = Bounds(
        statistic=statistic,
        minimum="min_length",
        maximum="max_length",
        defaults={"min_length": 1},
        differs=differs,
        silent=_TOKENS,
    )
    job.carry(f"{pointer}/length_type")
    _add(job, pointer, step, steps, bounded(job, pointer, step, bounds))


def _line_length(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    statistic = {"max": "longest_line", "avg": "mean_line_length"}.get(str(step.get("length_type", "max")))
    if statistic is None:
        job.lose(pointer, step, Kind.MEANING, "length_type is neither max nor avg")
        return
    job.carry(*(f"{pointer}/{name}" for name in ("length_type",) if name in step))
    bounds = Bounds(
        statistic=statistic, maximum="max_length", defaults={"max_length": 1000}, differs="leaves out empty lines"
    )
    _add(job, pointer, step, steps, bounded(job, pointer, step, bounds))


def _stop_words(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    differs = "" if step.get("count_unique", False) else "counts different ones; there each occurrence counts"
    if "count_unique" in step:
        job.carry(f"{pointer}/count_unique")
    bounds = Bounds(statistic="stop_words", minimum="min_stop_word", defaults={"min_stop_word": 2}, differs=differs)
    one = bounded(job, pointer, step, bounds)
    _add(job, pointer, step, steps, one)


_REPETITION_DIFFERS = "leaves the first of equals out of the repeated, where DCLM counts it: more documents stay"


def _gopher_repetition(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    limits = {}
    if "skip_paragraph" in step:
        job.carry(f"{pointer}/skip_paragraph")
        if step["skip_paragraph"]:
            limits = {"duplicate_paragraph_share": OFF, "duplicate_paragraph_character_share": OFF}
    job.differ(pointer, step, f"gopher_repetition {_REPETITION_DIFFERS}")
    one = {"kind": "heuristic", "heuristic": "gopher_repetition", **({"limits": limits} if limits else {})}
    _add(job, pointer, step, steps, one)


def _repetition(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    statistic = _repeated(step)
    if statistic is None:
        job.lose(pointer, step, Kind.MEANING, "this repetition is not measured here")
        return
    limit = read_limit(f"{pointer}/max_fraction", step.get("max_fraction"))
    known = ("granularity", "count_characters", "ngram_char_ratio", "ignore_case", "max_fraction")
    job.carry(*(f"{pointer}/{name}" for name in known if name in step))
    job.differ(pointer, step, f"{statistic} {_REPETITION_DIFFERS}")
    _add(job, pointer, step, steps, statistic_filter(pointer, statistic, maximum=limit))


def _repeated(step: dict[str, Any]) -> str | None:
    """The statistic; None where there is none that means the same."""
    granularity = step.get("granularity")
    if step.get("ignore_case") or isinstance(granularity, bool):
        return None
    if granularity in ("line", "paragraph"):
        return (
            f"duplicate_{granularity}_character_share"
            if step.get("count_characters", True)
            else f"duplicate_{granularity}_share"
        )
    asked = step.get("ngram_char_ratio")
    if granularity in (2, 3, 4) and asked in (None, "most_common"):
        return f"top_{granularity}_gram_share"
    return f"duplicate_{granularity}_gram_share" if granularity in range(5, 11) and asked in (None, "all") else None


_BANNED = {"lorem ipsum": ("lorem_ipsum", ""), "{": ("curly_brackets", "counts } too")}


def _substring(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    """Two phrases are statistics; others would need a list."""
    banned = step.get("banlist")
    phrases = [banned] if isinstance(banned, str) else banned
    others = {name for name, value in step.items() if name not in ("func", "banlist") and value not in (False, "any")}
    if (
        not isinstance(phrases, list)
        or not phrases
        or others
        or not all(isinstance(one, str) and one in _BANNED for one in phrases)
    ):
        _lose(job, pointer, step, steps)
        return
    job.carry(*(step_into(pointer, name) for name in step))
    for phrase in phrases:
        statistic, differs = _BANNED[phrase]
        if differs:
            job.differ(pointer, step, f"{statistic} {differs}")
        steps.add(job, pointer, step, statistic_filter(pointer, statistic, maximum=0))


def _sample(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    place = f"{pointer}/keep_probability"
    steps.keep_share(place, read_number(place, step.get("keep_probability", 0.1)))
    job.carry(f"{pointer}/func", *([place] if "keep_probability" in step else []))


def _quality(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    name = read_text(f"{pointer}/key", step.get("key", "fasttext_hq_prob"))
    threshold = read_number(f"{pointer}/threshold", step.get("threshold", 0.0))
    side = "maximum" if step.get("lower_better") else "minimum"
    job.carry(*(f"{pointer}/{one}" for one in ("key", "threshold", "lower_better", "key_must_exist") if one in step))
    job.differ(pointer, step, f"the corpus must bring the field {name}; documents without it are dropped")
    _add(job, pointer, step, steps, {"kind": "field", "field": name, side: threshold})


def _exact_dedup(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    if (
        step.get("content_key", "text") != "text"
        or "selection_key" in step
        or steps.edited_by == "split_lines_modifier"
    ):
        job.lose(pointer, step, Kind.MEANING, "dedup here compares whole texts, not addresses, lines or other fields")
        return
    job.carry(*(step_into(pointer, name) for name in step))
    job.differ(pointer, step, "compares texts as they are normalised here")
    steps.deduplicate(pointer, step, "exact")


OWN = {
    "page_length_filter": _page_length,
    "line_length_filter": _line_length,
    "stop_word_filter": _stop_words,
    "massive_web_repetition_filters": _gopher_repetition,
    "repetition_filter": _repetition,
    "substring_filter": _substring,
    "random_sampling_filter": _sample,
    "quality_filter": _quality,
    "exact_dedup": _exact_dedup,
}
