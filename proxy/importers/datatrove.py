"""datatrove filter names (huggingface/datatrove). Its recipes are Python programs, which are never run here.

Write their pipeline as a list of `{name: GopherQualityFilter, arguments: {min_doc_words: 50}}`, or as a mapping with
such a list under `pipeline` and a `name` and a `corpus` beside it.
"""

from collections.abc import Mapping
from typing import Any

from proxy.errors import InvalidInputError
from proxy.importers.job import Job
from proxy.importers.reading import read_list, read_mapping, read_number, read_text, step_into
from proxy.importers.report import Kind
from proxy.importers.steps import OFF, HeuristicStep, Steps, heuristic, near_dedup, read_limit

_ENGLISH = {"language": "words are cut the same way in every language here"}
_ZERO_IS_OFF = (None, 0, False)
HEURISTIC_STEPS: Mapping[str, HeuristicStep] = {
    "GopherQualityFilter": HeuristicStep(
        heuristic="gopher_quality_datatrove",
        rules={
            "min_doc_words": ("fewest_words", 0),
            "max_doc_words": ("most_words", OFF),
            "min_avg_word_length": ("shortest_mean_word", 0),
            "max_avg_word_length": ("longest_mean_word", OFF),
            "max_symbol_word_ratio": ("symbol_to_word_ratio", OFF),
            "max_bullet_lines_ratio": ("bullet_line_share", OFF),
            "max_ellipsis_lines_ratio": ("ellipsis_line_share", OFF),
            "max_non_alpha_words_ratio": ("alphabetic_word_share", 0),
            "min_stop_words": ("stop_words", 0),
        },
        differs="words are cut by rules here, by a tokenizer there; documents close to a limit may differ",
        off_values=_ZERO_IS_OFF,
        silent={**_ENGLISH, "stop_words": "the eight English stop words are fixed here"},
    ),
    "FineWebQualityFilter": HeuristicStep(
        heuristic="fineweb_quality_datatrove",
        rules={
            "line_punct_thr": ("terminal_punctuation_line_share", 0),
            "short_line_thr": ("short_line_share", OFF),
            "char_duplicates_ratio": ("duplicate_line_character_share", OFF),
            "new_line_ratio": ("newline_ratio", OFF),
        },
        differs="words are cut at white space here; a line of exactly 30 characters is not short",
        silent={
            **_ENGLISH,
            "line_punct_exclude_zero": "documents without any end mark are not let through here",
            "stop_chars": "end marks are fixed here",
            "short_line_length": "a short line has under 30 characters here",
        },
    ),
    "C4QualityFilter": HeuristicStep(
        heuristic="c4",
        rules={"min_num_sentences": ("c4_sentences", 0)},
        defaults={"min_num_sentences": 5},
        differs="no line is removed from a document that stays; lines count from five words, there from three",
        off_values=(None, -1),
        silent={
            **_ENGLISH,
            **dict.fromkeys(
                "split_paragraph remove_citations filter_no_terminal_punct min_words_per_line max_word_length "
                "filter_javascript filter_policy".split(),
                "which lines count as sentences is fixed here",
            ),
        },
    ),
}
_FIELD = "keep by a field of the documents instead"
LOSSES: Mapping[str, tuple[Kind, str]] = {
    "LanguageFilter": (Kind.MODEL, f"needs a language model's score; {_FIELD}"),
    "FastTextClassifierFilter": (Kind.MODEL, f"needs a classifier's score; {_FIELD}"),
    "UnigramLogProbFilter": (Kind.MODEL, f"needs word frequencies; {_FIELD}"),
    "URLFilter": (Kind.LIST, f"needs lists of addresses and words; {_FIELD}"),
    "C4BadWordsFilter": (Kind.LIST, "needs a list of words"),
    "C4ParagraphFilter": (Kind.MEANING, "lengths of the longest paragraphs are no statistic here"),
    "RegexFilter": (Kind.MEANING, "is an expression; write filters on fields or statistics instead"),
    "LambdaFilter": (Kind.MEANING, "is a program; write filters on fields or statistics instead"),
    "MinhashDedupBuckets": (Kind.BOOKKEEPING, "is a part of near dedup, which the signature step carries"),
    "MinhashDedupCluster": (Kind.BOOKKEEPING, "is a part of near dedup, which the signature step carries"),
    "MinhashDedupFilter": (Kind.BOOKKEEPING, "is a part of near dedup, which the signature step carries"),
}
BY_ENDING = (
    ("Reader", Kind.LOCATION, "register a corpus from these files"),
    ("Writer", Kind.BOOKKEEPING, "writes files"),
    ("Stats", Kind.BOOKKEEPING, "measures, and removes nothing"),
    ("TokensCounter", Kind.BOOKKEEPING, "measures, and removes nothing"),
    ("Tokenizer", Kind.TRAINING, "the protocol names the tokenizer"),
    ("Merger", Kind.TRAINING, "the protocol names the tokenizer"),
    ("Formatter", Kind.EDIT, "edits texts"),
    ("Trafilatura", Kind.EDIT, "takes text out of pages"),
)
BY_BEGINNING = (
    ("SentenceDedup", Kind.EDIT, "removes sentences from texts"),
    ("Sentence", Kind.EDIT, "removes sentences from texts"),
    ("ES", Kind.EDIT, "removes spans from texts"),
    ("Url", Kind.MEANING, "dedup here compares texts, not addresses"),
)


