"""Evaluations: submitted, followed, cancelled and concluded. The same request twice is the same evaluation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from proxy.fingerprints import fingerprint
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from proxy.seeds import require_first_seed, seeds_from
from worker.evaluation_runs import is_worth_another_try, lock_runs, needed_runs, requeue, run_content
from worker.lookup import find_or_add, in_parts
from worker.parsing import pointing_into
from worker.protocols import find_protocol
from worker.recipes import recipe_of
from worker.retirements import require_live, retirement_problems
from worker.scorings import has_failed_scoring, queue_scorings, unscored_runs
from worker.settings import Settings
from worker.store.models import Evaluation, EvaluationRun, Protocol, Recipe, Run, RunScore, Suite, utc_now
from worker.store.states import State
from worker.submissions import check_budget, check_leaks, check_tokenizers
from worker.suites import find_suite

MOST_SEEDS = 100
KINDS = ("proxy", "reference")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for: `seeds` runs a rate, of the seeds from `first_seed` on. `learning_rates` belong to
    references; a proxy trains at its protocol's own rate."""

    recipe: str | dict[str, Any]
    protocol: str
    suite: str
    kind: str = "proxy"
    seeds: int = 1
    first_seed: int = 0
    learning_rates: tuple[float, ...] = field(default=())
    replicate: int = 0


def submit_evaluation(
    session: Session,
    settings: Settings,
    request: Request,
    *,
    concludes: bool = True,
    checks_data: bool = True,
    is_requested: bool = False,
) -> tuple[Evaluation, bool]:
    """The evaluation and True if it is new. Everything that is surely wrong is refused before a row is written.

    Who submits many at once says `concludes=False` and concludes them together: one ranking instead of one a recipe.
    Who has submitted the recipe at another rate of the same protocol says `checks_data=False`: its tokens and leaks are
    the same. Who asks for the evaluation by itself says `is_requested=True`: no rate search, replication or study that
    is cancelled takes it along (worker.shared_evaluations).
    """
    _check_numbers(request)
    recipe, protocol, suite, rates = _resolve(session, request)
    key = _request_key(request, recipe, protocol, suite, rates)

    def find() -> Evaluation | None:
        return session.scalars(select(Evaluation).where(Evaluation.request_key == key)).first()

    if (known := find()) is not None:
        return _revived(session, settings, known, is_requested=is_requested), False

    def make() -> Evaluation:
        return Evaluation(
            kind=request.kind,
            recipe=recipe,
            protocol=protocol,
            suite=suite,
            seeds=request.seeds,
            first_seed=request.first_seed,
            learning_rates=rates,
            replicate=request.replicate,
            request_key=key,
            is_requested=is_requested,
        )

    _check_possible(session, settings, request, rates, recipe, protocol, suite, checks_data=checks_data)
    evaluation, is_new = find_or_add(session, find, make)
    if is_new:
        for run in needed_runs(session, evaluation):
            session.add(EvaluationRun(evaluation_id=evaluation.id, run_id=run.id))
        session.flush()
        session.expire(evaluation, ["runs"])
        queue_scorings(session, evaluation, is_retry=True)
        if concludes:
            _conclude(session, settings, [evaluation])
    elif is_requested:  # made by somebody else at this moment
        _revived(session, settings, evaluation, is_requested=True)
    return evaluation, is_new


def lock_requested(session: Session, requests: Sequence[Request]) -> Sequence[Evaluation]:
    """What is there of these requests: evaluations and runs, locked in the order of their ids as everywhere.

    Who submits several in one transaction does this first: two that submit them in different orders, or cancel them,
    would else wait for each other."""
    found = [(request, *_resolve(session, request)) for request in requests]
    keys = {_request_key(*one) for one in found}
    known = lock_evaluations(
        session, session.scalars(select(Evaluation.id).where(Evaluation.request_key.in_(keys))).all()
    )
    contents = {
        content
        for request, recipe, protocol, _, rates in found
        for content in _contents(request, recipe, protocol, rates)
    }
    ids = (session.scalars(select(Run.id).where(Run.fingerprint.in_(part))) for part in in_parts(contents))
    lock_runs(session, chain.from_iterable(ids))
    return known


def _resolve(session: Session, request: Request) -> tuple[Recipe, Protocol, Suite, list[float]]:
    """Rows of what the request names, and the learning rates."""
    protocol = find_protocol(session, request.protocol)
    suite = find_suite(session, request.suite)
    recipe = recipe_of(session, request.recipe)
    return recipe, protocol, suite, sorted(set(request.learning_rates)) or [protocol.learning_rate]


