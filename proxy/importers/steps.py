"""Their processing steps as our filters: which parameter bounds which statistic, with their defaults.

A pipeline edits texts and chooses among them in turn; a recipe only chooses, on the texts as they are. So a filter that
stands behind an edit is carried with a remark.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.errors import InvalidInputError
from proxy.importers.job import Job
from proxy.importers.reading import read_number, step_into
from proxy.importers.report import Kind

Arguments = Mapping[str, Any]
OFF = 1e15  # a limit that no document reaches


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Their step keeps documents whose measure lies between two of its parameters, both included.

    `complement`: their limit is on the rest of the whole, so ours is one minus it, from the other side. `neutral`:
    parameters that change nothing at these values; at others the step is lost. `silent`: those without effect here.
    """

    statistic: str
    minimum: str | None = None
    maximum: str | None = None
    defaults: Mapping[str, float] = field(default_factory=dict)
    complement: bool = False
    differs: str = ""
    neutral: Mapping[str, Any] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Steps:
    """What the steps of one source have come to."""

    filters: list[dict[str, Any]] = field(default_factory=list)
    dedup: Any = None
    subset: float | None = None
    edited_by: str | None = None
    deduped_at: tuple[str, Any] | None = None

    def as_source(self) -> dict[str, Any]:
        """The fields of a source that the steps decide."""
        fields = {"filters": self.filters or None, "dedup": self.dedup, "subset": self.subset}
        return {name: value for name, value in fields.items() if value is not None}

    def add(self, job: Job, pointer: str, step: Any, one: dict[str, Any]) -> None:
        """A filter, with a remark where an edit came before it or where it came behind a dedup."""
        self.filters.append(one)
        if self.edited_by:
            job.differ(pointer, step, f"applies to the text as it is, which {self.edited_by} had edited by then")
        if self.deduped_at:
            where, dedup = self.deduped_at
            job.differ(where, dedup, "here dedup comes behind all filters, there some filters came behind it")
            self.deduped_at = None

    def keep_share(self, pointer: str, share: float) -> None:
        """A random subset; several multiply."""
        if not 0 < share <= 1:
            raise InvalidInputError.at(pointer, share, "a share of documents is above 0 and at most 1")
        self.subset = share * (self.subset or 1.0)

    def deduplicate(self, pointer: str, step: Any, dedup: Any) -> None:
        """The last dedup counts: near finds what exact finds."""
        if self.dedup is None or self.dedup == "exact":
            self.dedup = dedup
        self.deduped_at = (pointer, step)


def bounded(job: Job, pointer: str, arguments: Arguments, bounds: Bounds) -> dict[str, Any] | None:
    """The statistic filter of a step; None, with the step's parameters lost, where it says more than a filter can."""
    for name, value in bounds.neutral.items():
        if name in arguments and arguments[name] != value:
            job.lose(pointer, arguments, Kind.MEANING, f"{name} = {arguments[name]!r} is not computed here")
            return None
    limits = {
        side: _limit(job, pointer, arguments, name, bounds)
        for side, name in (("minimum", bounds.minimum), ("maximum", bounds.maximum))
        if name is not None
    }
    job.carry(*(step_into(pointer, name) for name in bounds.neutral if name in arguments))
    for name, reason in bounds.silent.items():
        if name in arguments:
            job.lose(step_into(pointer, name), arguments[name], Kind.MEANING, reason)
    found = {side: value for side, value in limits.items() if value is not None}
    if bounds.complement and found:
        found = {"minimum": round(1 - found["maximum"], 12)}
    if bounds.differs:
        job.differ(pointer, arguments, f"{bounds.statistic} {bounds.differs}")
    return statistic_filter(pointer, bounds.statistic, **found) if found else None


def _limit(job: Job, pointer: str, arguments: Arguments, name: str, bounds: Bounds) -> float | None:
    """None where there is none: not given, null, infinite or as large as their largest integer."""
    if name not in arguments:
        return bounds.defaults.get(name)
    place, value = step_into(pointer, name), arguments[name]
    job.carry(place)
    if value is None or value in (math.inf, -math.inf) or (isinstance(value, int) and abs(value) >= 2**62):
        return None
    return read_number(place, value)


def statistic_filter(
    pointer: str, statistic: str, minimum: float | None = None, maximum: float | None = None
) -> dict[str, Any]:
    """A filter on a statistic; limits in the wrong order are named in the file."""
    if minimum is not None and maximum is not None and maximum < minimum:
        raise InvalidInputError.at(pointer, [minimum, maximum], f"the maximum {maximum} is below the minimum {minimum}")
    limits = {"minimum": minimum, "maximum": maximum}
    given = {side: limit for side, limit in limits.items() if limit is not None}
    return {"kind": "statistic", "statistic": statistic, **given}


@dataclass(frozen=True, kw_only=True)
class HeuristicStep:
    """A step that is one of the published sets of rules. `rules`: their parameter, the rule here, and its limit where
    theirs switches it off (null, and whatever `is_off` says)."""

    heuristic: str
    rules: Mapping[str, tuple[str, float]]
    differs: str = ""
    defaults: Mapping[str, float] = field(default_factory=dict)
    off_values: tuple[Any, ...] = (None,)
    silent: Mapping[str, str] = field(default_factory=dict)


def heuristic(job: Job, pointer: str, arguments: Arguments, step: HeuristicStep) -> dict[str, Any]:
    """The heuristic filter of a step, with the limits that the step changes."""
    limits: dict[str, float] = {step.rules[name][0]: value for name, value in step.defaults.items()}
    for name, (rule, off) in step.rules.items():
        if name in arguments:
            place, value = step_into(pointer, name), arguments[name]
            limits[rule] = (
                off if any(value is one or value == one for one in step.off_values) else read_limit(place, value)
            )
            job.carry(place)
    for name, reason in step.silent.items():
        if arguments.get(name) is not None:
            job.lose(step_into(pointer, name), arguments[name], Kind.MEANING, reason)
        elif name in arguments:
            job.carry(step_into(pointer, name))
    if step.differs:
        job.differ(pointer, arguments, step.differs)
    return {"kind": "heuristic", "heuristic": step.heuristic, **({"limits": limits} if limits else {})}


def read_limit(pointer: str, value: Any) -> float:
    """A limit of a rule: finite and not negative."""
    limit = read_number(pointer, value)
    if limit < 0:
        raise InvalidInputError.at(pointer, value, "a limit is not negative")
    return limit


def near_dedup(job: Job, pointer: str, values: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """MinHash settings: ours by name, with the place and value they come from; those that are null keep our default."""
    settings: dict[str, Any] = {"kind": "near"}
    for name, (key, value) in values.items():
        if value is None:
            continue
        place = step_into(pointer, key)
        number = read_number(place, value)
        if number <= 0 or (name != "similarity" and number != int(number)) or (name == "similarity" and number > 1):
            raise InvalidInputError.at(place, value, f"is no {name} of MinHash")
        settings[name] = number if name == "similarity" else int(number)
    if settings.get("bands", 14) * settings.get("rows", 8) > 512 or settings.get("shingle_words", 5) > 50:
        raise InvalidInputError.at(pointer, settings, "at most 512 hashes and shingles of 50 words are computed here")
    return settings
