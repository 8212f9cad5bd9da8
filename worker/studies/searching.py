"""What a rate search would choose from a study's proxies, with every recipe an anchor: no reference is looked at.

The rule is applied to the runs that are there, and nothing is stored: a study asks what the rule says, it does not make
a protocol.
"""

from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ForetasteError
from worker.rate_searches.evidence import gather
from worker.store.models import Evaluation, Protocol, RateSearch, Recipe, Suite
from worker.store.states import State
from worker.studies.layout import Layout

LEAST_RATES, LEAST_SEEDS, LEAST_ANCHORS = 3, 2, 3


def choose_rate(session: Session, suite: Suite, layout: Layout) -> dict[str, Any]:
    """The finding as plain data, with anchors by name; {"conclusion": why not} where the rule cannot be applied."""
    ladder, recipes, seeds = layout.ladder, layout.rows, layout.proxy_seeds
    if len(ladder) < LEAST_RATES or seeds < LEAST_SEEDS:
        return _none(f"a rate search needs {LEAST_RATES} rates and {LEAST_SEEDS} seeds")
    points = [point for recipe in recipes.values() for point in _points(session, suite, ladder, recipe)]
    anchors = sorted({point["recipe"] for point in points})
    if len(anchors) < LEAST_ANCHORS:
        return _none(f"only {len(anchors)} recipes have been trained at every rate; {LEAST_ANCHORS} are the least")
    search = RateSearch(
        suite_id=suite.id,
        anchors=anchors,
        rates=list(ladder),
        seeds=seeds,
        steps=next(iter(ladder.values())).spec["steps"],
        points=points,
    )
    return _apply(session, search, {recipe.id: name for name, recipe in recipes.items()})


def _points(session: Session, suite: Suite, ladder: dict[float, Protocol], recipe: Recipe) -> list[dict[str, Any]]:
    """One a rate; [] while a rate of the recipe has not finished."""
    points = []
    for rate, protocol in ladder.items():
        query = select(Evaluation.id).where(
            Evaluation.protocol_id == protocol.id,
            Evaluation.suite_id == suite.id,
            Evaluation.recipe_id == recipe.id,
            Evaluation.kind == "proxy",
            Evaluation.replicate == 0,
            Evaluation.state.in_((State.FINISHED, State.FAILED)),
        )
        found = session.scalars(query.order_by(Evaluation.seeds.desc())).first()
        if found is None:
            return []
        points.append(
            {"rate": rate, "recipe": recipe.id, "protocol": protocol.id, "evaluation": found, "is_own": False}
        )
    return points


def _apply(session: Session, search: RateSearch, names: dict[str, str]) -> dict[str, Any]:
    from proxy.ranking.rate_search import search_rate

    try:
        with session.no_autoflush:
            finding = search_rate(gather(session, search).ladder)
    except ForetasteError as error:
        return _none(str(error))
    body: dict[str, Any] = _named(asdict(finding), names)
    return {**body, "anchors_used": len(search.anchors)}


def _none(why: str) -> dict[str, Any]:
    return {"rate": None, "optimum": None, "outcome": None, "conclusion": why}


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
