"""Rate searches as rows: submitted, shared, cancelled, concluded by whoever comes last. Runs are ended by hand."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.protocols import fingerprint_run
from tests.worker.cases.boards import DOCUMENTS
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import evaluations, rate_searches
from worker.artifacts import SetLosses, new_losses_path, relative_path, write_losses
from worker.rate_searches import SearchRequest
from worker.recipes import parse_recipe, store_recipe
from worker.reconciler import reconcile
from worker.runs import Score, record_score
from worker.store.models import Evaluation, Protocol, RateSearch, Recipe, Run, RunScore
from worker.store.sessions import session_scope
from worker.store.states import State

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
SEEDS = 2
BEST = 1.2e-3
ANCHORS = ("mostly-web", "even", "mostly-code")
Ending = Callable[[Run], dict[str, Any] | None]


def add_anchors(session: Session) -> tuple[str, ...]:
    for index, name in enumerate(ANCHORS):
        store_recipe(session, parse_recipe(recipe(name, web=3 - index, code=1 + index)))
    return ANCHORS


def ask(session: Session, bureau: Bureau, **changes: Any) -> tuple[RateSearch, bool]:
    add_anchors(session)
    said: dict[str, Any] = {"protocol": "small", "suite": "suite", "anchors": ANCHORS, "rates": RATES, "seeds": SEEDS}
    return rate_searches.submit_search(session, bureau.settings, SearchRequest(**said | changes))


def runs_of(session: Session, row: RateSearch) -> list[Run]:
    ids = [point["evaluation"] for point in row.points]
    found = session.scalars(select(Evaluation).where(Evaluation.id.in_(ids)).order_by(Evaluation.id))
    return [run for evaluation in found for run in evaluation.runs]


def learned(run: Run) -> dict[str, Any]:
    """A parabola whose vertex is `BEST`, anchors .05 apart, a little noise, φ well above its threshold."""
    noise = np.random.default_rng([run.seed, ANCHORS.index(run.recipe.name), round(1e6 * run.learning_rate)])
    score = 3 + 0.05 * ANCHORS.index(run.recipe.name) + 0.1 * math.log(run.learning_rate / BEST) ** 2
    return {"score": score + noise.normal(0, 0.002), "progress": 0.7}


def end(session: Session, bureau: Bureau, runs: list[Run], suite_id: str, ending: Ending = learned) -> None:
    """Every run has ended as `ending` says; None: its loss diverged. All have one file of losses: none is read here."""
    path = new_losses_path(bureau.settings, runs[0].id, suite_id)
    clusters = np.arange(DOCUMENTS) // 3
    losses = SetLosses(nats=np.full(DOCUMENTS, 100.0), text_bytes=np.full(DOCUMENTS, 150), clusters=clusters)
    write_losses(path, {"held": losses})
    artifact = relative_path(bureau.settings, path)
    for run in runs:
        found = ending(run)
        run.result = result_of(run, suite_id, found)
        if found is None:
            run.state, run.error = State.FAILED, "the loss was nan at step 3"
            continue
        run.state, run.checkpoint = State.FINISHED, "checkpoints/none.safetensors"
        score = Score(suite_id=suite_id, score=found["score"], sets={"held": 1.0}, gates=[], artifact=artifact)
        record_score(session, run.id, score)
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [run.id for run in runs])


def result_of(run: Run, suite_id: str, found: dict[str, Any] | None) -> dict[str, Any]:
    """As a child says it, as far as a search reads it: H_uni is 8 and H_bi 6 nats."""
    if found is None:
        return {"failed_step": 3, "tokens_per_second": 1000.0, "curve": []}
    part = {"bits_per_byte": 1.0, "tokens": 1, "text_bytes": 1, "documents": 1, "unigram_nats": 8.0, "bigram_nats": 6.0}
    sets = {"held": part | {"nats_per_token": 8.0 - 2 * found["progress"]}}
    curve = [[step, 5.0, 1.0, run.learning_rate, 1e-3, 0.0, 1000.0] for step in range(8)]
    return {"failed_step": None, "tokens_per_second": 1000.0, "curve": curve, "suites": {suite_id: {"sets": sets}}}


def conclude(session: Session, bureau: Bureau, row: RateSearch) -> bool:
    return rate_searches.conclude_search(session, bureau.settings, row.id)


def count(session: Session, model: type) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def test_the_ladder_is_ordinary_evaluations_of_one_cohort(session: Session, bureau: Bureau) -> None:
    row, is_new = ask(session, bureau)
    assert (is_new, row.state) == (True, State.RUNNING)
    runs = runs_of(session, row)
    assert len(runs) == len(RATES) * len(ANCHORS) * SEEDS
    assert {run.cohort_key for run in runs} == {row.protocol.cohort_key}
    assert {run.learning_rate for run in runs} == set(RATES)
    assert {run.sweep for run in runs} == {None}  # no rate is given up early
    assert rate_searches.progress_of(session, row)["queued"] == len(runs)
    protocols = session.scalars(select(Protocol).where(Protocol.name.like("small-at-%"))).all()
    assert sorted(protocol.learning_rate for protocol in protocols) == list(RATES)


def test_what_passes_becomes_the_protocols_next_version(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    assert conclude(session, bureau, row)
    assert (row.state, row.error) == (State.FINISHED, None)
    assert row.report is not None
    assert (row.report["outcome"], row.report["rate"]) == ("chosen", 1e-4)
    assert row.report["optimum"] == pytest.approx(BEST, rel=0.05)
    assert row.report["travel_steps"] == pytest.approx(8)
    assert row.found is not None
    spec = ProtocolSpec.model_validate(row.found.spec)
    assert (row.found.name, row.found.version) == ("small", 2)
    assert spec.learning_rate == pytest.approx(1e-4, rel=1e-12)
    assert spec.standard_rate == pytest.approx(BEST, rel=0.05)
    degrees = sum(anchor.degrees_of_freedom for anchor in spec.anchors)
    pooled = sum(anchor.variance * anchor.degrees_of_freedom for anchor in spec.anchors) / degrees
    assert degrees == pytest.approx(2)
    assert 0.0004 < math.sqrt(pooled) < 0.006


def test_the_new_version_trains_nothing_again(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    before = count(session, Run)
    conclude(session, bureau, row)
    assert row.found is not None
    again, is_new = submit(session, bureau, ANCHORS[0], protocol=row.found.id, seeds=SEEDS)
    assert (is_new, again.state, count(session, Run)) == (False, State.FINISHED, before)
    assert {run.learning_rate for run in again.runs} == {1e-4}


def test_a_new_versions_rate_names_the_same_runs_as_the_ladders(bureau: Bureau) -> None:
    """The rate is stored as standard × reduction: the product must name the run that was trained."""
    ladder = bureau.protocol(standard_rate=0.00071)
    for standard in (0.00214, 0.0031, 0.99999, 0.00213001):
        found = bureau.protocol(standard_rate=standard, reduction=0.00071 / standard)
        names = [
            fingerprint_run(recipe_fingerprint="r", protocol=one, learning_rate=one.learning_rate, seed=0)
            for one in (ladder, found)
        ]
        assert names[0] == names[1]


def test_the_report_keeps_all_that_it_was_decided_from(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    conclude(session, bureau, row)
    assert row.report is not None
    rows = row.report["evidence"]
    assert {one["run"] for one in rows} == {run.id for run in runs_of(session, row)}
    assert all(one["progress"] == {"held": pytest.approx(0.7)} for one in rows)
    assert rows[0]["update_ulps"] == pytest.approx(1e-3 * 2**23)
    assert set(row.report["names"].values()) == set(ANCHORS)
    assert row.report["thresholds"]["progress"] == 0.5
    gates = {gate["name"]: gate["verdict"] for gate in row.report["rates"][0]["gates"]}
    assert gates["shuffled tokens"] == "not measured"
    levels = row.report["equal_travel"]
    assert [level["travel"] for level in levels] == [pytest.approx(8 * rate) for rate in RATES]
    known = [[loss is not None for loss in level["losses"].values()] for level in levels]
    assert known == [[rate >= level for rate in RATES] for level in RATES]  # no rate goes further than it went


def test_if_nothing_passes_no_version_is_made(session: Session, bureau: Bureau) -> None:
    def little(run: Run) -> dict[str, Any]:
        return learned(run) | {"progress": 0.3 + 0.2 * math.log10(run.learning_rate / 1e-4)}

    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id, little)
    conclude(session, bureau, row)
    assert (row.state, row.found) == (State.FINISHED, None)
    assert row.report is not None
    assert row.report["outcome"] == "nothing passes"
    assert row.report["failing"] == ["progress"]
    budget = row.report["need"]["budgets"][0]
    assert (budget["rate"], budget["steps"]) == (3e-4, math.ceil(8 * 1e-3 / 3e-4))
    assert budget["seconds"] == pytest.approx(budget["tokens"] / 1000)
    assert session.scalars(select(Protocol).where(Protocol.name == "small")).all()[-1].version == 1


def test_a_run_that_diverged_is_evidence(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(
        session,
        bureau,
        runs_of(session, row),
        row.suite_id,
        lambda run: None if run.learning_rate > 2e-3 else learned(run),
    )
    conclude(session, bureau, row)
    assert row.report is not None
    assert row.report["rate"] == 1e-4
    assert row.report["rates"][-1]["score"] is None
    assert "mostly-web (seed 0)" in row.report["rates"][-1]["gates"][1]["message"]  # by name, not by id


def test_a_run_that_failed_for_another_reason_fails_the_search_and_sent_again_it_goes_on(
    session: Session, bureau: Bureau
) -> None:
    row, _ = ask(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs[1:], row.suite_id)
    runs[0].state, runs[0].error, runs[0].result = State.FAILED, "no disk space", None
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [runs[0].id])
    assert conclude(session, bureau, row)
    assert row.state == State.FAILED
    assert row.error is not None
    assert "no disk space" in row.error
    again, is_new = ask(session, bureau)
    assert (again.id, is_new, again.state, again.error) == (row.id, False, State.RUNNING, None)
    assert runs[0].state == State.QUEUED
    end(session, bureau, runs[:1], row.suite_id)
    assert conclude(session, bureau, row)
    assert row.state == State.FINISHED


def test_it_is_not_concluded_before_the_last_run(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs[1:], row.suite_id)
    assert not conclude(session, bureau, row)
    assert row.state == State.RUNNING
    end(session, bureau, runs[:1], row.suite_id)
    assert conclude(session, bureau, row)
    assert not conclude(session, bureau, row)  # once


def test_the_same_search_is_the_same_row_whatever_the_order(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    again, is_new = ask(session, bureau, anchors=ANCHORS[::-1], rates=RATES[::-1])
    assert (again.id, is_new) == (row.id, False)
    assert ask(session, bureau, seeds=3)[0].id != row.id


def test_finished_runs_are_reused_and_the_estimate_leaves_them_out(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    assert row.estimate["runs_to_train"] == len(runs_of(session, row))
    assert row.estimate["device_seconds"] is None
    end(session, bureau, runs_of(session, row), row.suite_id)
    before = count(session, Run)
    wider, _ = ask(session, bureau, rates=(*RATES, 1e-2))
    assert (wider.estimate["runs"], wider.estimate["runs_to_train"]) == (30, 6)
    assert count(session, Run) == before + 6
    tokens = 6 * bureau.protocol().token_budget
    assert wider.estimate["tokens"] == tokens
    assert wider.estimate["device_seconds"] == pytest.approx(tokens / 1000)


def test_a_search_whose_runs_are_all_there_is_concluded_at_once(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    narrow, is_new = ask(session, bureau, rates=RATES[1:])
    assert (is_new, narrow.state) == (True, State.FINISHED)
    assert narrow.report is not None
    assert narrow.report["rate"] == 3e-4


def test_another_budget_is_another_ladder(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau, steps=12)
    spec = session.get_one(Protocol, row.points[0]["protocol"]).spec
    assert (row.steps, spec["steps"]) == (12, 12)


def test_cancelling_ends_what_was_queued_for_it_alone(session: Session, bureau: Bureau) -> None:
    first, _ = ask(session, bureau, rates=RATES[:3])
    second, _ = ask(session, bureau, rates=RATES[1:])
    own, _ = submit(session, bureau, ANCHORS[0], protocol="small-at-0.0001", seeds=1)
    rate_searches.cancel_search(session, first.id)
    assert first.state == State.CANCELLED
    states = {(run.learning_rate, run.seed, run.recipe.name): run.state for run in runs_of(session, first)}
    assert states[1e-4, 1, "even"] == State.CANCELLED
    assert states[1e-4, 0, ANCHORS[0]] == State.QUEUED  # somebody else's evaluation needs it
    assert own.state == State.QUEUED
    assert {run.state for run in runs_of(session, second)} == {State.QUEUED}
    again, _ = ask(session, bureau, rates=RATES[:3])
    assert (again.id, again.state) == (first.id, State.RUNNING)
    assert {run.state for run in runs_of(session, again)} == {State.QUEUED}
    rate_searches.cancel_search(session, first.id)
    assert rate_searches.cancel_search(session, first.id).state == State.CANCELLED


def test_an_evaluation_that_somebody_cancels_fails_the_search(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    evaluations.cancel_evaluation(session, row.points[0]["evaluation"])
    end(session, bureau, [run for run in runs_of(session, row) if run.state == State.QUEUED], row.suite_id)
    assert conclude(session, bureau, row)
    assert row.state == State.FAILED
    assert row.error is not None
    assert "was cancelled" in row.error


def test_anchors_that_are_all_alike_fail_the_search_in_words(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(
        session,
        bureau,
        runs_of(session, row),
        row.suite_id,
        lambda run: {"score": 3.0 + run.learning_rate, "progress": 1},
    )
    conclude(session, bureau, row)
    assert row.state == State.FAILED
    assert row.error is not None
    assert "all alike" in row.error


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"rates": (1e-3,)}, "/rates"),
        ({"rates": (1e-3, 1e-3, 1e-3)}, "/rates"),
        ({"rates": (1e-3, 1e-2, 2.0)}, "/rates/2"),
        ({"rates": (1e-3, 1e-2, float("nan"))}, "/rates/2"),
        ({"anchors": ANCHORS[:2]}, "/anchors"),
        ({"anchors": (*ANCHORS, "even")}, "/anchors/3"),
        ({"anchors": (*ANCHORS, "nobody")}, "/anchors/3"),
        ({"seeds": 1}, "/seeds"),
        ({"protocol": "nobody"}, "/protocol"),
        ({"suite": "nobody"}, "/suite"),
        ({"steps": 10**9}, "/anchors"),
    ],
)
def test_a_search_that_cannot_be_is_refused_and_leaves_nothing(
    session: Session, bureau: Bureau, change: dict[str, Any], pointer: str
) -> None:
    add_anchors(session)
    rows = {model: count(session, model) for model in (RateSearch, Evaluation, Run, Protocol)}
    with pytest.raises(InvalidInputError) as refused, session.begin_nested():
        ask(session, bureau, **change)
    assert refused.value.problems[0].pointer == pointer
    assert {model: count(session, model) for model in rows} == rows


def test_without_rates_the_ladder_reaches_from_above_the_standard_rate_to_a_hundredth(
    session: Session, bureau: Bureau
) -> None:
    row, _ = ask(session, bureau, rates=())
    assert (min(row.rates), max(row.rates)) == (pytest.approx(1e-4), pytest.approx(4e-2))


def test_what_is_not_there_is_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError, match="rat_none"):
        rate_searches.get_search(session, "rat_none")


def test_the_reconciler_concludes_what_a_killed_worker_left(bureau: Bureau) -> None:
    """The last run's result is stored, and nobody came to conclude: the next look does, once."""
    with session_scope(bureau.sessions) as session:
        row, _ = ask(session, bureau)
        end(session, bureau, runs_of(session, row), row.suite_id)
    try:
        assert row.id in reconcile(bureau.sessions, bureau.settings).concluded
        with bureau.sessions() as session:
            found = session.get_one(RateSearch, row.id)
            assert (found.state, found.found is not None) == (State.FINISHED, True)
        assert row.id not in reconcile(bureau.sessions, bureau.settings).concluded
    finally:
        forget(bureau)


def forget(bureau: Bureau) -> None:
    """The module's other tests find what they expect."""
    from worker.store.models import EvaluationRun, Leaderboard

    with session_scope(bureau.sessions) as session:
        for model in (RateSearch, Leaderboard, EvaluationRun, RunScore, Evaluation, Run, Recipe):
            for row in session.scalars(select(model)):
                session.delete(row)
            session.flush()
        for protocol in session.scalars(select(Protocol)):
            if protocol.name != "small" or protocol.version > 1:
                session.delete(protocol)
