"""Data-Juicer process lists (Chen et al. 2024, arXiv 2309.02033): operators with their parameters, one data set."""

from pathlib import PurePosixPath
from typing import Any

from proxy.errors import InvalidInputError
from proxy.importers.data_juicer_operators import (
    BOUNDS,
    BY_BEGINNING,
    BY_ENDING,
    LANGUAGE,
    LOSSES,
    NO_TOKENIZER,
    OTHER_FIELDS,
    WORD_REPETITION,
)
from proxy.importers.job import Job
from proxy.importers.reading import read_list, read_mapping, read_number, read_text, step_into
from proxy.importers.report import Kind
from proxy.importers.steps import Bounds, Steps, bounded, near_dedup


def looks_like_data_juicer(content: Any) -> bool:
    """A mapping with a list under `process`."""
    return isinstance(content, dict) and isinstance(content.get("process"), list)


def read_data_juicer(job: Job) -> list[dict[str, Any]]:
    """One recipe of one source."""
    content = read_mapping("", job.content)
    steps = Steps()
    for index, one in enumerate(read_list("/process", content.get("process"))):
        name, pointer, arguments = _operator(job, f"/process/{index}", one)
        _take(job, name, pointer, arguments, steps)
    project = content.get("project_name")
    if isinstance(project, str) and project.strip():
        job.carry("/project_name")
    job.lose_known(OTHER_FIELDS, content)
    source = {"corpus": _corpus(job, content), "weight": 1.0, **steps.as_source()}
    return [{"name": job.recipe_name(project, "data-juicer"), "sources": [source]}]


def _corpus(job: Job, content: dict[str, Any]) -> str:
    """The data set's file name without endings, else the project's name."""
    path = content.get("dataset_path")
    if path is None:
        if "dataset_path" in content:
            job.carry("/dataset_path")
        return job.corpus("/project_name", str(content.get("project_name") or "dataset"))
    name = PurePosixPath(read_text("/dataset_path", path)).name.partition(".")[0] or "dataset"
    job.carry_nearly("/dataset_path", path, f"names the corpus {name}; register it from these files")
    return job.corpus("/dataset_path", name)


def _operator(job: Job, pointer: str, one: Any) -> tuple[str, str, dict[str, Any]]:
    """Name, pointer and parameters of an operator; one without parameters may be its name alone."""
    if isinstance(one, str):
        return read_text(pointer, one), pointer, {}
    if not isinstance(one, dict) or len(one) != 1:
        raise InvalidInputError.at(pointer, one, "must be an operator's name, or a mapping from it to its parameters")
    name, arguments = next(iter(one.items()))
    place = step_into(pointer, name)
    if arguments is not None and not isinstance(arguments, dict):
        raise InvalidInputError.at(place, arguments, "parameters must be a mapping")
    return name, place, arguments or {}


