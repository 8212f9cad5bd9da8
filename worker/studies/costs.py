"""How far a study is, and what its runs have cost."""

from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.evaluations import has_seeds
from worker.references import label_rows, rows_of
from worker.store.models import Evaluation, EvaluationRun, Protocol, Run
from worker.store.states import State
from worker.studies.layout import Layout
from worker.studies.seeds import best_rows
from worker.studies.sets import METRIC


def standing_of(session: Session, layout: Layout) -> dict[str, Any]:
    """Evaluations of proxies (recipe × rate × suite), and recipes by how far their references are."""
    proxies = len(layout.recipes) * len(layout.ladder) * len(layout.suites)
    ladder = layout.ladder.values()
    finished = sum(_ended(session, protocol, layout, State.FINISHED) for protocol in ladder)
    failed = sum(_ended(session, protocol, layout, State.FAILED) for protocol in ladder)
    labels: dict[str, int] = {}
    own = {recipe.row.id for recipe in layout.recipes}
    for recipe, label in label_rows(rows_of(session, layout.reference_sets[0], METRIC)).items():
        if recipe in own:  # others may have been imported into the set
            labels[str(label.label)] = labels.get(str(label.label), 0) + 1
    referenced = sum(recipe.is_referenced for recipe in layout.recipes)
    seeded = _recipes_with_seeds(session, layout)
    return {
        "proxy_evaluations": proxies,
        "proxy_evaluations_finished": finished,
        "recipes_with_references": sum(labels.values()),
        "recipes_to_have_references": referenced,
        "recipes_with_all_seeds": seeded,
        "labels": labels,
        "is_partial": finished + failed < proxies or sum(labels.values()) < referenced or seeded < referenced,
    }


def _ended(session: Session, protocol: Protocol, layout: Layout, state: State) -> int:
    """Each recipe once a suite, whoever else asked for it with more seeds."""
    ids = {recipe.row.id for recipe in layout.recipes}
    query = select(Evaluation.recipe_id, Evaluation.suite_id).where(
        Evaluation.protocol_id == protocol.id,
        Evaluation.kind == "proxy",
        Evaluation.state == state,
        has_seeds(layout.seeds_of_proxies),
        Evaluation.suite_id.in_([suite.id for suite in layout.suites]),
    )
    return len({(one.recipe_id, one.suite_id) for one in session.execute(query) if one.recipe_id in ids})


def _recipes_with_seeds(session: Session, layout: Layout) -> int:
    """Its recipes that have all seeds at their best rate, on every suite."""
    best = [best_rows(rows_of(session, name, METRIC)) for name in layout.reference_sets]
    seeds = layout.seeds_of_references
    seeded = [{recipe for recipe in one if {row.seed for row in one[recipe]}.issuperset(seeds)} for one in best]
    return len(set.intersection({recipe.row.id for recipe in layout.recipes}, *seeded))


def costs_of(session: Session, protocols: list[Protocol]) -> list[dict[str, Any]]:
    """A row a protocol: runs by state, tokens that were trained, seconds of training, median speed."""
    return [_cost(session, protocol) for protocol in protocols]


def _cost(session: Session, protocol: Protocol) -> dict[str, Any]:
    wanted = select(EvaluationRun.run_id).join(Evaluation).where(Evaluation.protocol_id == protocol.id)
    query = select(Run.state, Run.result["tokens"], Run.result["seconds"], Run.result["tokens_per_second"])
    rows = session.execute(query.where(Run.id.in_(wanted))).all()
    states: dict[str, int] = {}
    for row in rows:
        states[str(row[0])] = states.get(str(row[0]), 0) + 1
    speeds = [row[3] for row in rows if row[3]]
    return {
        "protocol": protocol.name,
        "learning_rate": protocol.learning_rate,
        "runs": states,
        "tokens": sum(row[1] or 0 for row in rows),
        "training_seconds": sum(row[2] or 0.0 for row in rows),
        "tokens_per_second": median(speeds) if speeds else None,
    }