def looks_like_datatrove(content: Any) -> bool:
    """A list of named steps, alone or under `pipeline`."""
    steps = content.get("pipeline") if isinstance(content, dict) else content
    return isinstance(steps, list) and bool(steps) and all(isinstance(one, dict) and "name" in one for one in steps)


def read_datatrove(job: Job) -> list[dict[str, Any]]:
    """One recipe of one source."""
    content = job.content if isinstance(job.content, dict) else {}
    where = "/pipeline" if isinstance(job.content, dict) else ""
    steps = Steps()
    for index, one in enumerate(read_list(where, content.get("pipeline") if where else job.content)):
        _take(job, f"{where}/{index}", read_mapping(f"{where}/{index}", one), steps)
    named = {key: read_text(f"/{key}", content[key]) for key in ("name", "corpus") if key in content}
    job.carry(*(f"/{key}" for key in named))
    corpus = job.corpus("/corpus", named.get("corpus", "documents"))
    source = {"corpus": corpus, "weight": 1.0, **steps.as_source()}
    return [{"name": job.recipe_name(named.get("name"), "datatrove"), "sources": [source]}]


def _take(job: Job, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    name = read_text(f"{pointer}/name", step.get("name"))
    arguments = step.get("arguments")
    place = f"{pointer}/arguments"
    if arguments is not None and not isinstance(arguments, dict):
        raise InvalidInputError.at(place, arguments, "arguments must be a mapping from names to values")
    if name not in OWN:
        _lose(job, name, pointer, step, steps)
        return
    job.carry(f"{pointer}/name")
    if "arguments" in step and not arguments:
        job.carry(place)
    arguments = dict(arguments or {})
    if "exclusion_writer" in arguments:
        job.lose(f"{place}/exclusion_writer", arguments.pop("exclusion_writer"), Kind.BOOKKEEPING, "writes files")
    OWN[name](job, name, place, arguments, steps)


def _lose(job: Job, name: str, pointer: str, step: dict[str, Any], steps: Steps) -> None:
    found = LOSSES.get(name)
    found = found or next(((kind, why) for end, kind, why in BY_ENDING if name.endswith(end)), None)
    found = found or next(((kind, why) for begin, kind, why in BY_BEGINNING if name.startswith(begin)), None)
    kind, reason = found or (Kind.UNKNOWN, f"{name} is no step that this importer knows")
    if kind == Kind.EDIT:
        steps.edited_by = name
    job.lose(pointer, step, kind, f"{name}: {reason}")


def _published(job: Job, name: str, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    one = heuristic(job, pointer, arguments, HEURISTIC_STEPS[name])
    if name == "C4QualityFilter":
        for parameter, rule in (("filter_lorem_ipsum", "lorem_ipsum"), ("filter_curly_bracket", "curly_brackets")):
            if parameter in arguments:
                job.carry(f"{pointer}/{parameter}")
                one["limits"] |= {} if arguments[parameter] else {rule: OFF}
    steps.add(job, pointer, arguments, one)
    if name == "C4QualityFilter":
        steps.edited_by = name


_SHARES = {
    "dup_line_frac": "duplicate_line_share",
    "dup_para_frac": "duplicate_paragraph_share",
    "dup_line_char_frac": "duplicate_line_character_share",
    "dup_para_char_frac": "duplicate_paragraph_character_share",
}
_NGRAMS = {"top_n_grams": ("top", range(2, 5)), "dup_n_grams": ("duplicate", range(5, 11))}


def _repetition(job: Job, name: str, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    step = HeuristicStep(
        heuristic="gopher_repetition",
        rules={parameter: (rule, OFF) for parameter, rule in _SHARES.items()},
        differs="shares are of characters that are not white space; an n-gram that occurs once is no repetition",
        off_values=_ZERO_IS_OFF,
        silent=_ENGLISH,
    )
    one = heuristic(job, pointer, arguments, step)
    limits = dict(one.get("limits", {}))
    for parameter, (kind, lengths) in _NGRAMS.items():
        if parameter in arguments:
            limits |= _ngram_limits(job, f"{pointer}/{parameter}", arguments[parameter], kind, lengths)
    steps.add(job, pointer, arguments, {**one, **({"limits": limits} if limits else {})})


def _ngram_limits(job: Job, pointer: str, pairs: Any, kind: str, lengths: range) -> dict[str, float]:
    """A limit a length; lengths that the list leaves out are not limited."""
    limits = {f"{kind}_{length}_gram_share": OFF for length in lengths}
    if not pairs:
        job.carry(pointer)
        return limits
    for index, pair in enumerate(read_list(pointer, pairs)):
        place = f"{pointer}/{index}"
        if not isinstance(pair, list) or len(pair) != 2:
            raise InvalidInputError.at(place, pair, "must be a length and a limit")
        if pair[0] in lengths and not isinstance(pair[0], bool):
            limits[f"{kind}_{int(pair[0])}_gram_share"] = read_limit(f"{place}/1", pair[1])
            job.carry(place)
        else:
            job.lose(
                place, pair, Kind.MEANING, f"n-grams of {lengths.start} to {lengths.stop - 1} words are counted here"
            )
    return limits


def _sample(job: Job, name: str, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    rate = arguments.get("rate", 0.5)
    if rate is not None:
        steps.keep_share(f"{pointer}/rate", read_number(f"{pointer}/rate", rate))
    job.carry(*([f"{pointer}/rate"] if "rate" in arguments else []))
    if "seed" in arguments:
        job.lose(f"{pointer}/seed", arguments["seed"], Kind.MEANING, "a subset is chosen by document hash here")


_MINHASH = {"shingle_words": "n_grams", "bands": "num_buckets", "rows": "hashes_per_bucket"}


def _minhash(job: Job, name: str, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    config, place = arguments.get("config") or {}, f"{pointer}/config"
    if not isinstance(config, dict):
        raise InvalidInputError.at(place, config, "must be a mapping from names to values")
    dedup = near_dedup(job, place, {ours: (key, config.get(key)) for ours, key in _MINHASH.items()})
    job.carry(*(step_into(place, key) for key in _MINHASH.values() if key in config))
    # all that share a band are duplicates there; they agree in a share of 1 / bands at least
    dedup["similarity"] = round(1 / (dedup.get("bands", 14) + 1), 6)
    job.differ(pointer, arguments, "words are cut at white space here, and hashes are others")
    steps.deduplicate(pointer, arguments, dedup)


OWN = {
    **dict.fromkeys(HEURISTIC_STEPS, _published),
    "GopherRepetitionFilter": _repetition,
    "SamplerFilter": _sample,
    "MinhashDedupSignature": _minhash,
}
