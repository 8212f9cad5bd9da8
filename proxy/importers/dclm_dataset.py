"""DCLM dataset JSON (Li et al. 2024, arXiv 2406.11794; mlfoundations/dclm, exp_data/datasets): what one is made of.

Sources are concatenated there, so shares go by token count here (`size_exponent` 1). `sampling_frequencies` are factors
on that: below one a subset, above one a weight and as many epochs.
"""

from collections import Counter
from typing import Any

from proxy.errors import InvalidInputError
from proxy.importers.job import Job, require_positive
from proxy.importers.reading import read_list, read_mapping, read_number, read_text, step_into
from proxy.importers.report import Kind

_COUNTED = (Kind.BOOKKEEPING, "is measured again on the corpora registered here")
_MADE = (Kind.BOOKKEEPING, "says how and when the files were made")
_WHERE = (Kind.LOCATION, "register a corpus from these files")
OTHER_FIELDS = {
    "uuid": (Kind.BOOKKEEPING, "recipes are known by their content"),
    "creation_date": _MADE,
    "dcnlp_commit_hash": _MADE,
    "dcnlp_diff": _MADE,
    "seed": _MADE,
    "note": (Kind.BOOKKEEPING, "a remark"),
    "dataset_url": _WHERE,
    "dataset_urls": _WHERE,
    "manifest_url": _WHERE,
    "json_path": _WHERE,
    "mirrors": _WHERE,
    "data_key": (Kind.LOCATION, "the format of the files"),
    "tokenized": (Kind.TRAINING, "corpora are text, tokenised once a protocol"),
    "tokenizer": (Kind.TRAINING, "the protocol names the tokenizer"),
    "num_tokens": _COUNTED,
    "size": _COUNTED,
    "total_files": _COUNTED,
}
MOST_EPOCHS = 1000
MOST_MARKERS = 1000  # each is looked for in each name


def looks_like_dclm_dataset(content: Any) -> bool:
    """A mapping with an identifier, a name, and sources or the address of the data."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("uuid"), str)
        and {"uuid", "name"} <= content.keys()
        and bool({"sources", "dataset_url"} & content.keys())
    )


def read_dclm_dataset(job: Job) -> list[dict[str, Any]]:
    """One recipe: its sources, or the data set itself as a corpus where none are named."""
    content = read_mapping("", job.content)
    name = read_text("/name", content.get("name"))
    job.carry("/name")
    job.lose_known(OTHER_FIELDS, content)
    sources = content.get("sources")
    if isinstance(sources, list) and sources:
        members = _members(job, sources, _frequencies(job, content.get("sampling_yaml")))
    else:
        members = [{"corpus": job.corpus("/name", name)}]
        if "sources" in content:
            job.lose(
                "/sources", sources, Kind.LOCATION, "what the data set was made from; it is a corpus of its own here"
            )
    if content.get("sampling_yaml", 0) is None:
        job.carry("/sampling_yaml")
    recipe: dict[str, Any] = {"name": job.recipe_name(name), "sources": members, "size_exponent": 1.0}
    if len(members) == 1 and members[0].get("weight", 1.0) > 0:
        members[0]["weight"] = 1.0
        del recipe["size_exponent"]
    return [recipe]


def _members(
    job: Job, sources: list[Any], frequencies: list[tuple[str, tuple[str, ...], float]]
) -> list[dict[str, Any]]:
    """A source named twice is read twice."""
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for index, one in enumerate(sources):
        pointer = f"/sources/{index}/name"
        source = read_mapping(f"/sources/{index}", one)
        name = read_text(pointer, source.get("name"))
        job.carry(pointer)
        job.lose_known({"uuid": OTHER_FIELDS["uuid"]}, source, f"/sources/{index}")
        names.setdefault(name, pointer)
        counts[name] += 1
    members = [_member(job, pointer, name, counts[name], frequencies) for name, pointer in names.items()]
    require_positive("/sampling_yaml/sampling_frequencies", [member.get("weight", 1.0) for member in members])
    return members


def _member(
    job: Job, pointer: str, name: str, copies: int, frequencies: list[tuple[str, tuple[str, ...], float]]
) -> dict[str, Any]:
    """The first group of which a marker is in the name counts; markers are of file paths there."""
    member: dict[str, Any] = {"corpus": job.corpus(pointer, name)}
    factor = float(copies)
    if frequencies:
        place, found = next(
            (
                (place, factor)
                for place, markers, factor in frequencies
                if any(one.strip("/") in name for one in markers)
            ),
            ("", None),
        )
        if found is None:
            job.differ(pointer, name, "no marker of sampling_yaml is in its name, so it is taken once")
        else:
            factor *= found
            job.differ(place, found, f"is applied to {name}: the marker is looked for in its name, there in file paths")
    if factor > MOST_EPOCHS:
        raise InvalidInputError.at(pointer, factor, f"is read more than {MOST_EPOCHS} times")
    if 0 < factor < 1:
        member["subset"] = factor
    elif factor != 1:
        member["weight"] = factor
        member |= {"max_epochs": factor} if factor > 1 else {}
    return member


def _frequencies(job: Job, sampling: Any) -> list[tuple[str, tuple[str, ...], float]]:
    """Place, markers and factor of each group."""
    if sampling is None:
        return []
    where = "/sampling_yaml"
    factors = read_mapping(f"{where}/sampling_frequencies", read_mapping(where, sampling).get("sampling_frequencies"))
    found = []
    for index, one in enumerate(read_list(f"{where}/sources", sampling.get("sources"))):
        pointer = f"{where}/sources/{index}"
        group = read_text(f"{pointer}/source", read_mapping(pointer, one).get("source"))
        markers = one.get("markers", [])
        if not isinstance(markers, list) or not all(isinstance(marker, str) and marker for marker in markers):
            raise InvalidInputError.at(f"{pointer}/markers", markers, "must be a list of text")
        job.carry(f"{pointer}/source", f"{pointer}/markers")
        if group in factors and (markers or group == "UNKNOWN"):
            place = step_into(f"{where}/sampling_frequencies", group)
            factor = read_number(place, factors[group])
            if factor < 0:
                raise InvalidInputError.at(place, factors[group], "a frequency is not negative")
            if markers:
                job.carry(place)
                found.append((place, tuple(markers), factor))
            else:
                job.lose(
                    place, factors[group], Kind.MEANING, "is for files that no marker fits; sources are named here"
                )
    if sum(len(markers) for _, markers, _ in found) > MOST_MARKERS:
        raise InvalidInputError.at(f"{where}/sources", len(found), f"has more than {MOST_MARKERS} markers")
    return found
