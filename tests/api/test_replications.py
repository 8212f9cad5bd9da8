"""Replications over HTTP and on the command line, with trainings of four steps."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.service import PROTOCOL, RECIPE, SUITE, Service, pointers_of, problem_of
from worker.queue import Bell
from worker.store.models import Replication, Run
from worker.store.sessions import session_scope

DOCUMENT = Path(__file__).parents[2] / "docs" / "replication.md"
RECIPES = ("even", "only-web", "only-code")
RACE: dict[str, Any] = {
    "resolve": "pairs",
    "recipes": list(RECIPES),
    "protocol": "tiny",
    "suite": "held-out",
    "max_runs": 100,
    "error_rate": 1e-6,
    "most_seeds": 3,
}


@pytest.fixture
def ready(service: Service) -> Service:
    """A suite, a protocol and three recipes; nothing is trained yet."""
    service.made("/v1/suites", SUITE)
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/recipes", RECIPE)
    for name, source in zip(RECIPES[1:], RECIPE["sources"], strict=True):
        service.made("/v1/recipes", {"name": name, "sources": [source]})
    service.rung.clear()
    return service


def test_a_race_goes_on_by_itself_until_it_has_ended(ranked: Service) -> None:
    """Two seeds of two recipes are there; the third is trained in a real child. At such an error rate, seeds of four
    steps resolve nothing."""
    ranked.rung.clear()
    asked = {**RACE, "recipes": [], "protocol": None, "suite": None}
    cost = ranked.made("/v1/replications:estimate", asked)
    assert (cost["runs_until_first_look"], cost["runs_to_train_until_first_look"], cost["looks"]) == (4, 0, [2, 3])
    assert (cost.pop("protocol")["name"], cost.pop("suite")["name"]) == ("tiny", "held-out")
    assert cost.pop("replication") is None
    assert ranked.rung == []
    answer = ranked.post("/v1/replications", asked)
    assert answer.status_code == 202
    race = answer.json()
    assert answer.headers["location"] == f"/v1/replications/{race['id']}"
    assert (race["state"], race["outcome"], race["runs_used"], race["estimate"]) == ("running", None, 2, cost)
    assert [look["seeds"] for look in race["looks"]] == [2]
    assert (race["progress"]["queued"], race["progress"]["look"]) == (2, 3)
    assert set(ranked.rung) == {Bell.RUNS, Bell.JOBS}

    ranked.work()

    ended = ranked.get(f"/v1/replications/{race['id']}").json()
    assert (ended["state"], ended["outcome"]) == ("finished", "seeds_spent")
    assert [(look["seeds"], look["runs_used"]) for look in ended["looks"]] == [(2, 0), (3, 2)]
    assert (ended["progress"]["runs"], ended["progress"]["runs_left"]) == (6, 98)
    assert (ended["error_spent"], ended["resolved_pairs"]) == (pytest.approx(1e-6), 0)
    entries = ranked.get("/v1/leaderboard").json()["entries"]
    assert {one["recipe"]["name"]: (one["score"], one["seeds"]) for one in ended["recipes"]} == {
        entry["recipe"]["name"]: (pytest.approx(entry["score"], rel=1e-9), entry["seeds"]) for entry in entries
    }
    assert f'href="replication?id={race["id"]}">pairs: seeds spent</a>' in ranked.http.get("/").text

    again = ranked.post("/v1/replications", {**RACE, "recipes": ["only-web", "even"]})
    assert (again.status_code, again.json()) == (200, ended)
    assert ranked.work() == 0
    listed = ranked.get("/v1/replications").json()["items"]
    assert [(row["id"], row["conclusion"]) for row in listed] == [(race["id"], ended["conclusion"])]
    assert ranked.made("/v1/replications:estimate", asked)["replication"] == race["id"]
    wider = ranked.made("/v1/replications:estimate", {**asked, "budget": "1h", "most_seeds": 16})
    assert wider["replication"] is None
    assert wider["budget_runs"] == min(100, int(3600 / wider["seconds_per_run"]))


def test_a_race_that_is_cancelled_goes_on_when_it_is_sent_again(ready: Service) -> None:
    race = ready.made("/v1/replications", RACE)
    cancelled = ready.delete(f"/v1/replications/{race['id']}")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert ready.work() == 0
    again = ready.post("/v1/replications", RACE)
    assert (again.status_code, again.json()["id"], again.json()["state"]) == (200, race["id"], "running")
    assert again.json()["progress"]["queued"] == 6


def test_an_evaluation_that_somebody_asks_for_meanwhile_outlives_the_race(ready: Service) -> None:
    race = ready.made("/v1/replications", RACE)
    asked = ready.post("/v1/evaluations", {"recipe": "even", "protocol": "tiny", "suite": "held-out", "seeds": 2})
    assert asked.status_code == 200  # which the race had queued
    ready.delete(f"/v1/replications/{race['id']}")
    states = {row["recipe"]["name"]: row["state"] for row in ready.get("/v1/evaluations").json()["items"]}
    assert states == {"even": "queued", "only-web": "cancelled", "only-code": "cancelled"}


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"resolve": "top-3"}, "/resolve"),
    ({"resolve": "the best"}, "/resolve"),
    ({"resolve": 3}, "/resolve"),
    ({"recipes": ["even"]}, "/recipes"),
    ({"recipes": ["even", "only-wbe"]}, "/recipes/1"),
    ({"recipes": "even"}, "/recipes"),
    ({"recipes": []}, "/recipes"),
    ({"protocol": "tny"}, "/protocol"),
    ({"suite": "held-uot"}, "/suite"),
    ({"max_runs": 0}, "/max_runs"),
    ({"max_runs": 5}, "/max_runs"),
    ({"max_runs": 10**9}, "/max_runs"),
    ({"max_runs": None}, "/budget"),
    ({"budget": "0h"}, "/budget"),
    ({"budget": "2 hours"}, "/budget"),
    ({"budget": 7200}, "/budget"),
    ({"error_rate": 1}, "/error_rate"),
    ({"error_rate": float("nan")}, "/error_rate"),
    ({"most_seeds": 1}, "/most_seeds"),
    ({"goal": "best"}, "/goal"),
)


def test_what_is_wrong_is_named_and_nothing_is_queued(ready: Service) -> None:
    for change, pointer in WRONG:
        body = json.dumps({**RACE, **change}).encode()
        answer = ready.post("/v1/replications", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, (change, answer.text)
        assert pointer in pointers_of(answer), answer.text
    with session_scope(ready.sessions) as session:
        assert (session.query(Replication).count(), session.query(Run).count()) == (0, 0)
    assert ready.rung == []


def test_the_documented_race_is_accepted(ready: Service) -> None:
    """Nothing like its runs was trained here: one of them shows what a run takes."""
    body = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    answer = ready.post("/v1/replications", content=body.encode(), headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 202, answer.text
    race = answer.json()
    assert (race["budget"], race["budget_runs"], race["progress"]["queued"]) == ("2h", None, 1)


def test_a_race_that_nobody_submitted_is_not_found(ready: Service) -> None:
    for answer in (ready.get("/v1/replications/rep_x"), ready.delete("/v1/replications/rep_x")):
        assert answer.status_code == 404
        assert "rep_x" in problem_of(answer)["detail"]
