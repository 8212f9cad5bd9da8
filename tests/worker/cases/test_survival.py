"""Past results after a suite, a protocol or a corpus got a newer version: valid, bridgeable or stale."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.suites import Suite
from tests.worker.cases.boards import finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import leaderboards, protocols, suites, survival
from worker.store.models import Corpus, Evaluation, Protocol, Run, RunScore
from worker.store.models import Suite as SuiteRow
from worker.store.states import State


def evaluate(session: Session, bureau: Bureau, name: str, nats: float, **options: Any) -> Evaluation:
    row, _ = submit(session, bureau, recipe(name, web=1 + nats, code=1), **options)
    for run in row.runs:
        if session.get(RunScore, (run.id, row.suite_id)) is None:
            finish(session, bureau, run, row.suite_id, nats)
            score = session.get_one(RunScore, (run.id, row.suite_id))
            score.score = nats / 100
    session.flush()
    return row


def board(session: Session, **named: str) -> dict[str, Any]:
    return leaderboards.read_leaderboard(session, named.get("protocol", "small"), named.get("suite", "suite"))


def new_suite(session: Session) -> SuiteRow:
    parts = [{"name": "held", "corpus": "held"}]  # the same text, its documents taken as independent
    return suites.store_suite(session, Suite.model_validate({"name": "suite", "sets": parts}))[0]


def test_the_newest_of_everything_is_valid(session: Session, bureau: Bureau) -> None:
    evaluate(session, bureau, "one", 100)
    found = board(session)
    assert found["standing"] == {"status": "valid", "reasons": [], "bridges": []}
    assert found["moved"] == {}


def test_a_newer_suite_makes_a_ranking_stale_and_then_bridgeable(session: Session, bureau: Bureau) -> None:
    for index in range(3):
        evaluate(session, bureau, f"recipe-{index}", 100.0 + index)
    new_suite(session)
    before = board(session, suite="suite@1")
    assert before["standing"]["status"] == "stale"
    assert "suite suite has version 2; measured under both: 0 recipes" in before["standing"]["reasons"][0]
    for index in range(3):
        evaluate(session, bureau, f"recipe-{index}", 100.0 + index, suite="suite@2")
        runs = session.scalars(select(RunScore).where(RunScore.suite_id == new_id(session))).all()
        runs[-1].score = 1.5 + index / 100
    session.flush()
    after = board(session, suite="suite@1")
    [bridge] = after["standing"]["bridges"]
    assert after["standing"]["status"] == "bridgeable"
    assert (bridge["version_of"], bridge["recipes"]) == ("suite", 3)
    assert bridge["offset"] == pytest.approx(0.5, abs=1e-6)
    assert after["entries"] == before["entries"]  # never rewritten


def test_a_bridge_rests_on_the_seeds_of_both_versions(session: Session, bureau: Bureau) -> None:
    """Seeds from 100 on score .3 worse on both suites, for every recipe: that is not what the new suite changed."""
    for index in range(3):
        evaluate(session, bureau, f"recipe-{index}", 100.0 + index, first_seed=100)
    new = new_suite(session)
    for index in range(3):
        evaluate(session, bureau, f"recipe-{index}", 100.0 + index, suite="suite@2")
    [apart] = board(session, suite="suite@1")["standing"]["bridges"]
    assert (apart["recipes"], apart["offset"]) == (0, None)
    for index in range(3):
        evaluate(session, bureau, f"recipe-{index}", 100.0 + index, suite="suite@2", first_seed=100)
    for score in session.scalars(select(RunScore)):
        run = session.get_one(Run, score.run_id)
        score.score = 1.0 + (0.3 if run.seed == 100 else 0.0) + (0.5 if score.suite_id == new.id else 0.0)
    session.flush()
    [bridge] = board(session, suite="suite@1")["standing"]["bridges"]
    assert (bridge["recipes"], bridge["offset"]) == (3, pytest.approx(0.5, abs=1e-9))


def new_id(session: Session) -> str:
    return suites.find_suite(session, "suite@2").id


def test_a_newer_protocol_is_a_reason_too(session: Session, bureau: Bureau) -> None:
    evaluate(session, bureau, "one", 100)
    protocols.store_protocol(session, bureau.protocol(reduction=0.5))
    standing = board(session, protocol="small@1")["standing"]
    assert standing["status"] == "stale"
    assert "protocol small has version 2" in standing["reasons"][0]


def test_older_numerics_cannot_be_bridged_by_a_name(session: Session, bureau: Bureau) -> None:
    evaluate(session, bureau, "one", 100)
    row = session.scalars(select(Protocol)).one()
    row.spec = {**row.spec, "numerics_version": 0}
    standing = survival.standing_of_ranking(session, row, suites.find_suite(session, "suite"))
    assert standing["status"] == "stale"
    assert "numerics version 0" in standing["reasons"][0]


def test_a_recipe_whose_corpus_moved_is_named(session: Session, bureau: Bureau) -> None:
    row = evaluate(session, bureau, "one", 100)
    old = session.scalars(select(Corpus).where(Corpus.name == "web")).one()
    moved = {name: getattr(old, name) for name in ("name", "uri", "text_field", "fields", "job_id")}
    session.add(Corpus(**moved, revision=2, fingerprint="f" * 32, state=State.FINISHED))
    session.flush()
    found = board(session)
    assert found["moved"] == {row.recipe_id: ["corpus web has revision 2"]}
    own = survival.standing_of_evaluation(session, row)
    assert (own["status"], own["reasons"]) == ("stale", ["corpus web has revision 2"])
    assert found["standing"]["status"] == "valid"  # the ranking itself is: its other recipes are untouched


def test_a_suite_whose_text_moved_is_stale(session: Session, bureau: Bureau) -> None:
    evaluate(session, bureau, "one", 100)
    old = session.scalars(select(Corpus).where(Corpus.name == "held")).one()
    moved = {name: getattr(old, name) for name in ("name", "uri", "text_field", "fields", "job_id")}
    session.add(Corpus(**moved, revision=2, fingerprint="e" * 32, state=State.FINISHED))
    session.flush()
    assert board(session)["standing"] == {
        "status": "stale",
        "reasons": ["corpus held has revision 2"],
        "bridges": [],
    }