def _request_key(request: Request, recipe: Recipe, protocol: Protocol, suite: Suite, rates: Sequence[float]) -> str:
    """Seeds from 0 on are not said: requests from before there were others keep their keys."""
    first = [request.first_seed] if request.first_seed else []
    asked = [request.kind, request.seeds, list(rates), request.replicate, *first]
    return fingerprint([recipe.fingerprint, protocol.id, suite.id, *asked])


def _contents(request: Request, recipe: Recipe, protocol: Protocol, rates: Sequence[float]) -> set[str]:
    """Fingerprints of its runs."""
    return {
        run_content(recipe, protocol, rate, seed, request.replicate, is_sweep=len(rates) > 1)
        for rate in rates
        for seed in seeds_from(request.first_seed, request.seeds)
    }


def _check_possible(  # noqa: PLR0913 - all that a submission is made of
    session: Session,
    settings: Settings,
    request: Request,
    rates: Sequence[float],
    recipe: Recipe,
    protocol: Protocol,
    suite: Suite,
    *,
    checks_data: bool,
) -> None:
    """Refuses what cannot be trained or scored. What needs a retired corpus is accepted only where every run is there
    and scored, so that nothing is to be done."""
    if problems := retirement_problems(session, recipe, protocol, suite):
        if not _are_measured(session, _contents(request, recipe, protocol, rates), suite):
            require_live(problems)
        return
    if not checks_data:
        return
    recipe_spec, protocol_spec = RecipeSpec.model_validate(recipe.spec), ProtocolSpec.model_validate(protocol.spec)
    check_tokenizers(session, protocol_spec, suite)
    with pointing_into("/recipe"):
        check_budget(session, settings, recipe_spec, protocol_spec)
        check_leaks(session, settings, recipe_spec, suite)


def _are_measured(session: Session, contents: set[str], suite: Suite) -> bool:
    """True if all these runs have ended for good, and those that finished are scored on the suite."""
    runs = session.scalars(select(Run).where(Run.fingerprint.in_(contents))).all()
    return len(runs) == len(contents) and all(
        run.state == State.STOPPED
        or (run.state == State.FINISHED and session.get(RunScore, (run.id, suite.id)) is not None)
        for run in runs
    )


def _check_numbers(request: Request) -> None:
    if request.kind not in KINDS:
        raise InvalidInputError.at("/kind", request.kind, f"must be one of {', '.join(KINDS)}")
    if not 1 <= request.seeds <= MOST_SEEDS:
        raise InvalidInputError.at("/seeds", request.seeds, f"must be between 1 and {MOST_SEEDS}")
    require_first_seed(request.first_seed)
    if request.replicate < 0:
        raise InvalidInputError.at("/replicate", request.replicate, "must not be negative")
    if request.kind == "proxy" and request.learning_rates:
        raise InvalidInputError.at(
            "/learning_rates", list(request.learning_rates), "a proxy trains at its protocol's rate; leave this out"
        )
    for index, rate in enumerate(request.learning_rates):
        if not 0 < rate <= 1:
            raise InvalidInputError.at(f"/learning_rates/{index}", rate, "must be above 0 and at most 1")


def _revived(session: Session, settings: Settings, evaluation: Evaluation, *, is_requested: bool) -> Evaluation:
    """The same request again: what was cancelled or broke is queued again, and what is known is left alone."""
    lock_evaluations(session, [evaluation.id])
    if not evaluation.state.is_final:
        evaluation.is_requested = evaluation.is_requested or is_requested
        return evaluation
    runs = [run for run in lock_runs(session, [run.id for run in evaluation.runs]) if is_worth_another_try(run)]
    if evaluation.state != State.CANCELLED and not runs and not unscored_runs(session, evaluation):
        return evaluation
    if runs or unscored_runs(session, evaluation):
        require_live(retirement_problems(session, evaluation.recipe, evaluation.protocol, evaluation.suite))
    evaluation.state, evaluation.finished_at, evaluation.is_requested = State.QUEUED, None, is_requested
    for run in runs:
        requeue(run)
    queue_scorings(session, evaluation, is_retry=True)
    _conclude(session, settings, [evaluation])
    return evaluation


def conclude_evaluations(session: Session, settings: Settings, ids: Sequence[str]) -> None:
    """Refreshes them and, where one became final, ranks again, each ranking once."""
    _conclude(session, settings, lock_evaluations(session, ids))


def conclude_runs(session: Session, settings: Settings, run_ids: Iterable[str]) -> None:
    """Refreshes the evaluations that contain these runs and, where one became final, ranks again."""
    containing = select(EvaluationRun.evaluation_id).where(EvaluationRun.run_id.in_(list(run_ids)))
    evaluations = lock_evaluations(session, session.scalars(containing.distinct()).all())
    for evaluation in evaluations:
        if evaluation.state != State.CANCELLED:
            queue_scorings(session, evaluation, is_retry=False)
    _conclude(session, settings, evaluations)


