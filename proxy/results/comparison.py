"""Agreement of two score tables: what `foretaste agreement --proxy a.csv --reference b.csv` computes.

Seeds of a setting are averaged first. A recipe's reference is its best setting, labelled by its sweep; its proxy score
is its only setting, because a proxy that may choose its hyperparameters for each recipe is another proxy.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from proxy.errors import FieldProblem, InvalidInputError
from proxy.ranking.agreement import EVIDENCE_FROM, AgreementFigures, Direction, measure_agreement
from proxy.ranking.conclusion import conclude
from proxy.ranking.tuning import TuningLabel, label_sweeps
from proxy.results.scores import ScoreTable

RNG_SEED = 20251224  # of the bootstrap: the same tables give the same figures
MOST_NAMED = 5
MOST_RECIPES = 3_000  # 8 s and 0.5 GB on one core; time and memory grow with the square


@dataclass(frozen=True, kw_only=True)
class Point:
    """A recipe that has both; `label` is what its reference earned."""

    recipe: str
    proxy: float
    reference: float
    label: str
    axis: str | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Figures over all recipes that have both and, of each axis with enough of them, its own."""

    figures: AgreementFigures
    conclusion: str
    points: tuple[Point, ...]
    by_axis: Mapping[str, AgreementFigures]
    only_in_proxy: tuple[str, ...]
    only_in_reference: tuple[str, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The figures at the top, everything else beside them."""
        return {
            **asdict(self.figures),
            "conclusion": self.conclusion,
            "labels": {point.recipe: point.label for point in self.points},
            "by_axis": {axis: asdict(figures) for axis, figures in self.by_axis.items()},
            "points": [asdict(point) for point in self.points],
            "only_in_proxy": list(self.only_in_proxy),
            "only_in_reference": list(self.only_in_reference),
            "notes": list(self.notes),
        }


def compare_tables(
    proxy: ScoreTable, reference: ScoreTable, direction: Direction, proxy_direction: Direction
) -> Comparison:
    """InvalidInputError names proxy recipes with several settings, and tables that share no recipe."""
    proxies = only_settings(proxy, proxy_direction)
    references = label_sweeps(reference.points, direction)
    axes = _join_axes(proxy, reference)
    if not proxies.keys() & references.keys():
        names = f"{next(iter(proxies), 'none')!r} is in {proxy.name}, {next(iter(references))!r} in {reference.name}"
        raise InvalidInputError.at("recipe", names, "no recipe is in both tables; are they named alike?")
    return compare_scores(proxies, references, direction, proxy_direction, axes)


def compare_scores(
    proxies: Mapping[str, float],
    references: Mapping[str, TuningLabel],
    direction: Direction,
    proxy_direction: Direction,
    axes: Mapping[str, str],
) -> Comparison:
    """Of scores by recipe; best proxy first. Nothing in common is an answer here: no evidence."""
    points = [
        Point(recipe=name, proxy=score, reference=value, label=str(references[name].label), axis=axes.get(name))
        for name, score in proxies.items()
        if name in references and (value := references[name].best_value) is not None
    ]
    if len(points) > MOST_RECIPES:
        message = f"at most {MOST_RECIPES:,} recipes are compared at once; keep some of them"
        raise InvalidInputError.at("recipe", len(points), message)
    sign = 1 if proxy_direction == "lower" else -1
    points.sort(key=lambda point: (sign * point.proxy, point.recipe))
    figures = _measure(points, direction, proxy_direction)
    groups = {axis: [point for point in points if point.axis == axis] for axis in sorted(set(axes.values()))}
    matched = {point.recipe for point in points}
    alone = tuple(name for name in proxies if name not in matched), tuple(set(references) - set(proxies))
    return Comparison(
        figures=figures,
        conclusion=conclude(figures, [references[point.recipe].label for point in points]),
        points=tuple(points),
        by_axis={
            axis: _measure(group, direction, proxy_direction)
            for axis, group in groups.items()
            if len(group) >= EVIDENCE_FROM
        },
        only_in_proxy=tuple(sorted(alone[0])),
        only_in_reference=tuple(sorted(alone[1])),
        notes=_notes(sorted(alone[0]), sorted(alone[1]), groups),
    )


def only_settings(table: ScoreTable, direction: Direction) -> dict[str, float]:
    """Each recipe's mean over seeds; InvalidInputError names those with more than one setting."""
    first: dict[str, tuple[object, int]] = {}
    faults: dict[str, FieldProblem] = {}
    for point, line in zip(table.points, table.lines, strict=True):
        setting, seen = first.setdefault(point.recipe, (point.setting, line))
        if setting != point.setting and point.recipe not in faults:
            message = f"has other hyperparameters than in line {seen}; a proxy has one setting: keep it with a filter"
            pointer = f"{table.name} line {line}, column recipe"
            faults[point.recipe] = FieldProblem(pointer=pointer, value=point.recipe, message=message)
    if faults:
        raise InvalidInputError(faults.values())
    labels = label_sweeps(table.points, direction)
    return {name: label.best_value for name, label in labels.items() if label.best_value is not None}


def _join_axes(proxy: ScoreTable, reference: ScoreTable) -> dict[str, str]:
    for recipe in proxy.axes.keys() & reference.axes.keys():
        if proxy.axes[recipe] != reference.axes[recipe]:
            message = f"recipe {recipe!r} is on axis {reference.axes[recipe]!r} in {reference.name}"
            raise InvalidInputError.at(f"{proxy.name}, column axis", proxy.axes[recipe], message)
    return {**proxy.axes, **reference.axes}


def _measure(points: Iterable[Point], direction: Direction, proxy_direction: Direction) -> AgreementFigures:
    found = list(points)
    return measure_agreement(
        [point.proxy for point in found],
        [point.reference for point in found],
        direction,
        np.random.default_rng(RNG_SEED),
        proxy_direction=proxy_direction,
    )


def _notes(only_proxy: list[str], only_reference: list[str], groups: Mapping[str, list[Point]]) -> tuple[str, ...]:
    notes = [
        f"Left out because there is no {missing}: {_name_some(names)}."
        for names, missing in ((only_proxy, "reference"), (only_reference, "proxy score"))
        if names
    ]
    notes += [
        f"Axis {axis}: {len(group)} of {EVIDENCE_FROM} recipes that figures of its own need."
        for axis, group in groups.items()
        if len(group) < EVIDENCE_FROM
    ]
    return tuple(notes)


def _name_some(names: list[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
    return f"{len(names)} recipe{'' if len(names) == 1 else 's'} ({shown})"
