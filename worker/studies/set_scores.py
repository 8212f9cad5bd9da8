"""Numbers by validation set: scores of a study's proxies, as their leaderboards have them, and of its references at
their best rate; φ of the proxies."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.studies.definition import REPETITION
from proxy.suites import Suite as SuiteSpec
from worker.cohorts.messages import SetResult
from worker.set_results import set_results
from worker.store.models import Evaluation, EvaluationRun, Leaderboard, Protocol, Reference, Run, RunScore, Suite
from worker.store.states import State
from worker.studies.layout import Layout
from worker.studies.seeds import best_rows

Scores = dict[str, dict[str, float]]  # by recipe and set, bits per byte
Progress = dict[str, dict[str, float]]  # by recipe and set, φ


def proxy_sets(board: Leaderboard | None, layout: Layout) -> Scores:
    """Of the recipes that have a rank, by their names in the study."""
    names = {recipe.row.id: recipe.name for recipe in layout.recipes}
    return {
        names[entry["recipe"]["id"]]: entry["sets"]
        for entry in (board.body["entries"] if board is not None else ())
        if entry["recipe"]["id"] in names and entry["rank"] is not None
    }


def reference_sets(session: Session, rows: Sequence[Reference], suite: Suite, layout: Layout) -> Scores:
    """Mean over the seeds at the best rate, by the recipes' names in the study. Without those whose references were
    trained elsewhere: of them one number is known."""
    best = best_rows(rows)
    found: Scores = {}
    for name, recipe in layout.rows.items():
        own = best.get(recipe.id, [])
        scored = [sets for row in own if (sets := _sets(session, row, suite)) is not None]
        if own and len(scored) == len(own):
            found[name] = {part: fmean(sets[part] for sets in scored) for part in scored[0]}
    return found


def _sets(session: Session, row: Reference, suite: Suite) -> dict[str, float] | None:
    """Of the run that the reference was registered from."""
    query = (
        select(RunScore.sets)
        .join(Run, Run.id == RunScore.run_id)
        .join(EvaluationRun, EvaluationRun.run_id == Run.id)
        .where(
            EvaluationRun.evaluation_id == row.evaluation_id,
            RunScore.suite_id == suite.id,
            Run.learning_rate == row.learning_rate,
            Run.seed == row.seed,
        )
    )
    return session.scalars(query).first()


def proxy_progress(session: Session, protocol: Protocol, suite: Suite, layout: Layout) -> Progress:
    """Mean φ over a recipe's runs; without the sets of which it is not known for all of them. A run may be another
    protocol's, of the same content."""
    names = {recipe.row.id: recipe.name for recipe in layout.recipes}
    evaluated = (
        select(EvaluationRun.run_id)
        .join(Evaluation, Evaluation.id == EvaluationRun.evaluation_id)
        .where(Evaluation.protocol_id == protocol.id, Evaluation.suite_id == suite.id, Evaluation.kind == "proxy")
    )
    query = select(Run).where(
        Run.id.in_(evaluated),
        Run.state == State.FINISHED,
        Run.replicate == 0,
        Run.seed.in_(layout.seeds_of_proxies),
    )
    runs: dict[str, list[Run]] = {}
    for run in session.scalars(query.order_by(Run.seed)):
        if run.recipe_id in names:
            runs.setdefault(names[run.recipe_id], []).append(run)
    return {name: _progress([set_results(session, run, suite.id) for run in own]) for name, own in runs.items()}


def _progress(results: Sequence[Mapping[str, SetResult]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in results[0]:
        values = [one[part].progress for one in results if part in one]
        if len(values) == len(results) and None not in values:
            found[part] = fmean(value for value in values if value is not None)
    return found


def weigh(
    suite: Suite,
    layout: Layout,
    proxies: Mapping[float, Scores],
    references: Scores,
    standard: float | None,
    progress: Mapping[float, Progress],
) -> list[dict[str, Any]]:
    """A row a rate (proxy.studies.weighing), without the recipes that repeat."""
    from proxy.studies.weighing import weigh_sets

    main = {recipe.name for recipe in layout.recipes if recipe.axis != REPETITION}
    kept = {rate: {name: sets for name, sets in found.items() if name in main} for rate, found in proxies.items()}
    shares = SuiteSpec.model_validate(suite.spec).shares()
    return [row.as_json() for row in weigh_sets(kept, references, shares, standard, progress)]