def lock_evaluations(session: Session, ids: Sequence[str]) -> Sequence[Evaluation]:
    """Two that conclude the same evaluation do so one after the other: the later one sees all runs that ended."""
    locked = select(Evaluation).where(Evaluation.id.in_(ids)).order_by(Evaluation.id)
    locked = locked.with_for_update(key_share=True)  # a reference may be registered that names it
    return session.scalars(locked.execution_options(populate_existing=True)).all()


def _conclude(session: Session, settings: Settings, evaluations: Sequence[Evaluation]) -> None:
    """Ranks each (protocol, suite) that gained a final proxy evaluation once, by suite: ranking locks suites."""
    from worker.agreement import update_agreements
    from worker.leaderboards import update_leaderboards

    session.flush()
    changed: set[tuple[str, str]] = set()
    for evaluation in evaluations:
        if refresh_evaluation_state(session, evaluation) and evaluation.kind == "proxy":
            changed.add((evaluation.suite_id, evaluation.protocol_id))
    session.flush()
    for suite_id, protocol_id in sorted(changed):
        update_leaderboards(session, settings, protocol_id, suite_id)
        update_agreements(session, settings, protocol_id, suite_id)


def refresh_evaluation_state(session: Session, evaluation: Evaluation) -> bool:
    """Derives the state from the runs and their scores; True if it just became final."""
    if evaluation.state == State.CANCELLED:
        return False
    was_final = evaluation.state.is_final
    evaluation.state = _derived_state(session, evaluation)
    is_final = evaluation.state.is_final
    if is_final and evaluation.finished_at is None:
        evaluation.finished_at = utc_now()
    return is_final and not was_final


def _derived_state(session: Session, evaluation: Evaluation) -> State:
    states = [run.state for run in evaluation.runs]
    if any(not state.is_final for state in states):
        return State.QUEUED if all(state == State.QUEUED for state in states) else State.RUNNING
    if all(state == State.CANCELLED for state in states):
        return State.CANCELLED
    if unscored_runs(session, evaluation):
        return State.FAILED if has_failed_scoring(session, evaluation) else State.RUNNING
    return State.FINISHED if State.FINISHED in states else State.FAILED


def get_evaluation(session: Session, evaluation_id: str) -> Evaluation:
    """By id. NotFoundError if there is none."""
    row = session.get(Evaluation, evaluation_id)
    if row is None:
        raise NotFoundError(f"no evaluation {evaluation_id!r}")
    return row


def has_seeds(seeds: range) -> ColumnElement[bool]:
    """Whether an evaluation has these, whatever others it has too: one with more seeds may have begun elsewhere."""
    return and_(Evaluation.first_seed <= seeds.start, Evaluation.first_seed + Evaluation.seeds >= seeds.stop)


def list_evaluations(
    session: Session, *, state: State | None = None, protocol: str | None = None, kind: str | None = None
) -> Sequence[Evaluation]:
    """Newest first, narrowed where asked; `protocol` is any reference to one."""
    query = select(Evaluation)
    if state is not None:
        query = query.where(Evaluation.state == state)
    if kind is not None:
        query = query.where(Evaluation.kind == kind)
    if protocol is not None:
        query = query.where(Evaluation.protocol_id == find_protocol(session, protocol).id)
    return session.scalars(query.order_by(Evaluation.created_at.desc(), Evaluation.id)).all()


def cancel_evaluation(session: Session, evaluation_id: str) -> Evaluation:
    """Cancels it and those of its runs that no other live evaluation needs. A final evaluation is left alone."""
    evaluation = get_evaluation(session, evaluation_id)
    lock_evaluations(session, [evaluation_id])
    if evaluation.state.is_final:
        return evaluation
    evaluation.state, evaluation.finished_at = State.CANCELLED, utc_now()
    session.flush()
    # A submission that took up one of the runs meanwhile holds its lock, and is seen by the next statement.
    runs = lock_runs(session, [run.id for run in evaluation.runs])
    needed_elsewhere = (
        select(EvaluationRun.run_id)
        .join(Evaluation, Evaluation.id == EvaluationRun.evaluation_id)
        .where(Evaluation.state.in_((State.QUEUED, State.RUNNING)))
    )
    session.execute(
        update(Run)
        .where(
            Run.id.in_([run.id for run in runs]),
            Run.state.in_((State.QUEUED, State.RUNNING)),
            Run.id.not_in(needed_elsewhere),
        )
        .values(state=State.CANCELLED, finished_at=utc_now(), lease_owner=None, lease_expires_at=None),
        execution_options={"synchronize_session": "fetch"},
    )
    return evaluation
