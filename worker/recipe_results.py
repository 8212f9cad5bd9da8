"""What a ranking is made from: each recipe's finished runs under a protocol and suite, with their marks."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, defer, load_only, selectinload

from worker.evaluation_runs import has_diverged
from worker.settings import Settings
from worker.store.models import Evaluation, EvaluationRun, Protocol, Recipe, Run, RunScore, Suite
from worker.store.states import State

# Thousands of rows are read at each update: their long columns would take longer than the ranking.
# The results of those that failed are read one by one: they are few.
LIGHT = (
    selectinload(Evaluation.recipe).load_only(Recipe.name, Recipe.fingerprint),
    load_only(Run.seed, Run.state, Run.error),
)


@dataclass(frozen=True, kw_only=True)
class RecipeResults:
    """One recipe's proxy runs under one protocol and suite, seeds of all its evaluations pooled."""

    recipe: Recipe
    evaluation_id: str
    scored: list[tuple[Run, RunScore]] = field(default_factory=list)
    lost: list[tuple[Run, RunScore]] = field(default_factory=list)  # scored, but the losses are gone
    failed: list[Run] = field(default_factory=list)

    def gates(self) -> list[dict[str, Any]]:
        """Of each gate the worst mark over the runs: a fatal one if any, else the value that fails by most, else the
        one that passes by least."""
        worst: dict[str, dict[str, Any]] = {}
        for _, score in self.scored:
            for gate in score.gates:
                worst[gate["name"]] = max(worst.get(gate["name"], gate), gate, key=_severity)
        lost = (_mark("losses", f"of seed {run.seed} are missing: {score.artifact}") for run, score in self.lost)
        return [*worst.values(), *lost, *map(self._failed_mark, self.failed)]

    def is_broken(self) -> bool:
        """No score, or a mark that says the training itself went wrong."""
        return not self.scored or bool(fatal_gates(self.gates()))

    def _failed_mark(self, run: Run) -> dict[str, Any]:
        """A crash says nothing of a recipe that other runs say something of; a loss that diverged does."""
        is_fatal = not self.scored or has_diverged(run)
        return _mark("finished", f"the run with seed {run.seed} failed: {run.error}", is_fatal=is_fatal)


def fatal_gates(gates: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that failed and say that the run itself went wrong, so that it is no evidence of its recipe."""
    return [gate for gate in gates if gate["is_fatal"] and not gate["passed"]]


def _severity(gate: Mapping[str, Any]) -> tuple[bool, bool, float]:
    """Grows as a mark gets worse. Nothing is worse than a value that is unknown, of those that fail or pass alike."""
    has_failed, value = not gate["passed"], gate["value"]
    margin = math.inf if value is None else abs(value - gate["threshold"]) * (1 if has_failed else -1)
    return has_failed, has_failed and gate["is_fatal"], margin


def _mark(name: str, message: str, *, is_fatal: bool = False) -> dict[str, Any]:
    """A gate that failed without a number."""
    return {
        "name": name,
        "passed": False,
        "value": None,
        "threshold": None,
        "message": message,
        "is_fatal": is_fatal,
    }


def results_of(session: Session, protocol: Protocol, suite: Suite) -> list[RecipeResults]:
    """Every recipe with a proxy evaluation that is not cancelled; replicates are kept out of the ranking."""
    query = (
        select(Evaluation, Run)
        .join(EvaluationRun, EvaluationRun.evaluation_id == Evaluation.id)
        .join(Run, Run.id == EvaluationRun.run_id)
        .where(
            Evaluation.kind == "proxy",
            Evaluation.protocol_id == protocol.id,
            Evaluation.suite_id == suite.id,
            Evaluation.replicate == 0,
            Evaluation.state != State.CANCELLED,
        )
        .order_by(Evaluation.created_at, Run.seed, Run.id)
        .options(*LIGHT)
    )
    scored = select(RunScore).where(RunScore.suite_id == suite.id).options(defer(RunScore.sets))
    scores = {score.run_id: score for score in session.scalars(scored)}
    found: dict[str, RecipeResults] = {}
    seen: set[str] = set()
    for evaluation, run in session.execute(query):
        results = found.setdefault(
            evaluation.recipe_id, RecipeResults(recipe=evaluation.recipe, evaluation_id=evaluation.id)
        )
        if run.id in seen:
            continue
        seen.add(run.id)
        if run.state == State.FINISHED and run.id in scores:
            results.scored.append((run, scores[run.id]))
        elif run.state == State.FAILED:
            results.failed.append(run)
    for results in found.values():  # of several evaluations, whichever came first
        results.scored.sort(key=lambda pair: pair[0].seed)
    return [results for results in found.values() if results.scored or results.failed]


def results_with_losses(session: Session, settings: Settings, protocol: Protocol, suite: Suite) -> list[RecipeResults]:
    """`results_of`, with the scores whose losses are gone set aside."""
    results = results_of(session, protocol, suite)
    folder = settings.artifact_dir
    for part in results:
        _set_lost_aside(folder, part)
    return results


def _set_lost_aside(folder: Path, part: RecipeResults) -> None:
    """A file that is gone costs its own run's evidence, and keeps nobody else from being ranked."""
    lost = [pair for pair in part.scored if not (folder / pair[1].artifact).exists()]
    part.lost.extend(lost)
    part.scored[:] = [pair for pair in part.scored if pair not in lost]
