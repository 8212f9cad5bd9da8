"""The fingerprint covers what decides the training data (corpora by content, normalised weights, steps, order,
phases) and nothing else: no path, name, tag or date, not the order in which sources are written.

An option at its default is left out, so that a recipe keeps its fingerprint when the language grows.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.data.heuristics import find_heuristic
from proxy.data.statistics import column_name, find_statistic
from proxy.fingerprints import fingerprint
from proxy.recipes.filters import Filter, HeuristicFilter, LengthFilter
from proxy.recipes.recipe import Mixture, Recipe
from proxy.recipes.sources import Group, Source, weight_of
from proxy.recipes.specification import Specification

Canonical = dict[str, Any]
SHARE_DIGITS = 12


def fingerprint_recipe(recipe: Recipe, corpus_fingerprints: Mapping[str, str]) -> str:
    """Content address of the training data, independent of names, paths and the order of sources."""
    return fingerprint(canonical_recipe(recipe, corpus_fingerprints))


def canonical_recipe(recipe: Recipe, corpus_fingerprints: Mapping[str, str]) -> Canonical:
    """What the fingerprint covers. `corpus_fingerprints`: content of each source's `corpus` reference."""
    if recipe.phases:
        phases = [
            {"share": round(phase.share, SHARE_DIGITS), **_mixture(phase, corpus_fingerprints)}
            for phase in recipe.phases
        ]
        body: Canonical = {"phases": phases}
    else:
        body = _mixture(recipe, corpus_fingerprints)
    if not recipe.decontaminate:
        body["decontaminate"] = False
    if recipe.simulate_repetition and recipe.target is not None:
        body["simulated_tokens"] = recipe.target.tokens
    return {"schema_version": recipe.schema_version, **body}


def canonical_source(source: Source, corpus_fingerprint: str) -> Canonical:
    """A source without its weight."""
    found: Canonical = {
        "corpus": corpus_fingerprint,
        "filters": [canonical_filter(step) for step in source.filters],
        "dedup": source.dedup if isinstance(source.dedup, str) else source.dedup.model_dump(mode="json"),
        "subset": source.subset,
        "max_epochs": source.max_epochs,
    }
    if source.repeat is not None:
        found["repeat"] = _measured(source.repeat)
    return found


def canonical_filter(step: Filter) -> Canonical:
    """A filter by what it does: a published name by its rules, a statistic with its version."""
    if isinstance(step, LengthFilter):
        return step.model_dump(mode="json")
    if isinstance(step, HeuristicFilter):
        rules = find_heuristic(step.heuristic, step.limits).rules
        limits = [
            [_versioned(rule.statistic), *map(_limit, (rule.minimum, rule.maximum)), rule.is_strict] for rule in rules
        ]
        return {"kind": "rules", "rules": sorted(limits, key=fingerprint)}
    return _measured(step)


def _limit(value: float | None) -> float | None:
    return None if value is None else float(value)


def _measured(model: Specification) -> Canonical:
    """What was said, with the version of its statistic."""
    found: Canonical = model.model_dump(mode="json", exclude_none=True)
    if "statistic" in found:
        found["statistic"] = _versioned(found["statistic"])
    return found


def _versioned(statistic: str) -> str:
    return column_name(find_statistic(statistic))


def _mixture(mixture: Mixture, corpora: Mapping[str, str]) -> Canonical:
    found: Canonical = {"sources": _members(mixture.sources, mixture.size_exponent, corpora)}
    if mixture.size_exponent is not None:
        found["size_exponent"] = mixture.size_exponent
    if mixture.dedup != "none":
        found["dedup"] = mixture.dedup if isinstance(mixture.dedup, str) else mixture.dedup.model_dump(mode="json")
    if mixture.order.kind != "shuffled":
        assert mixture.order.by is not None
        found["order"] = {"kind": mixture.order.kind, "by": _measured(mixture.order.by)}
    return found


def _members(
    members: Sequence[Source | Group], size_exponent: float | None, corpora: Mapping[str, str]
) -> list[Canonical]:
    """In canonical order. A group that weights by weight alone inside one that does too is what it holds."""
    described = list(_described(members, 1.0, size_exponent is None, corpora))
    return sorted(described, key=fingerprint)


def _described(
    members: Sequence[Source | Group], share: float, may_flatten: bool, corpora: Mapping[str, str]
) -> list[Canonical]:
    total = math.fsum(weight_of(member) for member in members)
    found: list[Canonical] = []
    for member in members:
        part = share * (weight_of(member) / total)
        if part == 0:
            continue
        if isinstance(member, Source):
            found.append({"share": round(part, SHARE_DIGITS), **canonical_source(member, corpora[member.corpus])})
        elif may_flatten and member.size_exponent is None:
            found += _described(member.sources, part, may_flatten, corpora)
        else:
            inner = _members(member.sources, member.size_exponent, corpora)
            found.append({"share": round(part, SHARE_DIGITS), "size_exponent": member.size_exponent, "sources": inner})
    return found
