"""What is asked for again: work that may yet succeed is tried again, and what is known is kept."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.suites import Suite
from tests.worker.cases.boards import DIVERGED, fail, finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import evaluations, suites
from worker.cohorts.messages import SetResult
from worker.jobs import JobKind
from worker.leaderboards import read_leaderboard
from worker.set_results import set_results
from worker.store.models import Evaluation, Job, RunScore
from worker.store.states import State


def add_suite(session: Session, name: str) -> None:
    part = {"name": "held", "corpus": "held"}
    suites.store_suite(session, Suite.model_validate({"name": name, "sets": [part, part | {"name": name}]}))


def scoring_jobs(session: Session) -> list[Job]:
    return list(session.scalars(select(Job).where(Job.kind == JobKind.SCORE_RUN)))


def test_a_run_that_diverged_is_not_trained_again(session: Session, bureau: Bureau) -> None:
    row, _ = submit(session, bureau, recipe("wild", web=1, code=2))
    fail(session, bureau, row.runs[0], "the training loss became nan at step 3", DIVERGED)
    ended = row.finished_at
    submit(session, bureau, "wild")
    assert (row.state, row.finished_at, row.runs[0].state) == (State.FAILED, ended, State.FAILED)
    more, is_new = submit(session, bureau, "wild", seeds=2)
    assert is_new
    assert [run.state for run in more.runs] == [State.FAILED, State.QUEUED]


def test_one_seed_that_broke_is_tried_again_beside_one_that_finished(session: Session, bureau: Bureau) -> None:
    row, _ = submit(session, bureau, recipe("half", web=1, code=2), seeds=2)
    finish(session, bureau, row.runs[0], row.suite_id)
    fail(session, bureau, row.runs[1], "disk full")
    assert row.state == State.FINISHED
    again, is_new = submit(session, bureau, "half", seeds=2)
    assert (again.id, is_new, again.state) == (row.id, False, State.RUNNING)
    assert [run.state for run in row.runs] == [State.FINISHED, State.QUEUED]
    finish(session, bureau, row.runs[1], row.suite_id)
    (entry,) = [one for one in read_leaderboard(session)["entries"] if one["recipe"]["name"] == "half"]
    assert (row.state, entry["rank"], entry["seeds"]) == (State.FINISHED, 1, 2)


def test_a_finished_evaluation_asked_for_again_is_left_alone(session: Session, bureau: Bureau) -> None:
    row, _ = submit(session, bureau, recipe("whole", web=1, code=2))
    finish(session, bureau, row.runs[0], row.suite_id)
    ended = row.finished_at
    again, is_new = submit(session, bureau, "whole")
    assert (again.id, is_new, again.state, again.finished_at) == (row.id, False, State.FINISHED, ended)
    assert scoring_jobs(session) == []


def test_a_suite_asked_for_while_its_run_trains_is_scored_afterwards(session: Session, bureau: Bureau) -> None:
    first, _ = submit(session, bureau, recipe("slow", web=1, code=2))
    (run,) = first.runs
    run.state = State.RUNNING  # its child was told of the first suite only
    add_suite(session, "late")
    late, _ = submit(session, bureau, "slow", suite="late")
    finish(session, bureau, run, first.suite_id)
    assert (first.state, late.state) == (State.FINISHED, State.RUNNING)
    assert [job.payload for job in scoring_jobs(session)] == [{"run_id": run.id, "suite_id": late.suite_id}]
    evaluations.conclude_runs(session, bureau.settings, [run.id])
    assert len(scoring_jobs(session)) == 1


def test_a_suite_of_the_same_content_is_not_scored_again(session: Session, bureau: Bureau) -> None:
    first, _ = submit(session, bureau, recipe("seen", web=1, code=2))
    (run,) = first.runs
    held = SetResult(bits_per_byte=1.0, nats_per_token=1.0, tokens=1, text_bytes=1, documents=1)
    run.result = {"suites": {first.suite_id: {"sets": {"held": held.model_dump(mode="json")}}}}
    finish(session, bureau, run, first.suite_id)
    known = session.get_one(RunScore, (run.id, first.suite_id))
    known.bf16_difference = 1e-4
    alike, is_new = suites.store_suite(session, Suite.model_validate({**first.suite.spec, "name": "alike"}))
    assert is_new
    again, is_new = submit(session, bureau, "seen", suite="alike")
    assert (is_new, again.state, scoring_jobs(session)) == (True, State.FINISHED, [])
    found = session.get_one(RunScore, (run.id, alike.id))
    assert (found.score, found.artifact, found.bf16_difference) == (known.score, known.artifact, 1e-4)
    assert set_results(session, run, alike.id) == {"held": held}
    assert [one["rank"] for one in read_leaderboard(session, suite="alike")["entries"]] == [1]


def test_a_scoring_that_failed_is_tried_again_only_when_asked_for(session: Session, bureau: Bureau) -> None:
    first, _ = submit(session, bureau, recipe("scored", web=1, code=2))
    finish(session, bureau, first.runs[0], first.suite_id)
    add_suite(session, "late")
    late, _ = submit(session, bureau, "scored", suite="late")
    (job,) = scoring_jobs(session)
    job.state = State.FAILED
    evaluations.conclude_runs(session, bureau.settings, [first.runs[0].id])
    assert (late.state, len(scoring_jobs(session))) == (State.FAILED, 1)
    submit(session, bureau, "scored", suite="late")
    assert (late.state, len(scoring_jobs(session))) == (State.RUNNING, 2)


def test_a_rate_taken_up_again_joins_the_sweep_that_wants_it(session: Session, bureau: Bureau) -> None:
    asked: dict[str, Any] = {"kind": "reference", "learning_rates": (1e-3, 1e-2)}
    first, _ = submit(session, bureau, recipe("swept", web=1, code=2), **asked)
    evaluations.cancel_evaluation(session, first.id)
    wider, _ = submit(session, bureau, "swept", kind="reference", learning_rates=(1e-3, 1e-2, 1e-1))
    assert len(wider.runs) == 3
    assert len({run.sweep for run in wider.runs}) == 1


@pytest.mark.parametrize(
    ("weights", "pointer"),
    [({"web": 1, "tiny": 9}, "/recipe/sources/1/weight"), ({"web": 1, "held": 1}, "/recipe/sources/1/corpus")],
)
def test_a_refusal_points_into_what_was_sent(
    session: Session, bureau: Bureau, weights: dict[str, float], pointer: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        submit(session, bureau, recipe("refused", **weights))
    assert refused.value.problems[0].pointer == pointer
    assert session.scalars(select(Evaluation).join(Evaluation.recipe).where(Evaluation.state == "queued")).all() == []


def test_lost_losses_unrank_one_recipe_and_hold_up_nobody(session: Session, bureau: Bureau) -> None:
    lost, _ = submit(session, bureau, recipe("lost", web=1, code=2))
    finish(session, bureau, lost.runs[0], lost.suite_id)
    score = session.get_one(RunScore, (lost.runs[0].id, lost.suite_id))
    (bureau.settings.artifact_dir / score.artifact).unlink()
    kept, _ = submit(session, bureau, recipe("kept", web=1, code=3))
    finish(session, bureau, kept.runs[0], kept.suite_id)
    assert kept.state == State.FINISHED
    entries = {entry["recipe"]["name"]: entry for entry in read_leaderboard(session)["entries"]}
    assert (entries["kept"]["rank"], entries["lost"]["rank"]) == (1, None)
    assert score.artifact in entries["lost"]["gates"][-1]["message"]
