"""The page of a replication: every state has one, and the ranking says what the newest came to."""

import re
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.api.dashboard.conftest import Seed
from tests.api.dashboard.test_page import read
from worker.store.models import Protocol, Recipe, Replication, Suite
from worker.store.states import State

COSTS = {
    "recipes": 3,
    "looks": [2, 3, 4],
    "runs_until_first_look": 6,
    "runs_to_train_until_first_look": 6,
    "most_runs": 12,
    "seconds_per_run": 2.0,
    "budget_runs": 20,
    "most_device_seconds": 24.0,
}


def add_race(session: Session, **changes: Any) -> str:
    """Of the first three recipes of a protocol that is ranked already."""
    protocol, suite = session.query(Protocol).first(), session.query(Suite).first()
    assert protocol is not None
    assert suite is not None
    recipes = [recipe.id for recipe in session.query(Recipe).order_by(Recipe.name).limit(3)]
    row = Replication(
        request_key=f"key-{session.query(Replication).count()}",
        protocol_id=protocol.id,
        suite_id=suite.id,
        recipes=recipes,
        resolve="top-1",
        error_rate=0.05,
        most_seeds=4,
        budget="1m",
        budget_seconds=60.0,
        budget_runs=30,
        seconds_per_run=2.0,
        runs_used=6,
        estimate=COSTS,
        points=[{"recipe": recipe, "seeds": 2, "evaluation": "eva", "is_own": True} for recipe in recipes],
        failed={},
        looks=[],
        **changes,
    )
    session.add(row)
    session.flush()
    return row.id


def ended(session: Session, outcome: str = "resolved") -> str:
    """One look; the first recipe is better than both others."""
    key = add_race(session, state=State.FINISHED, outcome=outcome)
    row = session.get_one(Replication, key)
    first, *others = row.recipes
    rows = [{"recipe": first, "place": "best", "seeds": 2, "score": 1.9142, "better_than": others}]
    rows += [{"recipe": one, "place": "rest", "seeds": 2, "score": 2.5, "better_than": []} for one in others]
    row.report = {"recipes": rows, "resolved_pairs": 2, "pairs": 3}
    look = {"seeds": 2, "best": [first], "rest": others, "open": [], "resolved_pairs": 2, "error_spent": 0.05 / 3}
    row.looks = [look | {"runs_used": 6, "taken_at": "2026-03-01T12:00:00+00:00"}]
    session.flush()
    return key


def page(client: TestClient, query: str = "", status: int = 200) -> str:
    answer = client.get(f"/replication{query}")
    assert answer.status_code == status, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert read(answer.text).inline == []
    return re.sub(r"\s+", " ", answer.text)


def test_without_a_race_the_page_says_how_to_begin(client: TestClient) -> None:
    assert "foretaste evaluate --resolve top-3 --budget 2h" in page(client)


def test_an_unknown_race_is_not_found(client: TestClient) -> None:
    assert "rep_none" in page(client, "?id=rep_none", status=404)


def test_a_resolved_race_is_shown_with_its_looks_and_on_the_ranking(
    client: TestClient, seed: Seed, ranked: list[Protocol]
) -> None:
    key = seed(ended)
    text = page(client)
    assert "The best of 3 recipes is balanced." in text
    assert "at most 0.05, over all recipes and looks (1 look, 0.017 of it spent)" in text
    assert text.count(">not among them</span>") == 2
    assert "6 of 30 runs (1m)" in text
    ranking = client.get("/", params={"protocol": ranked[0].id}).text
    assert f'<a class="chip is-good" href="replication?id={key}">top-1: resolved</a> The best of 3' in ranking


def test_every_other_state_has_a_page(client: TestClient, seed: Seed, ranked: list[Protocol]) -> None:
    key = seed(lambda session: add_race(session, state=State.RUNNING))
    assert "Next look at 2 seeds: 0 of 0 runs have ended" in page(client, f"?id={key}")
    key = seed(lambda session: add_race(session, state=State.FAILED, error="run <x> failed"))
    assert "run &lt;x&gt; failed" in page(client, f"?id={key}")
    key = seed(lambda session: add_race(session, state=State.CANCELLED))
    assert "Sent again, it goes on." in page(client, f"?id={key}")
    key = seed(lambda session: add_race(session, state=State.FINISHED, outcome="budget_spent"))
    assert "Nothing is resolved: what is left of the budget" in page(client, f"?id={key}")
    key = seed(lambda session: ended(session, "no_noise"))
    assert "The best of 3 recipes is not known; known to be among them: balanced" in page(client, f"?id={key}")