def _take(job: Job, name: str, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    if name in BOUNDS:
        one = bounded(job, pointer, arguments, BOUNDS[name])
        if one is not None:
            steps.add(job, pointer, {name: arguments}, one)
        if not arguments:
            job.carry(pointer)
    elif name in OWN:
        OWN[name](job, pointer, arguments, steps)
    else:
        _lose(job, name, pointer, arguments, steps)


def _lose(job: Job, name: str, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    found = LOSSES.get(name)
    found = found or next(((kind, why) for begin, kind, why in BY_BEGINNING if name.startswith(begin)), None)
    found = found or next(((kind, why) for end, kind, why in BY_ENDING if name.endswith(end)), None)
    kind, reason = found or (Kind.UNKNOWN, f"{name} is no operator that this importer knows")
    if kind == Kind.EDIT:
        steps.edited_by = name
    job.lose(pointer, {name: arguments}, kind, f"{name}: {reason}")


def _word_repetition(job: Job, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    length = arguments.get("rep_len", 10)
    if isinstance(length, bool) or length not in range(5, 11):
        job.lose(pointer, arguments, Kind.MEANING, "repeated n-grams of 5 to 10 words are counted here")
        return
    bounds = Bounds(
        statistic=f"duplicate_{length}_gram_share",
        minimum="min_ratio",
        maximum="max_ratio",
        defaults={"min_ratio": 0.0, "max_ratio": 0.5},
        differs=WORD_REPETITION,
        neutral=NO_TOKENIZER,
        silent=LANGUAGE,
    )
    one = bounded(job, pointer, arguments, bounds)
    if one is not None:
        job.carry(*([step_into(pointer, "rep_len")] if "rep_len" in arguments else [pointer] if not arguments else []))
        steps.add(job, pointer, arguments, one)


def _field(arguments: dict[str, Any]) -> str | None:
    name = arguments.get("field_key")
    return name if isinstance(name, str) and 0 < len(name) <= 200 else None


def _specified(job: Job, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    """Keeps by a field's values."""
    key = "target_value" if "target_value" in arguments else "target_tags"
    values, name = arguments.get(key), _field(arguments)
    if (
        name is None
        or not isinstance(values, list)
        or not values
        or any(isinstance(one, dict | list) for one in values)
    ):
        job.lose(pointer, arguments, Kind.MEANING, "names no field, or no values that a field filter takes")
        return
    job.carry(step_into(pointer, "field_key"), step_into(pointer, key))
    steps.add(job, pointer, arguments, {"kind": "field", "field": name, "any_of": values})


def _specified_numeric(job: Job, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    name = _field(arguments)
    limits = {
        side: read_number(step_into(pointer, key), arguments[key])
        for side, key in (("minimum", "min_value"), ("maximum", "max_value"))
        if arguments.get(key) is not None
    }
    if name is None or not limits:
        job.lose(pointer, arguments, Kind.MEANING, "names no field, or no limit")
        return
    job.carry(*(step_into(pointer, one) for one in ("field_key", "min_value", "max_value") if one in arguments))
    steps.add(job, pointer, arguments, {"kind": "field", "field": name, **limits})


def _quantile(job: Job, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    """`topk` with a share, and `range` with percentiles; with counts they depend on the size of the corpus."""
    name, low, high = _field(arguments), 0.0, 1.0
    used = ["field_key"]
    if arguments.get("top_ratio") is not None:
        share = read_number(step_into(pointer, "top_ratio"), arguments["top_ratio"])
        low, high = (1 - share, 1.0) if arguments.get("reverse", True) else (0.0, share)
        used += [one for one in ("top_ratio", "reverse") if one in arguments]
    for side in ("lower_percentile", "upper_percentile"):
        if arguments.get(side) is not None:
            value = read_number(step_into(pointer, side), arguments[side])
            low, high = (value, high) if side.startswith("lower") else (low, value)
            used.append(side)
    counts = [one for one in ("topk", "lower_rank", "upper_rank") if arguments.get(one) is not None]
    if name is None or counts or len(used) == 1:
        job.lose(pointer, arguments, Kind.MEANING, "selects a number of documents, or says neither field nor share")
        return
    if not 0 <= low < high <= 1:
        raise InvalidInputError.at(pointer, [low, high], "is no range of quantiles")
    job.carry(*(step_into(pointer, one) for one in (*used, *(one for one in arguments if arguments[one] is None))))
    steps.add(job, pointer, arguments, {"kind": "quantile", "field": name, "low": low, "high": high})


def _random(job: Job, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    if arguments.get("select_ratio") is None or arguments.get("select_num") is not None:
        job.lose(pointer, arguments, Kind.MEANING, "selects a number of documents; a subset is a share here")
        return
    steps.keep_share(pointer, read_number(step_into(pointer, "select_ratio"), arguments["select_ratio"]))
    job.carry(pointer)


def _exact(job: Job, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    job.carry_nearly(
        pointer, arguments, "compares texts as they are normalised here, whatever lowercase and the like say"
    )
    steps.deduplicate(pointer, arguments, "exact")


_MINHASH = {
    "shingle_words": "window_size",
    "bands": "num_bands",
    "rows": "num_rows_per_band",
    "similarity": "jaccard_threshold",
}


def _minhash(job: Job, pointer: str, arguments: dict[str, Any], steps: Steps) -> None:
    if arguments.get("tokenization", "space") != "space":
        job.lose(pointer, arguments, Kind.MEANING, f"shingles by {arguments['tokenization']!r}; here they are of words")
        return
    given = {"jaccard_threshold": 0.7, **arguments}  # their default
    dedup = near_dedup(job, pointer, {ours: (key, given.get(key)) for ours, key in _MINHASH.items()})
    known = (*_MINHASH.values(), "tokenization")
    job.carry(*(step_into(pointer, one) for one in known if one in arguments), *([] if arguments else [pointer]))
    others = {one: value for one, value in arguments.items() if one not in known}
    for one, value in others.items():
        job.lose(step_into(pointer, one), value, Kind.MEANING, "how hashes are made and texts normalised is fixed here")
    job.differ(
        pointer, arguments, "bands and rows that are left out are 14 and 8 here; there the best for the threshold"
    )
    steps.deduplicate(pointer, arguments, dedup)


OWN = {
    "word_repetition_filter": _word_repetition,
    "specified_field_filter": _specified,
    "tags_specified_field_selector": _specified,
    "specified_numeric_field_filter": _specified_numeric,
    "topk_specified_field_selector": _quantile,
    "range_specified_field_selector": _quantile,
    "random_selector": _random,
    "document_deduplicator": _exact,
    "ray_document_deduplicator": _exact,
    "document_minhash_deduplicator": _minhash,
    "ray_bts_minhash_deduplicator": _minhash,
}
