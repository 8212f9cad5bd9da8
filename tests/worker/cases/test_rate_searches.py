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
from worker.jobs import JobKind
from worker.rate_searches import SearchRequest
from worker.recipes import parse_recipe, store_recipe
from worker.reconciler import reconcile
from worker.runs import Score, record_bf16_difference, record_score
from worker.store.models import Evaluation, Job, Protocol, RateSearch, Recipe, Run, RunScore
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


def runs_of(session: Session, row: RateSearch, *, is_shuffled: bool = False) -> list[Run]:
    """Of the ladder, or of the controls."""
    ids = [point["evaluation"] for point in row.points if point["is_shuffled"] is is_shuffled]
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


def conclude(session: Session, bureau: Bureau, row: RateSearch, cost: float = 0.5) -> bool:
    """As a worker does it that also does what the search asks for meanwhile."""
    while not rate_searches.conclude_search(session, bureau.settings, row.id):
        if not rescore(session, row) and not end_control(session, bureau, row, cost):
            return False
    return True


def end_control(session: Session, bureau: Bureau, row: RateSearch, cost: float = 0.5) -> bool:
    """Ends runs on shuffled tokens by hand, with φ so much lower; False if none waits."""
    waiting = [run for run in runs_of(session, row, is_shuffled=True) if not run.state.is_final]
    if waiting:
        end(session, bureau, waiting, row.suite_id, lambda run: learned(run) | {"progress": 0.7 - cost})
    return bool(waiting)


def rescore(session: Session, row: RateSearch, difference: float = 1e-5) -> bool:
    """Ends the search's job by hand; False if none waits."""
    job = None if row.rescoring_id is None else session.get_one(Job, row.rescoring_id)
    if job is None or job.state.is_final:
        return False
    for run_id in job.payload["run_ids"]:
        record_bf16_difference(session, run_id, row.suite_id, difference)
    job.state = State.FINISHED
    session.flush()
    return True


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
    conclude(session, bureau, row)
    before = count(session, Run)
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
    assert row.report["thresholds"]["progress"] == 0.65
    verdicts = [{gate["name"]: gate["verdict"] for gate in rate["gates"]} for rate in row.report["rates"]]
    assert [found["shuffled tokens"] for found in verdicts] == ["passed", *["not measured"] * 3]
    assert not any("measured" in remark for remark in row.report["remarks"])  # elsewhere it changes nothing
    levels = row.report["equal_travel"]
    assert [level["travel"] for level in levels] == [pytest.approx(8 * rate) for rate in RATES]
    known = [[loss is not None for loss in level["losses"].values()] for level in levels]
    assert known == [[rate >= level for rate in RATES] for level in RATES]  # no rate goes further than it went


