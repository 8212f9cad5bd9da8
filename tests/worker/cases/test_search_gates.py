"""What a rate search measures beside its ladder: a control on shuffled tokens, scores with coarser logits."""

from dataclasses import asdict

import pytest
from sqlalchemy.orm import Session

from proxy.ranking.gates import check_gates
from tests.worker.cases.conftest import Bureau
from tests.worker.cases.searches import ANCHORS, RATES, ask, conclude, end, end_control, learned, rescore, runs_of
from worker import evaluations, rate_searches
from worker.store.models import Job, RunScore
from worker.store.states import State


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


@pytest.mark.parametrize("is_scored", [True, False])
def test_a_control_that_diverged_leaves_the_gate_unmeasured(session: Session, bureau: Bureau, is_scored: bool) -> None:
    """Also one that was trained to its end while its loss rose: that costs much, and says nothing of the order."""
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    rescore(session, row)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    control = runs_of(session, row, is_shuffled=True)
    end(session, bureau, control, row.suite_id, lambda run: learned(run) | {"progress": -2.0} if is_scored else None)
    if is_scored:
        rose = check_gates(initial_loss=5, final_loss=9, steps=8, planned_steps=8, progress={})
        for run in control:
            session.get_one(RunScore, (run.id, row.suite_id)).gates = [asdict(gate) for gate in rose]
        session.flush()
    assert conclude(session, bureau, row)
    assert row.report is not None
    verdicts = {gate["name"]: gate["verdict"] for gate in row.report["rates"][0]["gates"]}
    assert (row.report["rate"], verdicts["shuffled tokens"]) == (1e-4, "not measured")
    assert "Not measured at the rate that passes: shuffled tokens." in row.report["remarks"]


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


def test_a_search_that_is_cancelled_takes_its_rescoring_along(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row), row.suite_id)
    rate_searches.conclude_search(session, bureau.settings, row.id)
    assert row.rescoring_id is not None
    job = session.get_one(Job, row.rescoring_id)
    rate_searches.cancel_search(session, row.id)
    assert job.state == State.CANCELLED
    again, _ = ask(session, bureau)
    assert again.rescoring_id not in (None, job.id)  # asked for anew, once
    assert conclude(session, bureau, again)


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
