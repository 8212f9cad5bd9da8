"""Submissions: the same request is the same work, and what is surely wrong is refused before a row is written."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError, NotFoundError
from proxy.protocols import fingerprint_run
from proxy.suites import Suite as SuiteSpec
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import evaluation_runs, evaluations, suites
from worker.agreement import read_agreement, references_changed
from worker.leaderboards import read_leaderboard, update_leaderboards
from worker.references import ReferenceFields, list_references, register_reference
from worker.store.models import Evaluation, Job, Leaderboard, Protocol, Recipe, Run, Suite
from worker.store.sessions import session_scope
from worker.store.states import State


def refusal(session: Session, bureau: Bureau, body: object, **options: Any) -> list[tuple[str, object]]:
    before = session.scalar(select(func.count()).select_from(Evaluation))
    with pytest.raises(InvalidInputError) as refused:
        submit(session, bureau, body, **options)
    assert session.scalar(select(func.count()).select_from(Evaluation)) == before
    return [(problem.pointer, problem.value) for problem in refused.value.problems]


def test_the_same_request_is_the_same_evaluation(session: Session, bureau: Bureau) -> None:
    first, is_new = submit(session, bureau, recipe("a", web=5, code=2), seeds=2)
    again, is_new_again = submit(session, bureau, recipe("b", code=4, web=10), seeds=2)
    assert (is_new, is_new_again, again.id) == (True, False, first.id)
    assert sorted(run.seed for run in first.runs) == [0, 1]


def test_more_seeds_reuse_the_runs_that_are_there(session: Session, bureau: Bureau) -> None:
    first, _ = submit(session, bureau, recipe("a", web=5, code=2), seeds=1)
    more, is_new = submit(session, bureau, recipe("a", web=5, code=2), seeds=3)
    assert is_new
    assert first.runs[0] in more.runs
    assert len({run.id for run in more.runs}) == 3


def seeds_of(row: Evaluation) -> list[int]:
    return sorted(run.seed for run in row.runs)


def test_evaluations_with_other_first_seeds_share_exactly_the_runs_of_the_seeds_that_both_have(
    session: Session, bureau: Bureau
) -> None:
    body = recipe("a", web=5, code=2)
    first, _ = submit(session, bureau, body, seeds=3)
    apart, is_new = submit(session, bureau, body, seeds=3, first_seed=100)
    assert (is_new, seeds_of(apart)) == (True, [100, 101, 102])
    assert {run.id for run in first.runs}.isdisjoint(run.id for run in apart.runs)
    over, is_new = submit(session, bureau, body, seeds=3, first_seed=2)
    assert (is_new, seeds_of(over)) == (True, [2, 3, 4])
    assert [run.seed for run in over.runs if run in first.runs] == [2]
    assert submit(session, bureau, body, seeds=3, first_seed=100) == (apart, False)
    wanted = evaluations.Request(recipe="a", protocol="small", suite="suite", seeds=2, first_seed=101)
    evaluations.lock_requested(session, [wanted])  # names runs that are there
    part, _ = submit(session, bureau, body, seeds=2, first_seed=101)
    assert {run.id for run in part.runs} == {run.id for run in apart.runs if run.seed > 100}


def test_rates_of_any_first_seed_are_sweeps(session: Session, bureau: Bureau) -> None:
    asked: dict[str, Any] = {"kind": "reference", "learning_rates": (1e-3, 1e-2), "seeds": 2}
    swept, _ = submit(session, bureau, recipe("a", web=5, code=2), first_seed=7, **asked)
    assert seeds_of(swept) == [7, 7, 8, 8]
    assert {str(run.sweep).rpartition("-")[2] for run in swept.runs} == {"7", "8"}


def test_requests_for_seeds_from_zero_on_keep_their_keys() -> None:
    rows = Recipe(fingerprint="recipe"), Protocol(id="pro_1"), Suite(id="sui_1")
    asked = evaluations.Request(recipe="r", protocol="p", suite="s", seeds=2)
    assert evaluations._request_key(asked, *rows, [1e-3]) == "bb5d97b778fb6a0f71b37295a31978f3"
    sweep = replace(asked, kind="reference", seeds=3, learning_rates=(1e-3, 1e-2))
    assert evaluations._request_key(sweep, *rows, [1e-3, 1e-2]) == "c529db61acd2ae339089cae1d6ccde97"
    other = replace(asked, first_seed=1)
    assert evaluations._request_key(other, *rows, [1e-3]) != evaluations._request_key(asked, *rows, [1e-3])


def test_a_run_keeps_its_fingerprint(bureau: Bureau) -> None:
    """Whichever evaluation asks for its seed."""
    found = fingerprint_run(recipe_fingerprint="recipe", protocol=bureau.protocol(), learning_rate=1e-2, seed=1)
    assert found == "cb95168aa4f1c2c18f7e48384d90b235"


def test_evaluations_are_found_by_the_seeds_that_they_have(session: Session, bureau: Bureau) -> None:
    body = recipe("a", web=5, code=2)
    made = {
        name: submit(session, bureau, body, **dict(zip(("first_seed", "seeds"), name, strict=True)))[0].id
        for name in ((0, 2), (1, 3), (100, 2))
    }

    def having(seeds: range) -> set[tuple[int, int]]:
        found = set(session.scalars(select(Evaluation.id).where(evaluations.has_seeds(seeds))))
        return {name for name, row_id in made.items() if row_id in found}

    assert having(range(2)) == {(0, 2)}
    assert having(range(1, 2)) == {(0, 2), (1, 3)}
    assert having(range(2, 4)) == {(1, 3)}
    assert having(range(3, 5)) == set()
    assert having(range(100, 102)) == {(100, 2)}


def test_a_replicate_is_trained_for_its_own_sake(session: Session, bureau: Bureau) -> None:
    first, _ = submit(session, bureau, recipe("a", web=5, code=2))
    other, _ = submit(session, bureau, recipe("a", web=5, code=2), replicate=1)
    assert {run.id for run in first.runs}.isdisjoint(run.id for run in other.runs)


def test_rates_of_a_seed_are_one_sweep(session: Session, bureau: Bureau) -> None:
    swept, _ = submit(
        session, bureau, recipe("a", web=5, code=2), kind="reference", learning_rates=(1e-3, 1e-2, 1e-3), seeds=2
    )
    assert swept.learning_rates == [1e-3, 1e-2]
    assert len({run.sweep for run in swept.runs}) == 2
    single, _ = submit(session, bureau, recipe("a", web=5, code=2), kind="reference", learning_rates=(1e-3,))
    assert single.runs[0].sweep is None
    assert single.runs[0] not in swept.runs


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"kind": "guess"}, "/kind"),
        ({"seeds": 0}, "/seeds"),
        ({"first_seed": -1}, "/first_seed"),
        ({"first_seed": 10**9 + 1}, "/first_seed"),
        ({"replicate": -1}, "/replicate"),
        ({"learning_rates": (1e-3,)}, "/learning_rates"),
        ({"kind": "reference", "learning_rates": (1e-3, 2.0)}, "/learning_rates/1"),
        ({"protocol": "smal"}, "/protocol"),
        ({"suite": "sweet"}, "/suite"),
    ],
)
def test_wrong_words_are_named(session: Session, bureau: Bureau, options: dict[str, Any], pointer: str) -> None:
    assert refusal(session, bureau, recipe("a", web=5, code=2), **options)[0][0] == pointer


def test_wrong_recipes_are_named(session: Session, bureau: Bureau) -> None:
    assert refusal(session, bureau, "nobody")[0] == ("/recipe", "nobody")
    assert refusal(session, bureau, 7)[0] == ("/recipe", 7)
    assert refusal(session, bureau, recipe("a", wep=1))[0] == ("/recipe/sources/0/corpus", "wep")
    assert refusal(session, bureau, recipe("a", web=-1))[0] == ("/recipe/sources/0/weight", -1)


def test_a_share_that_cannot_be_supplied_is_refused(session: Session, bureau: Bureau) -> None:
    assert refusal(session, bureau, recipe("a", web=1, tiny=9))[0] == ("/recipe/sources/1/weight", 9.0)


def test_training_on_the_validation_set_is_refused(session: Session, bureau: Bureau) -> None:
    assert refusal(session, bureau, recipe("a", web=1, held=1))[0] == ("/recipe/sources/1/corpus", "held")
    submit(session, bureau, recipe("a", web=1, held=0))


def test_cancelling_spares_what_others_need(session: Session, bureau: Bureau) -> None:
    one, _ = submit(session, bureau, recipe("a", web=5, code=2), seeds=1)
    both, _ = submit(session, bureau, recipe("a", web=5, code=2), seeds=2)
    evaluations.cancel_evaluation(session, both.id)
    states = {run.seed: run.state for run in both.runs}
    assert (both.state, states) == (State.CANCELLED, {0: State.QUEUED, 1: State.CANCELLED})
    assert evaluations.cancel_evaluation(session, both.id).state == State.CANCELLED
    again, is_new = submit(session, bureau, recipe("a", web=5, code=2), seeds=2)
    assert (again.id, is_new, again.state) == (both.id, False, State.QUEUED)
    assert {run.state for run in again.runs} == {State.QUEUED}
    assert one.state == State.QUEUED


def test_a_failed_evaluation_asked_for_again_is_tried_again(session: Session, bureau: Bureau) -> None:
    row, _ = submit(session, bureau, recipe("a", web=5, code=2))
    row.runs[0].state, row.runs[0].error, row.runs[0].attempt = State.FAILED, "disk full", 3
    evaluations.conclude_runs(session, bureau.settings, [row.runs[0].id])
    assert row.state == State.FAILED
    board = read_leaderboard(session, "small", "suite")
    (entry,) = [entry for entry in board["entries"] if entry["recipe"]["id"] == row.recipe_id]
    assert entry["rank"] is None
    assert "disk full" in entry["gates"][-1]["message"]
    assert entry["gates"][-1]["is_fatal"]
    again, _ = submit(session, bureau, recipe("a", web=5, code=2))
    assert (again.id, again.state, again.runs[0].state, again.runs[0].attempt) == (row.id, "queued", "queued", 0)


def test_unknown_ids_are_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError):
        evaluations.get_evaluation(session, "eva_none")
    with pytest.raises(NotFoundError):
        evaluation_runs.get_run(session, "run_none")


def test_lists_are_narrowed(session: Session, bureau: Bureau) -> None:
    row, _ = submit(session, bureau, recipe("a", web=1, code=5))
    found = evaluations.list_evaluations(session, state=State.QUEUED, protocol="small", kind="proxy")
    assert row in found
    assert row not in evaluations.list_evaluations(session, kind="reference")


@pytest.fixture(scope="module")
def ranked(bureau: Bureau) -> Bureau:
    """Three recipes trained for real, two seeds each, and a sweep."""
    with session_scope(bureau.sessions) as session:
        for body in (recipe("even", web=1, code=1), recipe("web", web=1), recipe("code", code=1)):
            submit(session, bureau, body, seeds=2)
        submit(session, bureau, "web", kind="reference", learning_rates=(1e-3, 1e-2))
    bureau.drain()
    return bureau


def test_finished_runs_make_a_leaderboard(session: Session, ranked: Bureau) -> None:
    board = read_leaderboard(session, "small", "suite")
    assert {entry["recipe"]["name"] for entry in board["entries"]} == {"even", "web", "code"}
    assert sorted(entry["rank"] for entry in board["entries"]) == [1, 2, 3]
    assert all(entry["rank_low"] <= entry["rank"] <= entry["rank_high"] for entry in board["entries"])
    assert all(entry["seeds"] >= 2 and set(entry["sets"]) == {"held"} for entry in board["entries"])
    scores = [entry["score"] for entry in board["entries"]]
    assert scores == sorted(scores)


def test_a_snapshot_is_written_only_when_the_evidence_changed(session: Session, ranked: Bureau) -> None:
    row = session.scalars(select(Leaderboard).order_by(Leaderboard.created_at.desc())).first()
    assert row is not None
    assert update_leaderboards(session, ranked.settings, row.protocol_id, row.suite_id) is None


def test_seeds_of_several_evaluations_are_pooled(ranked: Bureau) -> None:
    with session_scope(ranked.sessions) as session:
        row, _ = submit(session, ranked, "web", seeds=3)
        assert sorted(run.state for run in row.runs) == ["finished", "finished", "queued"]
    ranked.drain()
    with session_scope(ranked.sessions) as session:
        entries = {entry["recipe"]["name"]: entry for entry in read_leaderboard(session)["entries"]}
        assert entries["web"]["seeds"] == 3
        assert session.get_one(Evaluation, row.id).state == State.FINISHED


def test_a_new_suite_scores_what_is_trained(ranked: Bureau) -> None:
    with session_scope(ranked.sessions) as session:
        part = {"name": "pages", "corpus": "held"}
        suites.store_suite(session, SuiteSpec.model_validate({"name": "other", "sets": [part]}))
        row, _ = submit(session, ranked, "code", suite="other", seeds=2)
        submit(session, ranked, "code", suite="other", seeds=1)
        assert {run.state for run in row.runs} == {State.FINISHED}
        assert row.state == State.RUNNING
        jobs = session.scalars(select(Job).where(Job.kind == "score_run")).all()
        assert len(jobs) == 2
    ranked.drain()
    with session_scope(ranked.sessions) as session:
        assert evaluations.get_evaluation(session, row.id).state == State.FINISHED
        assert [entry["recipe"]["name"] for entry in read_leaderboard(session, "small", "other")["entries"]] == ["code"]
        attempts = session.scalars(select(Run.attempt).join(Run.recipe).where(Run.state == State.FINISHED)).all()
        assert set(attempts) == {1}


def fields(name: str, value: float | None, **options: Any) -> ReferenceFields:
    given: dict[str, Any] = {"reference_set": "large", "metric": "bits_per_byte", "direction": "lower"}
    given |= {"parameters": 10**9, "tokens": 10**10}
    return ReferenceFields(recipe=name, value=value, **(given | options))


def test_references_are_labelled_and_compared(session: Session, ranked: Bureau) -> None:
    for name, values in {"even": (1.0, 0.9, 1.1), "web": (1.2, 1.1, None), "code": (0.8, 0.9, 1.0)}.items():
        for rate, value in zip((1e-4, 3e-4, 1e-3), values, strict=True):
            register_reference(session, fields(name, value, learning_rate=rate, stopped_early=value is None))
    references_changed(session, ranked.settings)
    labels = {part.row.recipe.name: part.label for part in list_references(session, "large")}
    assert labels == {"even": "tuned", "web": "tuned", "code": "swept, at the edge"}
    assert [part.row.value for part in list_references(session, recipe="even") if part.is_best] == [0.9]
    body = read_agreement(session, "small", "suite", "large")
    assert {point["recipe"]: point["reference"] for point in body["points"]} == {"even": 0.9, "web": 1.1, "code": 0.8}
    assert (body["n"], body["is_evidence"], body["spearman_low"], body["protocols_tried"]) == (3, False, None, 1)


def test_another_value_of_the_same_run_is_refused(session: Session, ranked: Bureau) -> None:
    first, _ = register_reference(session, fields("even", 0.9, learning_rate=1e-3, seed=1))
    again, is_new = register_reference(session, fields("even", 0.9, learning_rate=1e-3, seed=1, source="a report"))
    assert (again.id, is_new) == (first.id, False)
    with pytest.raises(ConflictError, match=r"0\.9 is stored"):
        register_reference(session, fields("even", 0.8, learning_rate=1e-3, seed=1))
    _, is_new = register_reference(session, fields("even", 0.8, learning_rate=1e-3, seed=2))
    assert is_new


def test_several_metrics_of_a_set_are_compared_apart(session: Session, ranked: Bureau) -> None:
    for index, name in enumerate(("even", "web", "code")):
        register_reference(session, fields(name, 1.0 + index))
        register_reference(session, fields(name, 0.2 + index, metric="accuracy", direction="higher"))
    references_changed(session, ranked.settings)
    lower = read_agreement(session, "small", "suite", "large", "bits_per_byte")
    higher = read_agreement(session, "small", "suite", "large", "accuracy")
    assert (lower["metric"], higher["metric"]) == ("bits_per_byte", "accuracy")
    assert lower["spearman"] == -higher["spearman"]
    assert {part.row.metric: part.label for part in list_references(session, "large")} == {
        "bits_per_byte": "single",
        "accuracy": "single",
    }
    with pytest.raises(NotFoundError, match="metric perplexity"):
        read_agreement(session, "small", "suite", "large", "perplexity")


def test_the_same_reference_again_is_the_same_row(session: Session, ranked: Bureau) -> None:
    first, is_new = register_reference(session, fields("even", 0.9))
    again, is_new_again = register_reference(session, fields("even", 0.9))
    assert (is_new, is_new_again, first.id) == (True, False, again.id)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"direction": "up"}, "/direction"),
        ({"direction": "higher"}, "/direction"),
        ({"stopped_early": True}, "/value"),
        ({"evaluation": "eva_none"}, "/evaluation"),
        ({"metric": "own_metric", "direction": "higher"}, "/direction"),
        ({"parameters": 7}, "/parameters"),
        ({"tokens": 7}, "/tokens"),
        ({"unit": "nats"}, "/unit"),
    ],
)
def test_wrong_references_are_named(session: Session, ranked: Bureau, change: dict[str, Any], pointer: str) -> None:
    register_reference(session, fields("even", 0.7))
    register_reference(session, fields("even", 0.7, metric="own_metric"))
    with pytest.raises(InvalidInputError) as refused:
        register_reference(session, fields("web", 0.9, **change))
    assert refused.value.problems[0].pointer == pointer


def test_nothing_to_compare_is_said(session: Session, ranked: Bureau) -> None:
    with pytest.raises(NotFoundError, match="no recipe has both"):
        read_agreement(session, reference_set="none")