def test_the_rate_that_would_be_chosen_gets_a_control_on_shuffled_tokens(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    assert not rate_searches.conclude_search(session, bureau.settings, row.id)
    assert runs_of(session, row, is_shuffled=True) == []  # not before the other gates are known
    rescore(session, row)
    assert not rate_searches.conclude_search(session, bureau.settings, row.id)
    control = runs_of(session, row, is_shuffled=True)
    assert sorted((run.learning_rate, run.seed, run.recipe.name) for run in control) == [
        (1e-4, 0, name) for name in sorted(ANCHORS)
    ]
    assert all(run.protocol.spec["shuffled_tokens"] for run in control)
    assert control[0].cohort_key != row.protocol.cohort_key
    assert row.state == State.RUNNING
    end_control(session, bureau, row, cost=0.4)
    assert conclude(session, bureau, row)
    assert row.report is not None
    costs = [one["shuffled_cost"] for one in row.report["evidence"] if (one["rate"], one["seed"]) == (1e-4, 0)]
    assert costs == [{"held": pytest.approx(0.4)}] * len(ANCHORS)
    assert row.found is not None
    assert not row.found.spec["shuffled_tokens"]


def test_where_shuffling_costs_too_little_the_next_higher_rate_is_looked_at(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    rescore(session, row)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    end_control(session, bureau, row, cost=0.1)
    assert not rate_searches.conclude_search(session, bureau.settings, row.id)
    assert {run.learning_rate for run in runs_of(session, row, is_shuffled=True)} == {1e-4, 3e-4}
    end_control(session, bureau, row, cost=0.4)
    assert conclude(session, bureau, row)
    assert row.report is not None
    assert row.report["rate"] == 3e-4


def test_if_shuffling_costs_too_little_everywhere_nothing_passes(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    assert conclude(session, bureau, row, cost=0.1)
    assert row.report is not None
    assert (row.found, row.report["outcome"], row.report["failing"]) == (None, "nothing passes", ["shuffled tokens"])
    assert "shuffled tokens. What shuffling costs grows with Σ rates" in row.report["conclusion"]


def test_a_control_that_failed_fails_the_search_and_is_tried_again(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    rescore(session, row)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    control = runs_of(session, row, is_shuffled=True)
    end(session, bureau, control[1:], row.suite_id)
    control[0].state, control[0].error = State.FAILED, "no disk space"
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [control[0].id])
    assert conclude(session, bureau, row)
    assert row.state == State.FAILED
    again, _ = ask(session, bureau)
    assert (again.id, again.state, control[0].state) == (row.id, State.RUNNING, State.QUEUED)
    assert conclude(session, bureau, again)
    session.refresh(again)
    assert again.report is not None


def test_all_runs_are_scored_with_coarser_logits_before_the_rule_is_applied(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs, row.suite_id, lambda run: None if run.learning_rate > 2e-3 else learned(run))
    assert not rate_searches.conclude_search(session, bureau.settings, row.id)
    assert row.rescoring_id is not None
    payload = session.get_one(Job, row.rescoring_id).payload
    assert set(payload["run_ids"]) == {run.id for run in runs if run.state == State.FINISHED}
    assert payload["run_id"] in payload["run_ids"]
    assert not rate_searches.conclude_search(session, bureau.settings, row.id)  # the job waits
    assert rescore(session, row, difference=-1e-4)
    assert conclude(session, bureau, row)
    assert row.report is not None
    known = {one["rescore_difference"] for one in row.report["evidence"] if one["score"] is not None}
    assert known == {1e-4}
    gate = row.report["rates"][0]["gates"][-1]
    assert (gate["name"], gate["verdict"]) == ("bf16 re-score", "passed")


def test_scores_that_coarser_logits_move_too_far_stop_a_rate(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    rescore(session, row, difference=0.01)
    conclude(session, bureau, row)
    assert row.report is not None
    assert row.report["failing"] == ["bf16 re-score"]


def test_what_was_measured_is_not_measured_again(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    conclude(session, bureau, row)
    wider, _ = ask(session, bureau, rates=(*RATES, 1e-2))
    new = [run for run in runs_of(session, wider) if run.state == State.QUEUED]
    end(session, bureau, new, row.suite_id)
    rate_searches.conclude_search(session, bureau.settings, wider.id)
    assert wider.rescoring_id is not None
    assert set(session.get_one(Job, wider.rescoring_id).payload["run_ids"]) == {run.id for run in new}


def test_a_rescoring_that_failed_leaves_the_gate_unmeasured(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    assert row.rescoring_id is not None
    job = session.get_one(Job, row.rescoring_id)
    job.state, job.error = State.FAILED, "a checkpoint is gone"
    session.flush()
    assert conclude(session, bureau, row)
    assert row.report is not None
    assert row.report["rates"][0]["gates"][-1]["verdict"] == "not measured"


def test_if_nothing_passes_no_version_is_made(session: Session, bureau: Bureau) -> None:
    def little(run: Run) -> dict[str, Any]:
        return learned(run) | {"progress": 0.45 + 0.2 * math.log10(run.learning_rate / 1e-4)}

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


def test_a_run_that_was_not_scored_is_no_divergence(session: Session, bureau: Bureau) -> None:
    """It would stop its rate, and move the optimum, for what a disk did."""
    row, _ = ask(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs, row.suite_id)
    session.delete(session.get_one(RunScore, (runs[0].id, row.suite_id)))
    session.flush()
    assert conclude(session, bureau, row)
    assert (row.state, row.report) == (State.FAILED, None)
    assert row.error is not None
    assert runs[0].id in row.error
    assert "was trained, but not scored on this suite; send the search again to go on" in row.error


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
    assert row.estimate["runs_to_train"] == len(runs_of(session, row)) + len(ANCHORS)  # and a control
    assert row.estimate["device_seconds"] is None
    end(session, bureau, runs_of(session, row), row.suite_id)
    before = count(session, Run)
    wider, _ = ask(session, bureau, rates=(*RATES, 1e-2))
    assert (wider.estimate["runs"], wider.estimate["runs_to_train"]) == (33, 9)
    assert count(session, Run) == before + 6
    tokens = 9 * bureau.protocol().token_budget
    assert wider.estimate["tokens"] == tokens
    assert wider.estimate["device_seconds"] == pytest.approx(tokens / 1000)


def test_a_search_whose_runs_are_all_there_is_concluded_at_once(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    conclude(session, bureau, row)
    cost = rate_searches.estimate_search(
        session, SearchRequest(protocol="small", suite="suite", anchors=ANCHORS, rates=(*RATES, 1e-2), seeds=SEEDS)
    )
    assert cost["runs_to_train"] == 6  # the control is there
    narrow, is_new = ask(session, bureau, rates=(1e-4, 1e-3, 3e-3))
    assert (is_new, narrow.state) == (True, State.FINISHED)
    assert narrow.report is not None
    assert narrow.report["rate"] == 1e-4


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
        assert row.id not in reconcile(bureau.sessions, bureau.settings).concluded  # it asks for more
        with session_scope(bureau.sessions) as session:
            assert rescore(session, session.get_one(RateSearch, row.id))
        assert row.id not in reconcile(bureau.sessions, bureau.settings).concluded
        with session_scope(bureau.sessions) as session:
            assert end_control(session, bureau, session.get_one(RateSearch, row.id))
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
        for job in session.scalars(select(Job).where(Job.kind == JobKind.RESCORE_RUNS)):
            session.delete(job)
        for protocol in session.scalars(select(Protocol)):
            if protocol.name != "small" or protocol.version > 1:
                session.delete(protocol)
