"""Rate searches over HTTP and on the command line, with trainings of four steps."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.service import PROTOCOL, RECIPE, SUITE, Service, pointers_of, problem_of
from worker.queue import Bell
from worker.store.models import RateSearch, Run
from worker.store.sessions import session_scope

DOCUMENT = Path(__file__).parents[2] / "docs" / "rate-search.md"
ANCHORS = ("even", "only-web", "only-code")
SEARCH: dict[str, Any] = {
    "protocol": "tiny",
    "suite": "held-out",
    "anchors": list(ANCHORS),
    "rates": [1e-4, 1e-3, 1e-2],
    "seeds": 2,
}


@pytest.fixture
def ready(service: Service) -> Service:
    """A suite, a protocol and three anchors; nothing is trained yet."""
    service.made("/v1/suites", SUITE)
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/recipes", RECIPE)
    for name, source in zip(ANCHORS[1:], RECIPE["sources"], strict=True):
        service.made("/v1/recipes", {"name": name, "sources": [source]})
    service.rung.clear()
    return service


def test_a_search_runs_to_its_end_and_keeps_its_evidence(ready: Service) -> None:
    """Real trainings in real children. Four steps teach nobody anything, and the search says so."""
    cost = ready.made("/v1/rate-searches:estimate", SEARCH)
    assert (cost["runs"], cost["runs_to_train"], cost["device_seconds"]) == (21, 21, None)  # 3 of a control
    assert ready.rung == []
    answer = ready.post("/v1/rate-searches", SEARCH)
    assert answer.status_code == 202
    search = answer.json()
    assert answer.headers["location"] == f"/v1/rate-searches/{search['id']}"
    assert (search["state"], search["estimate"], search["report"]) == ("running", cost, None)
    assert search["progress"]["queued"] == 18
    assert set(ready.rung) == {Bell.RUNS, Bell.JOBS}

    ready.work()

    ended = ready.get(f"/v1/rate-searches/{search['id']}").json()
    assert (ended["state"], ended["progress"]["ended"], ended["found"]) == ("finished", 18, None)
    report = ended["report"]
    assert ended["outcome"] in ("nothing passes", "optimum at the edge", "no rate low enough")
    assert ended["conclusion"] == report["conclusion"]
    assert [row["rate"] for row in report["rates"]] == SEARCH["rates"]
    assert len(report["evidence"]) == 18
    assert all(one["score"] > 0 and one["progress"]["held"] is not None for one in report["evidence"])
    ulps = {rate: [one["update_ulps"] for one in report["evidence"] if one["rate"] == rate] for rate in SEARCH["rates"]}
    assert min(ulps[1e-2]) > max(ulps[1e-4]) > 0
    assert report["travel_steps"] == pytest.approx(1 + 0.75 + 0.5 + 0.25)  # a warm-up as long as the run
    assert report["tokens_per_second"] > 0
    assert all(0 < one["rescore_difference"] < 0.1 for one in report["evidence"])
    assert all(row["gates"][-1]["verdict"] in ("passed", "failed") for row in report["rates"])
    shown = ready.get(f"/v1/runs/{report['evidence'][0]['run']}").json()
    assert shown["scores"][0]["score"] == report["evidence"][0]["score"]

    again = ready.post("/v1/rate-searches", {**SEARCH, "anchors": list(reversed(ANCHORS))})
    assert (again.status_code, again.json()["id"], again.json()["report"]) == (200, search["id"], report)
    assert ready.work() == 0
    assert [row["id"] for row in ready.get("/v1/rate-searches").json()["items"]] == [search["id"]]
    cost = ready.made("/v1/rate-searches:estimate", {**SEARCH, "rates": [1e-4, 1e-3, 1e-2, 3e-2]})
    assert (cost["runs"], cost["runs_to_train"]) == (27, 9)
    assert cost["device_seconds"] > 0


def test_a_search_that_is_cancelled_goes_on_when_it_is_sent_again(ready: Service) -> None:
    search = ready.made("/v1/rate-searches", SEARCH)
    cancelled = ready.delete(f"/v1/rate-searches/{search['id']}")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert ready.work() == 0
    again = ready.post("/v1/rate-searches", SEARCH)
    assert (again.json()["id"], again.json()["state"]) == (search["id"], "running")
    assert again.json()["progress"]["queued"] == 18


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"rates": [1e-3]}, "/rates"),
    ({"rates": [1e-3, 1e-2, "x"]}, "/rates/2"),
    ({"rates": [1e-3, 1e-2, float("nan")]}, "/rates/2"),
    ({"anchors": ["even", "even", "only-web"]}, "/anchors/1"),
    ({"anchors": ["even", "only-wbe", "only-code"]}, "/anchors/1"),
    ({"anchors": "even"}, "/anchors"),
    ({"seeds": 1}, "/seeds"),
    ({"steps": 0}, "/steps"),
    ({"steps": 10_000_000}, "/anchors"),
    ({"protocol": "tny"}, "/protocol"),
    ({"ladder": [1e-3]}, "/ladder"),
)


def test_what_is_wrong_is_named_and_nothing_is_queued(ready: Service) -> None:
    for change, pointer in WRONG:
        body = json.dumps({**SEARCH, **change}).encode()
        answer = ready.post("/v1/rate-searches", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert pointer in pointers_of(answer), answer.text
    with session_scope(ready.sessions) as session:
        assert (session.query(RateSearch).count(), session.query(Run).count()) == (0, 0)
    assert ready.rung == []


def test_the_documented_search_is_accepted(ready: Service) -> None:
    body = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    answer = ready.post("/v1/rate-searches", content=body.encode(), headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 202, answer.text
    assert (answer.json()["estimate"]["runs"], answer.json()["steps"]) == (48, 4)


def test_a_search_that_nobody_submitted_is_not_found(ready: Service) -> None:
    for answer in (ready.get("/v1/rate-searches/rat_x"), ready.delete("/v1/rate-searches/rat_x")):
        assert answer.status_code == 404
        assert "rat_x" in problem_of(answer)["detail"]
