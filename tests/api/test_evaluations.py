"""Evaluations over HTTP: submitted once, followed, cancelled."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.runs.schemas import show_rows
from tests.api.service import EVALUATION, PROTOCOL, RECIPE, SUITE, Service, pointers_of
from worker.queue import Bell
from worker.store.models import Evaluation, Run
from worker.store.sessions import session_scope
from worker.store.states import State


@pytest.fixture
def ready(service: Service) -> Service:
    """A service that only waits for evaluations."""
    for path, body in (("suites", SUITE), ("protocols", PROTOCOL), ("recipes", RECIPE)):
        service.made(f"/v1/{path}", body)
    service.rung.clear()
    return service


def test_a_request_is_accepted_once(ready: Service) -> None:
    first = ready.post("/v1/evaluations", EVALUATION)
    assert (first.status_code, first.headers["location"]) == (202, f"/v1/evaluations/{first.json()['id']}")
    assert set(ready.rung) == {Bell.RUNS, Bell.JOBS}
    assert [(run["seed"], run["state"], run["scores"]) for run in first.json()["runs"]] == [
        (0, "queued", []),
        (1, "queued", []),
    ]
    inline = ready.post("/v1/evaluations", EVALUATION | {"recipe": RECIPE})
    assert (inline.status_code, inline.json()) == (200, first.json())


def test_seeds_begin_where_the_request_says(ready: Service) -> None:
    first, later = (ready.made("/v1/evaluations", {**EVALUATION, "first_seed": seed}) for seed in (0, 100))
    assert (first["first_seed"], later["first_seed"], later["seeds"]) == (0, 100, 2)
    assert [run["seed"] for run in later["runs"]] == [100, 101]
    assert first["id"] == ready.post("/v1/evaluations", EVALUATION).json()["id"]
    assert {run["id"] for run in first["runs"]}.isdisjoint(run["id"] for run in later["runs"])


def test_a_finished_evaluation_has_scores_and_rings_nobody(ranked: Service) -> None:
    answer = ranked.post("/v1/evaluations", EVALUATION)
    row = answer.json()
    assert (answer.status_code, row["state"], row["error"], ranked.rung) == (200, "finished", None, [])
    assert all(run["scores"][0]["score"] > 0 for run in row["runs"])
    assert ranked.get(f"/v1/evaluations/{row['id']}/runs").json() == {"items": row["runs"], "next_cursor": None}
    run = ranked.get(f"/v1/runs/{row['runs'][0]['id']}").json()
    assert run == row["runs"][0]
    assert "curve" not in run["result"]
    curve = ranked.get(f"/v1/runs/{run['id']}/curve").json()
    assert curve["rows"]
    assert {len(row) for row in curve["rows"]} == {len(curve["columns"])}
    assert curve["columns"][4:] == ["update_to_weight", "flops", "tokens_per_second"]
    as_csv = ranked.get(f"/v1/runs/{run['id']}/curve?format=csv")
    assert as_csv.headers["content-type"].startswith("text/csv")
    lines = [line.split(",") for line in as_csv.text.splitlines()]
    assert lines[0] == curve["columns"]
    assert [[float(cell) for cell in line] for line in lines[1:]] == curve["rows"]
    assert run["resumed_from_step"] == []


def test_a_curve_from_before_the_newer_columns_has_nulls_in_them() -> None:
    assert show_rows(Run(result={"curve": [[0, 5.5, 1.0, 0.1]]})) == [[0, 5.5, 1.0, 0.1, None, None, None]]
    assert show_rows(Run(result=None)) == []


def test_lists_are_narrowed_newest_first(ranked: Service) -> None:
    listed = ranked.get("/v1/evaluations").json()["items"]
    assert [row["recipe"]["name"] for row in listed] == ["only-web", "even"]
    for query, count in (("state=finished", 2), ("state=failed", 0), ("kind=reference", 0), ("protocol=tiny@1", 2)):
        assert len(ranked.get(f"/v1/evaluations?{query}").json()["items"]) == count


def test_a_queued_evaluation_is_cancelled_and_revived(ready: Service) -> None:
    made = ready.made("/v1/evaluations", EVALUATION)
    cancelled = ready.delete(f"/v1/evaluations/{made['id']}").json()
    assert [cancelled["state"], *(run["state"] for run in cancelled["runs"])] == ["cancelled"] * 3
    assert ready.delete(f"/v1/evaluations/{made['id']}").json() == cancelled
    assert ready.delete("/v1/evaluations/none").status_code == 404
    ready.rung.clear()
    assert ready.post("/v1/evaluations", EVALUATION).json()["state"] == "queued"
    assert ready.rung


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"recipe": "none"}, "/recipe"),
        ({"recipe": {**RECIPE, "sources": [{"corpus": "none", "weight": 1}]}}, "/recipe/sources/0/corpus"),
        ({"recipe": {**RECIPE, "sources": [{"corpus": "web", "weight": -1}]}}, "/recipe/sources/0/weight"),
        ({"protocol": "none"}, "/protocol"),
        ({"suite": "none@1"}, "/suite"),
        ({"seeds": 0}, "/seeds"),
        ({"seeds": 101}, "/seeds"),
        ({"first_seed": -1}, "/first_seed"),
        ({"first_seed": 10**9 + 1}, "/first_seed"),
        ({"first_seed": 0.5}, "/first_seed"),
        ({"replicate": 2**31}, "/replicate"),
        ({"kind": "guess"}, "/kind"),
        ({"learning_rates": [0.1]}, "/learning_rates"),
        ({"kind": "reference", "learning_rates": [0.1, 2.0]}, "/learning_rates/1"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(ready: Service, change: dict[str, Any], pointer: str) -> None:
    answer = ready.post("/v1/evaluations", EVALUATION | change)
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
    assert ready.get("/v1/evaluations").json()["items"] == []
    assert len(ready.get("/v1/recipes").json()["items"]) == 1
    assert ready.rung == []


def events(lines: Iterator[str]) -> list[str]:
    return [json.loads(line.removeprefix("data: "))["state"] for line in lines if line.startswith("data: ")]


def test_events_of_a_finished_evaluation_are_one(ranked: Service) -> None:
    (identifier, _) = (row["id"] for row in ranked.get("/v1/evaluations").json()["items"])
    with ranked.http.stream("GET", f"/v1/evaluations/{identifier}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert events(answer.iter_lines()) == ["finished"]


def test_events_tell_each_change_until_the_end(ready: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.evaluations.endpoints.EVENT_SECONDS", 0.01)
    made = ready.made("/v1/evaluations", EVALUATION)
    looks = iter(["queued", "queued", "running", "cancelled"])

    def snapshot(sessions: Any, evaluation_id: str) -> Any:
        with session_scope(sessions) as session:
            session.get_one(Evaluation, evaluation_id).state = State(next(looks))
        return original(sessions, evaluation_id)

    from api.evaluations import endpoints

    original = endpoints._snapshot
    monkeypatch.setattr(endpoints, "_snapshot", snapshot)
    with ready.http.stream("GET", f"/v1/evaluations/{made['id']}/events") as answer:
        lines = list(answer.iter_lines())
    assert events(iter(lines)) == ["queued", "running", "cancelled"]
    assert lines.count(": still there") == 1


def test_events_of_nothing_are_not_found(empty: Service) -> None:
    assert empty.get("/v1/evaluations/none/events").status_code == 404


def test_a_replicate_starts_alike_and_draws_its_own_documents(ranked: Service) -> None:
    first = ranked.made("/v1/evaluations", {**EVALUATION, "replicate": 0})
    again = ranked.made("/v1/evaluations", {**EVALUATION, "replicate": 1})
    other = ranked.made("/v1/evaluations", {**EVALUATION, "replicate": 2})
    ranked.work()
    scores = [
        [run["scores"][0]["score"] for run in ranked.get(f"/v1/evaluations/{one['id']}").json()["runs"]]
        for one in (first, again, other)
    ]
    assert len({score for pair in scores for score in pair}) == 6
    curves = [ranked.get(f"/v1/runs/{one['runs'][0]['id']}/curve").json() for one in (again, other)]
    assert curves[0] != curves[1]
    assert {entry["seeds"] for entry in ranked.get("/v1/leaderboard").json()["entries"]} == {2}


def test_a_finished_evaluation_says_how_it_stands(ranked: Service) -> None:
    row = ranked.get("/v1/evaluations").json()["items"][0]
    assert ranked.get(f"/v1/evaluations/{row['id']}").json()["standing"]["status"] == "valid"
    ranked.made("/v1/protocols", PROTOCOL | {"steps": 5})
    standing = ranked.get(f"/v1/evaluations/{row['id']}").json()["standing"]
    assert (standing["status"], standing["bridges"][0]["version_of"]) == ("stale", "protocol")
