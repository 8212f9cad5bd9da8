"""The ranking and its agreement over HTTP."""

import csv
import io

import pytest

from tests.api.service import EVALUATION, PROTOCOL, REFERENCE, Service, pointers_of, problem_of


def test_the_ranking_is_there_once_something_is_ranked(ranked: Service) -> None:
    body = ranked.get("/v1/leaderboard?protocol=tiny&suite=held-out").json()
    assert body == ranked.get("/v1/leaderboard").json()
    assert {entry["recipe"]["name"] for entry in body["entries"]} == {"even", "only-web"}
    assert all(entry["seeds"] == 2 for entry in body["entries"])


@pytest.mark.parametrize("asked", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}])
def test_the_table_is_the_same_as_csv(ranked: Service, asked: dict[str, dict[str, str]]) -> None:
    answer = ranked.get("/v1/leaderboard", **asked)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    entries = ranked.get("/v1/leaderboard").json()["entries"]
    assert [row["recipe"] for row in rows] == [entry["recipe"]["name"] for entry in entries]
    for row, entry in zip(rows, entries, strict=True):
        assert float(row["bits_per_byte held"]) == entry["sets"]["held"]
        assert row["failed_gates"].split(";") == [gate["name"] for gate in entry["gates"] if not gate["passed"]]


@pytest.mark.parametrize("shape", ["{}", "W/{}", '"other", {}', "*"])
def test_an_unchanged_snapshot_is_not_sent_again(ranked: Service, shape: str) -> None:
    etag = ranked.get("/v1/leaderboard").headers["etag"]
    answer = ranked.get("/v1/leaderboard", headers={"If-None-Match": shape.format(etag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert ranked.get("/v1/leaderboard?format=csv", headers={"If-None-Match": etag}).status_code == 200


def test_nothing_ranked_is_not_found(empty: Service) -> None:
    for path in ("leaderboard", "agreement"):
        assert problem_of(empty.get(f"/v1/{path}"))["status"] == 404


def test_references_are_labelled_and_compared(ranked: Service) -> None:
    first = ranked.post("/v1/references", REFERENCE)
    row = first.json()
    assert (first.status_code, first.headers["location"]) == (201, f"/v1/references/{row['id']}")
    assert (row["label"], row["recipe"]["name"], row["tokens"]) == ("single", "even", 10**12)
    assert ranked.post("/v1/references", REFERENCE).json() == row
    assert ranked.post("/v1/references", REFERENCE).status_code == 200
    ranked.made("/v1/references", REFERENCE | {"recipe": "only-web", "value": 1.1})
    assert ranked.get(f"/v1/references/{row['id']}").json() == row
    assert ranked.get("/v1/references?reference_set=big&recipe=even").json()["items"] == [row]
    agreement = ranked.get("/v1/agreement?protocol=tiny&suite=held-out&reference_set=big").json()
    assert (agreement["n"], agreement["is_evidence"]) == (2, False)
    assert {point["recipe"] for point in agreement["points"]} == {"even", "only-web"}
    assert ranked.get("/v1/agreement?reference_set=other").status_code == 404


def test_two_protocols_are_compared_over_the_recipes_that_both_rank(ranked: Service) -> None:
    ranked.made("/v1/protocols", PROTOCOL | {"name": "slow", "standard_rate": 0.001})
    path = "/v1/agreement/paired?protocol=slow&against=tiny"
    assert "nothing is ranked yet under protocol slow" in problem_of(ranked.get(path))["detail"]
    turned = problem_of(ranked.get("/v1/agreement/paired?protocol=tiny&against=slow"))["detail"]
    assert turned == "nothing is ranked yet under protocol slow and suite held-out@1"
    ranked.made("/v1/evaluations", {**EVALUATION, "protocol": "slow"})
    ranked.work()
    assert "no recipe of the ranking under slow@1 has a reference" in problem_of(ranked.get(path))["detail"]
    ranked.made("/v1/references", REFERENCE | {"recipe": "only-web"})
    assert "no recipe of the ranking under slow@1 has a reference" in problem_of(ranked.get(path))["detail"]
    ranked.made("/v1/references", REFERENCE)
    body = ranked.get(path).json()
    assert (body["n"], body["is_resolved"], body["reference_set"]) == (1, False, "big")
    assert (body["protocol"]["name"], body["against"]["name"], body["suite"]["name"]) == ("slow", "tiny", "held-out")
    boards = [ranked.get(f"/v1/leaderboard?protocol={name}").json() for name in ("slow", "tiny")]
    scores = [entry["score"] for board in boards for entry in board["entries"] if entry["recipe"]["name"] == "even"]
    assert [body["points"][0]["proxy"], body["points"][0]["against"]] == scores
    ranked.made("/v1/evaluations", {**EVALUATION, "recipe": "only-web", "protocol": "slow"})
    ranked.work()
    assert ranked.get(path).json()["n"] == 2
    assert ranked.get("/v1/agreement/paired?protocol=tiny&against=slow").json()["n"] == 2


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("protocol=tiny&against=tiny", "/against"),
        ("protocol=tiny&against=tiny@1", "/against"),
        ("protocol=tiny&against=none", "/against"),
        ("protocol=none&against=tiny", "/protocol"),
        ("protocol=tiny&against=tiny&suite=none", "/suite"),
        ("protocol=tiny", "/against"),
    ],
)
def test_what_cannot_be_compared_is_refused(ranked: Service, query: str, pointer: str) -> None:
    assert pointer in pointers_of(ranked.get(f"/v1/agreement/paired?{query}"))


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"value": None}, "/value"),
        ({"stopped_early": True}, "/value"),
        ({"direction": "higher"}, "/direction"),
        ({"evaluation": "eva_none"}, "/evaluation"),
        ({"recipe": "none"}, "/recipe"),
        ({"parameters": 0}, "/parameters"),
        ({"label": "tuned"}, "/label"),
    ],
)
def test_a_wrong_reference_is_named(ranked: Service, change: dict[str, object], pointer: str) -> None:
    answer = ranked.post("/v1/references", REFERENCE | change)
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
    assert ranked.get("/v1/references").json()["items"] == []
