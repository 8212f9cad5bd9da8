"""What a rate search would choose from a study's proxies, with every recipe an anchor but those that repeat: no
reference is looked at.

The rule is applied to the runs that are there, and nothing is stored: a study asks what the rule says, it does not make
a protocol. Two of its gates need more than proxies (a control on shuffled tokens, scores with bf16 logits): they are
measured where a rate search over the same proxies was run, and else the finding says that they are not.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ForetasteError
from worker.rate_searches.evidence import fault_of, gather
from worker.rate_searches.points import Point, controls, ladder_points
from worker.store.models import Evaluation, RateSearch, Recipe, Suite
from worker.store.states import State
from worker.studies.layout import Layout

LEAST_RATES, LEAST_SEEDS, LEAST_ANCHORS = 3, 2, 3


def choose_rate(session: Session, suite: Suite, layout: Layout) -> dict[str, Any]:
    """The finding as plain data, with anchors by name; {"conclusion": why not} where the rule cannot be applied.
    `left_out`: by recipe, what keeps its runs from being evidence."""
    ladder, seeds = layout.ladder, layout.proxy_seeds
    if len(ladder) < LEAST_RATES or seeds < LEAST_SEEDS:
        return _none(f"a rate search needs {LEAST_RATES} rates and {LEAST_SEEDS} seeds")
    points: list[Point] = []
    left_out: dict[str, str] = {}
    for name, recipe in layout.telling.items():
        own = _points(session, suite, layout, recipe)
        if fault := next(filter(None, (fault_of(session, suite.id, point) for point in own)), None):
            left_out[name] = fault
        else:
            points += own
    anchors = sorted({point["recipe"] for point in points})
    if len(anchors) < LEAST_ANCHORS:
        why = f"{len(anchors) or 'no'} recipes have been trained at every rate so far; {LEAST_ANCHORS} are the least"
        return {**_none(why), "left_out": left_out}
    search = RateSearch(
        suite_id=suite.id,
        anchors=anchors,
        rates=list(ladder),
        seeds=seeds,
        steps=next(iter(ladder.values())).spec["steps"],
        points=[*points, *_controls(session, suite, points)],
    )
    return {**_apply(session, search, {recipe.id: name for name, recipe in layout.rows.items()}), "left_out": left_out}


def _points(session: Session, suite: Suite, layout: Layout, recipe: Recipe) -> list[Point]:
    """One a rate; [] while a rate of the recipe has not ended. Of the study's own seeds: a recipe that was given more
    at one rate would unbalance the ladder."""
    points = []
    for rate, protocol in layout.ladder.items():
        query = select(Evaluation.id).where(
            Evaluation.protocol_id == protocol.id,
            Evaluation.suite_id == suite.id,
            Evaluation.recipe_id == recipe.id,
            Evaluation.kind == "proxy",
            Evaluation.replicate == 0,
            Evaluation.seeds == layout.proxy_seeds,
            Evaluation.first_seed == layout.proxy_first_seed,
            Evaluation.state.in_((State.FINISHED, State.FAILED)),
        )
        found = session.scalars(query).first()
        if found is None:
            return []
        points.append(
            {"rate": rate, "recipe": recipe.id, "protocol": protocol.id, "evaluation": found, "is_own": False}
        )
    return points


def _controls(session: Session, suite: Suite, points: Iterable[Point]) -> list[Point]:
    """Those that searches over these proxies had trained, where they have ended."""
    wanted = {(point["rate"], point["recipe"]): point["evaluation"] for point in points}
    found: dict[tuple[float, str], Point] = {}
    for search in session.scalars(select(RateSearch).where(RateSearch.suite_id == suite.id)):
        ladder = {(point["rate"], point["recipe"]): point["evaluation"] for point in ladder_points(search.points)}
        for point in controls(search.points):
            place = (point["rate"], point["recipe"])
            is_of_these = place in wanted and ladder.get(place) == wanted[place]
            is_final = session.get_one(Evaluation, point["evaluation"]).state.is_final
            if is_of_these and is_final and fault_of(session, suite.id, point) is None:
                found[place] = point
    return list(found.values())


def _apply(session: Session, search: RateSearch, names: dict[str, str]) -> dict[str, Any]:
    from proxy.ranking.rate_search import search_rate

    try:
        with session.no_autoflush:
            finding = search_rate(gather(session, search).ladder)
    except ForetasteError as error:
        return _none(_named(str(error), names))
    body: dict[str, Any] = _named(asdict(finding), names)
    return {**body, "anchors_used": len(search.anchors)}


def _none(why: str) -> dict[str, Any]:
    return {"rate": None, "optimum": None, "outcome": None, "conclusion": why, "remarks": (), "left_out": {}}


def _named(value: Any, names: dict[str, str]) -> Any:
    """Ids, as keys, values or inside sentences, become names."""
    if isinstance(value, dict):
        return {names.get(key, key): _named(part, names) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_named(part, names) for part in value]
    if isinstance(value, str):
        for identifier, name in names.items():
            value = value.replace(identifier, name)
    return value
