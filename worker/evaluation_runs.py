"""The runs that evaluations ask for: found or made, locked, queued again and read. Nothing here trains."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import NotFoundError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.protocols import fingerprint_run
from proxy.seeds import seeds_from
from worker.lookup import find_or_add, in_parts
from worker.store.models import Evaluation, Protocol, Recipe, Run, RunScore, Suite
from worker.store.states import State


def needed_runs(session: Session, evaluation: Evaluation) -> Sequence[Run]:
    """One run a rate and seed, found or made. Rates of one seed form a sweep where there is more than one."""
    is_sweep = len(evaluation.learning_rates) > 1
    sweeps: dict[str, str | None] = {}
    for seed in seeds_from(evaluation.first_seed, evaluation.seeds):
        for rate in evaluation.learning_rates:
            sweep = f"{evaluation.id[4:]}-{seed}" if is_sweep else None
            sweeps[_find_or_make_run(session, evaluation, rate, seed, sweep).id] = sweep
    runs = lock_runs(session, sweeps)
    for run in runs:
        if is_worth_another_try(run):
            requeue(run)
            run.sweep = sweeps[run.id]  # it is compared with the rates that are trained beside it now
    return runs


def lock_runs(session: Session, run_ids: Iterable[str]) -> Sequence[Run]:
    """The runs as they are now, unchanged by anybody until the transaction ends: whoever cancels them, or stores
    their end, comes before or after. Locked in the order of their ids, as everywhere."""
    locked = select(Run).order_by(Run.id).with_for_update().execution_options(populate_existing=True)
    return [run for part in in_parts(run_ids) for run in session.scalars(locked.where(Run.id.in_(part)))]


def _find_or_make_run(session: Session, evaluation: Evaluation, rate: float, seed: int, sweep: str | None) -> Run:
    protocol, recipe = evaluation.protocol, evaluation.recipe
    content = run_content(recipe, protocol, rate, seed, evaluation.replicate, is_sweep=sweep is not None)

    def find() -> Run | None:
        return session.scalars(select(Run).where(Run.fingerprint == content)).first()

    def make() -> Run:
        return Run(
            fingerprint=content,
            recipe_id=recipe.id,
            protocol_id=protocol.id,
            cohort_key=protocol.cohort_key,
            sweep=sweep,
            learning_rate=rate,
            seed=seed,
            replicate=evaluation.replicate,
        )

    return find_or_add(session, find, make)[0]


def run_content(recipe: Recipe, protocol: Protocol, rate: float, seed: int, replicate: int, *, is_sweep: bool) -> str:
    return fingerprint_run(
        recipe_fingerprint=recipe.fingerprint,
        protocol=ProtocolSpec.model_validate(protocol.spec),
        learning_rate=rate,
        seed=seed,
        replicate=replicate,
        early_stopping=is_sweep,
    )


def is_worth_another_try(run: Run) -> bool:
    """Cancelled, or failed for a reason that may have gone. A loss that diverged would diverge again: same data, same
    seeds, same rate."""
    return run.state == State.CANCELLED or (run.state == State.FAILED and not has_diverged(run))


def has_diverged(run: Run) -> bool:
    """True if it failed because its loss was no number any more."""
    return run.state == State.FAILED and (run.result or {}).get("failed_step") is not None


def requeue(run: Run) -> None:
    """From the first attempt; its row is the same run."""
    run.state, run.attempt, run.error, run.finished_at, run.progress = State.QUEUED, 0, None, None, {}


def get_run(session: Session, run_id: str) -> Run:
    """By id. NotFoundError if there is none."""
    row = session.get(Run, run_id)
    if row is None:
        raise NotFoundError(f"no run {run_id!r}")
    return row


def scores_of_runs(
    session: Session, run_ids: Sequence[str], suite_id: str | None = None
) -> dict[str, list[tuple[RunScore, Suite]]]:
    """Scores and their suites by run id, narrowed to one suite where asked."""
    query = select(RunScore, Suite).join(Suite, Suite.id == RunScore.suite_id).where(RunScore.run_id.in_(run_ids))
    if suite_id is not None:
        query = query.where(RunScore.suite_id == suite_id)
    found: dict[str, list[tuple[RunScore, Suite]]] = {}
    for score, suite in session.execute(query.order_by(RunScore.created_at)):
        found.setdefault(score.run_id, []).append((score, suite))
    return found
