"""Seed noise that a protocol knows: intervals where a ranking alone has none."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.fingerprints import fingerprint
from proxy.protocols import Protocol, fingerprint_protocol
from tests.worker.cases.boards import DIVERGED, count, fail, finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import anchors, leaderboards, protocols, recipe_results, replications
from worker.comparisons import Question, compare_recipes
from worker.flips import read_flips
from worker.protocols import known_noise
from worker.replications import ReplicationRequest
from worker.store.models import Evaluation, Replication, RunScore
from worker.store.models import Suite as SuiteRow
from worker.store.states import State


def evaluate(session: Session, bureau: Bureau, name: str, nats: float, **options: Any) -> Evaluation:
    row, _ = submit(session, bureau, recipe(name, web=nats, code=1), **options)
    for run in row.runs:
        if run.checkpoint is None:
            finish(session, bureau, run, row.suite_id, nats + 0.3 * run.seed * (nats % 7 - 3))
    return row


def board(session: Session, protocol: str) -> dict[str, Any]:
    return leaderboards.read_leaderboard(session, protocol, "suite")


def score(session: Session, row: Evaluation) -> None:
    """Stored scores that differ between seeds, and recipes."""
    for run in row.runs:
        session.get_one(RunScore, (run.id, row.suite_id)).score = 1.0 + 0.01 * run.seed * (len(row.recipe.name) - 2)


def test_two_recipes_of_one_seed_get_intervals_from_the_anchors(session: Session, bureau: Bureau) -> None:
    for index in range(3):
        score(session, evaluate(session, bureau, "a" * (index + 1), 100.0 + index, seeds=3))
    row, is_new = anchors.measure_anchors(session, bureau.settings, "small", "suite", ["a", "aa", "aaa"])
    assert (is_new, row.version, len(row.spec["anchors"])) == (True, 2, 3)
    assert anchors.measure_anchors(session, bureau.settings, "small@1", "suite", ["aaa", "aa", "a"]) == (row, False)
    for name, nats in (("one", 110.0), ("two", 130.0)):
        evaluate(session, bureau, name, nats, protocol="small@2")
    body = board(session, "small@2")
    assert sorted(entry["seeds"] for entry in body["entries"]) == [1, 1, 3, 3, 3]
    assert all(entry["rank_low"] is not None and entry["score_low"] is not None for entry in body["entries"])
    assert body["anchors"] is None  # all of them are ranked, so their seeds are counted there
    assert board(session, "small@1")["standing"]["status"] == "valid"


def test_anchors_that_are_not_ranked_give_the_intervals(session: Session, bureau: Bureau) -> None:
    rows = [evaluate(session, bureau, "a" * (index + 1), 100.0 + index, seeds=3) for index in range(3)]
    for row in rows:
        score(session, row)
    anchors.measure_anchors(session, bureau.settings, "small", "suite", ["a", "aa", "aaa"])
    for row in session.scalars(select(Evaluation)):
        row.state = State.CANCELLED
    for name, nats in (("one", 110.0), ("two", 130.0)):
        evaluate(session, bureau, name, nats, protocol="small@2")
    body = board(session, "small@2")
    assert [entry["seeds"] for entry in body["entries"]] == [1, 1]
    assert all(entry["score_low"] is not None for entry in body["entries"])
    assert body["anchors"]["degrees_of_freedom"] == pytest.approx(4)


def test_runs_of_the_version_before_are_not_trained_again(session: Session, bureau: Bureau) -> None:
    first = evaluate(session, bureau, "a", 100.0, seeds=2)
    score(session, evaluate(session, bureau, "aaa", 103.0, seeds=2))
    score(session, first)
    anchors.measure_anchors(session, bureau.settings, "small", "suite", ["a", "aaa"])
    again, is_new = submit(session, bureau, "a", protocol="small@2", seeds=2)
    assert not is_new  # the new version took it over
    assert again.state == State.FINISHED
    assert {run.id for run in again.runs} == {run.id for run in first.runs}
    assert len(board(session, "small")["entries"]) == 2


def test_seeds_from_wherever_are_taken_over_and_ranked_once_each(session: Session, bureau: Bureau) -> None:
    """Later seeds first, and some of them twice: the ranking is of the same runs, in the order of their seeds."""
    last = evaluate(session, bureau, "a", 100.0, seeds=2, first_seed=5)
    rows = [last, *(evaluate(session, bureau, "a", 100.0, seeds=2), evaluate(session, bureau, "aaa", 103.0, seeds=2))]
    rows.append(evaluate(session, bureau, "a", 100.0, seeds=6))  # 0 to 5
    for row in rows:
        score(session, row)
    small = last.protocol
    part = next(one for one in recipe_results.results_of(session, small, last.suite) if one.recipe.name == "a")
    assert [run.seed for run, _ in part.scored] == [0, 1, 2, 3, 4, 5, 6]
    made, _ = anchors.measure_anchors(session, bureau.settings, "small", "suite", ["a", "aaa"])
    taken = session.scalars(select(Evaluation).where(Evaluation.protocol_id == made.id)).all()
    runs = {run.id for row in rows for run in row.runs}
    assert {run.id for row in taken for run in row.runs} == runs
    assert sorted((row.first_seed, row.seeds) for row in taken) == [(0, 2), (0, 2), (0, 6), (5, 2)]
    assert {entry["recipe"]["name"]: entry["seeds"] for entry in board(session, "small@2")["entries"]} == {
        "a": 7,
        "aaa": 2,
    }


def test_an_anchor_that_is_ranked_is_not_counted_twice(session: Session, bureau: Bureau) -> None:
    rows = [evaluate(session, bureau, "a" * (index + 1), 100.0 + index, seeds=3) for index in range(3)]
    for row in rows:
        score(session, row)
    protocol, _ = anchors.measure_anchors(session, bureau.settings, "small", "suite", ["a", "aa", "aaa"])
    suite = session.get_one(SuiteRow, rows[0].suite_id)
    everything = known_noise(protocol, suite, set())
    without = known_noise(protocol, suite, {rows[0].recipe.fingerprint})
    assert everything is not None
    assert without is not None
    assert everything.degrees_of_freedom == pytest.approx(4)
    assert without.degrees_of_freedom == pytest.approx(4 * 2 / 3)
    assert known_noise(protocol, suite, {row.recipe.fingerprint for row in rows}) is None


@pytest.mark.parametrize("recipes", [["single"], ["nobody"]])
def test_what_shows_no_noise_is_refused(session: Session, bureau: Bureau, recipes: list[str]) -> None:
    evaluate(session, bureau, "single", 100.0, seeds=1)
    with pytest.raises(InvalidInputError, match="recipes/0"):
        anchors.measure_anchors(session, bureau.settings, "small", "suite", recipes)


def test_a_protocol_without_anchors_keeps_its_fingerprint(bureau: Bureau) -> None:
    spec = bureau.protocol()
    older = spec.model_dump(mode="json", exclude={"name", "anchors", *Protocol.later})
    older["architecture"] = spec.architecture.model_dump(exclude=set(spec.architecture.later))
    older["schedule"] = spec.schedule.model_dump(exclude=set(spec.schedule.later))
    assert fingerprint_protocol(spec) == fingerprint(older)
    anchor = {"recipe": "r", "suite": "s", "variance": 1e-6, "degrees_of_freedom": 2}
    known = Protocol.model_validate(spec.model_dump() | {"anchors": [anchor]})
    assert fingerprint_protocol(known) != fingerprint_protocol(spec)
    assert known.cohort_key() == spec.cohort_key()


def learn(session: Session, row: Evaluation, progress: float) -> None:
    """What a child would have measured: H_uni is 8 and H_bi 6 nats."""
    part = {"bits_per_byte": 1.0, "tokens": 1, "text_bytes": 1, "documents": 1, "unigram_nats": 8.0, "bigram_nats": 6.0}
    for run in row.runs:
        sets = {"held": part | {"nats_per_token": 8.0 - 2 * progress}}
        run.result = {"tokens": 256, "seconds": 1.0, "suites": {row.suite_id: {"sets": sets}}}
    session.flush()


def board_with_anchors(session: Session, bureau: Bureau, progress: float) -> dict[str, Any]:
    """Of a protocol that knows three anchors, which came so far under it."""
    for index in range(3):
        row = evaluate(session, bureau, "a" * (index + 1), 100.0 + index, seeds=3)
        score(session, row)
        learn(session, row, progress)
    anchors.measure_anchors(session, bureau.settings, "small", "suite", ["a", "aa", "aaa"])
    return board(session, "small@2")


def test_a_protocol_whose_anchors_fail_is_refused_for_ranking(session: Session, bureau: Bureau) -> None:
    body = board_with_anchors(session, bureau, progress=0.3)
    assert "0 of 3 (anchor, set) pairs" in body["refused"]
    assert {(entry["rank"], entry["p_best"], entry["letters"]) for entry in body["entries"]} == {(None, None, "")}
    assert all(entry["score"] is not None for entry in body["entries"])
    assert board(session, "small@1")["refused"] is None  # which knows no anchors


@pytest.mark.parametrize("recipes", [(), ("a", "aa", "aaa")])
def test_nothing_is_raced_under_a_refused_protocol(session: Session, bureau: Bureau, recipes: tuple[str, ...]) -> None:
    """Also where recipes are named, and where they would be those of the ranking, which has none."""
    body = board_with_anchors(session, bureau, progress=0.3)
    asked = ReplicationRequest(resolve="top-2", protocol="small", suite="suite", recipes=recipes, max_runs=100)
    with pytest.raises(InvalidInputError) as error:
        replications.submit_replication(session, bureau.settings, asked)
    (problem,) = error.value.problems
    assert (problem.pointer, problem.value, problem.message) == ("/protocol", "small@2", body["refused"])
    assert count(session, Replication) == 0
    row, _ = replications.submit_replication(session, bureau.settings, replace(asked, protocol="small@1"))
    assert row.outcome is not None or row.points


def test_what_compares_under_a_refused_protocol_says_so(session: Session, bureau: Bureau) -> None:
    body = board_with_anchors(session, bureau, progress=0.3)
    protocols.store_protocol(session, bureau.protocol("slow", reduction=0.1))
    for index in range(2):
        evaluate(session, bureau, "a" * (index + 1), 100.0 + index, seeds=3, protocol="slow")
    for protocol, refused in (("small@2", body["refused"]), ("small@1", None)):
        card = compare_recipes(session, bureau.settings, Question(a="a", b="aa", protocol=protocol))
        certificate = read_flips(session, bureau.settings, protocol, "suite")
        assert card["refused"] == certificate["refused"] == refused


def test_an_anchors_seed_that_crashed_refuses_nothing_and_one_that_diverged_does(
    session: Session, bureau: Bureau
) -> None:
    board_with_anchors(session, bureau, progress=0.6)
    row, _ = submit(session, bureau, "aa", protocol="small@2", seeds=4)
    (extra,) = [run for run in row.runs if not run.state.is_final]
    fail(session, bureau, extra, "disk full")
    body = board(session, "small@2")
    assert (body["refused"], sorted(entry["rank"] for entry in body["entries"])) == (None, [1, 2, 3])
    submit(session, bureau, "aa", protocol="small@2", seeds=4)  # which tries it again
    fail(session, bureau, extra, "the training loss became nan at step 3", DIVERGED)
    assert board(session, "small@2")["refused"] == "The protocol's anchors break under it: aa (finished)."


def test_a_protocol_whose_anchors_pass_is_not(session: Session, bureau: Bureau) -> None:
    body = board_with_anchors(session, bureau, progress=0.6)
    assert body["refused"] is None
    assert sorted(entry["rank"] for entry in body["entries"]) == [1, 2, 3]
