"""Rate searches as rows: submitted, shared, cancelled, concluded by whoever comes last. Runs are ended by hand."""

import math
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.protocols import fingerprint_run
from tests.worker.cases.boards import count
from tests.worker.cases.conftest import Bureau, submit
from tests.worker.cases.searches import (
    ANCHORS,
    BEST,
    RATES,
    SEEDS,
    add_anchors,
    ask,
    conclude,
    end,
    end_control,
    forget,
    learned,
    rescore,
    runs_of,
)
from worker import evaluations, rate_searches
from worker.rate_searches import SearchRequest
from worker.reconciler import reconcile
from worker.store.models import Evaluation, Protocol, RateSearch, Run, RunScore
from worker.store.sessions import session_scope
from worker.store.states import State


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
    assert all(one["progress"] == {"held": pytest.approx(0.85)} for one in rows)
    assert rows[0]["update_ulps"] == pytest.approx(1e-3 * 2**23)
    assert set(row.report["names"].values()) == set(ANCHORS)
    assert row.report["thresholds"]["progress"] == 0.8
    verdicts = [{gate["name"]: gate["verdict"] for gate in rate["gates"]} for rate in row.report["rates"]]
    assert [found["shuffled tokens"] for found in verdicts] == ["passed", *["not measured"] * 3]
    assert not any("measured" in remark for remark in row.report["remarks"])  # elsewhere it changes nothing
    levels = row.report["equal_travel"]
    assert [level["travel"] for level in levels] == [pytest.approx(8 * rate) for rate in RATES]
    known = [[loss is not None for loss in level["losses"].values()] for level in levels]
    assert known == [[rate >= level for rate in RATES] for level in RATES]  # no rate goes further than it went


def test_if_nothing_passes_no_version_is_made(session: Session, bureau: Bureau) -> None:
    def little(run: Run) -> dict[str, Any]:
        return learned(run) | {"progress": 0.6 + 0.2 * math.log10(run.learning_rate / 1e-4)}

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


def test_an_anchor_that_leaks_is_no_divergence(session: Session, bureau: Bureau) -> None:
    """It would stop every rate, and the advice would be to take lower ones."""
    row, _ = ask(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs, row.suite_id)
    score = session.get_one(RunScore, (runs[0].id, row.suite_id))
    score.gates = [gate_row("leak", "The training stream holds 30.0% of the documents of held.")]
    session.flush()
    assert conclude(session, bureau, row)
    assert (row.state, row.report) == (State.FAILED, None)
    assert row.error is not None
    assert f"of {runs[0].recipe.name} (rate" in row.error
    assert "fails the gate leak: The training stream holds 30.0% of the documents of held;" in row.error
    assert row.error.endswith("; take another anchor")  # sent again it would leak again


def test_a_loss_that_rose_is_evidence_like_one_that_broke_off(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs, row.suite_id)
    highest = next(run for run in runs if run.learning_rate == max(RATES))
    session.get_one(RunScore, (highest.id, row.suite_id)).gates = [gate_row("diverged", "The training loss rose.")]
    session.flush()
    assert conclude(session, bureau, row)
    assert row.report is not None
    assert row.report["rates"][-1]["score"] is None


def gate_row(name: str, message: str) -> dict[str, Any]:
    return {"name": name, "passed": False, "value": 0.3, "threshold": 0.1, "message": message, "is_fatal": True}


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


def test_the_same_words_are_the_same_search_also_once_it_has_made_a_version(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    conclude(session, bureau, row)
    assert row.found is not None
    again, is_new = ask(session, bureau)
    assert (again.id, is_new, again.state) == (row.id, False, State.FINISHED)
    by_number, is_new = ask(session, bureau, protocol="small@2")  # whoever says which version means it
    assert (is_new, by_number.protocol.version) == (True, 2)
    assert ask(session, bureau)[0].id == row.id


def test_other_seeds_are_another_ladder_with_a_control_and_a_version_of_their_own(
    session: Session, bureau: Bureau
) -> None:
    first, _ = ask(session, bureau)
    row, is_new = ask(session, bureau, first_seed=100)
    assert is_new
    assert {run.seed for run in runs_of(session, row)} == {100, 101}
    assert {run.id for run in runs_of(session, row)}.isdisjoint(run.id for run in runs_of(session, first))
    end(session, bureau, runs_of(session, row), row.suite_id)
    wanted = SearchRequest(
        protocol="small", suite="suite", anchors=ANCHORS, rates=RATES, seeds=SEEDS, first_seed=row.first_seed
    )
    assert rate_searches.estimate_search(session, wanted)["runs_to_train"] == len(ANCHORS)  # the control
    assert conclude(session, bureau, row)
    assert {run.seed for run in runs_of(session, row, is_shuffled=True)} == {100}
    assert row.report is not None
    assert "shuffled tokens" not in str(row.report["remarks"])
    assert row.found is not None
    taken = session.scalars(select(Evaluation).where(Evaluation.protocol_id == row.found.id)).all()
    assert {(one.first_seed, one.state) for one in taken} == {(100, State.FINISHED)}


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


def test_sent_again_it_concludes_what_a_killed_worker_left(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    ask(session, bureau)
    assert rescore(session, row)
    ask(session, bureau)
    assert end_control(session, bureau, row)
    again, is_new = ask(session, bureau)
    assert (again.id, is_new, again.state) == (row.id, False, State.FINISHED)
    assert again.found is not None


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
    assert all(name in row.error for name in ANCHORS)
    assert not any(anchor in row.error for anchor in row.anchors)  # ids say nothing to a reader


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
        ({"first_seed": -1}, "/first_seed"),
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
