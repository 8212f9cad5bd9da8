"""Tables of results over HTTP: all rows or none, faults row by row, replays of what was measured elsewhere."""

import json
from typing import Any

import httpx2
import numpy as np
import pytest
from scipy import stats

from tests.api.service import REFERENCE, Service, pointers_of, problem_of
from worker.store.models import Agreement, ExternalScore, Reference
from worker.store.sessions import read_scope

HEADER = "reference_set,recipe,metric,direction,value,parameters,tokens,learning_rate,seed,weight_decay,date\n"
GOOD = "big,even,loss,lower,0.9,1000,2000,0.001,0,0.1,2026-01-31\n"


def send(service: Service, text: str, **params: bool) -> httpx2.Response:
    options = {"content": text.encode(), "params": params, "headers": {"Content-Type": "text/csv"}}
    return service.post("/v1/references:import", **options)


def count(service: Service, model: Any) -> int:
    with read_scope(service.sessions) as session:
        return session.query(model).count()


def counts_of(answer: httpx2.Response) -> tuple[int, int, int]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["imported"], body["unchanged"], body["refused"]


def test_a_table_is_registered_at_once_and_again_changes_nothing(ranked: Service) -> None:
    table = HEADER + GOOD + GOOD.replace("0.1,", "0.3,").replace("0.9", "0.8") + GOOD.replace("even", "only-web")
    assert counts_of(send(ranked, table)) == (3, 0, 0)
    assert counts_of(send(ranked, table)) == (0, 3, 0)
    rows = ranked.get("/v1/references?recipe=even").json()["items"]
    assert {row["value"]: row["is_best"] for row in rows} == {0.9: False, 0.8: True}
    assert [rows[0][name] for name in ("date", "seed", "recipe_name")] == ["2026-01-31", 0, "even"]
    assert rows[0]["hyperparameters"].keys() == {"weight_decay"}
    assert {row["label"] for row in rows} == {"swept, at the edge"}


def test_agreement_is_measured_once_an_import(ranked: Service) -> None:
    send(ranked, HEADER + GOOD + GOOD.replace("even", "only-web"))
    assert count(ranked, Agreement) == 1
    assert ranked.get("/v1/agreement?reference_set=big").json()["n"] == 2


def test_what_was_posted_before_is_unchanged(ranked: Service) -> None:
    body = {name: value for name, value in REFERENCE.items() if name != "direction"}
    ranked.made("/v1/references", REFERENCE | {"hyperparameters": {"batch": 256}})
    table = (
        ",".join([*body, "direction", "batch"]) + "\n" + ",".join(map(str, [*body.values(), "lower", "256.0"])) + "\n"
    )
    assert counts_of(send(ranked, table)) == (0, 1, 0)


FAULTS = (
    HEADER
    + GOOD
    + (
        "big,even,loss,lower,nan,1000,2000,0.001,1,0.1,\n"
        "big,nobody,loss,lower,0.9,1000,2000,0.001,0,0.1,\n"
        "big,even,loss,higher,0.9,1000,2000,0.001,2,0.1,\n"
        "big,even,perplexity,higher,9,1000,2000,0.001,2,0.1,\n"
        "big,even,loss,lower,0.9,0,2000,-1,2,inf,20260199\n"
        "big,even,loss,lower,,1000,2000,0.001,3,0.1,\n"
        "big,even,loss,lower,0.8,1000,2000,1e-3,0,0.10,\n"
        ",even,loss,lower,0.8,1000,2000,1e-3,4,0.10,\n"
        "big,even,loss,lower,0.8\n"
    )
)
EXPECTED = {
    "/rows/1/value",
    "/rows/2/recipe",
    "/rows/3/direction",
    "/rows/4/direction",
    "/rows/5/parameters",
    "/rows/5/learning_rate",
    "/rows/5/weight_decay",
    "/rows/5/date",
    "/rows/6/value",
    "/rows/7/recipe",
    "/rows/8/reference_set",
    "/rows/9",
}


def test_one_fault_keeps_everything_out_and_all_are_named(ranked: Service) -> None:
    answer = send(ranked, FAULTS)
    assert answer.status_code == 422
    assert set(pointers_of(answer)) == EXPECTED
    errors = {error["pointer"]: error for error in problem_of(answer)["errors"]}
    assert errors["/rows/1/value"]["detail"].startswith("line 3: ")
    assert (errors["/rows/1/value"]["value"], errors["/rows/2/recipe"]["value"]) == ("nan", "nobody")
    assert "line 2 has the same" in errors["/rows/7/recipe"]["detail"]
    assert count(ranked, Reference) == 0


def test_the_good_rows_are_taken_where_that_is_asked(ranked: Service) -> None:
    answer = send(ranked, FAULTS, partial=True)
    assert counts_of(answer) == (1, 0, 9)
    assert {error["pointer"] for error in answer.json()["errors"]} == EXPECTED
    assert count(ranked, Reference) == 1


def test_no_result_is_overwritten(ranked: Service) -> None:
    send(ranked, HEADER + GOOD)
    answer = send(ranked, HEADER + GOOD.replace("0.9", "0.7"))
    assert pointers_of(answer) == ["/rows/0/value"]
    assert "0.9 is stored" in problem_of(answer)["detail"]


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (b"", "/header"),
        (b"\xff\xfe", "/header"),
        (b"recipe,value\na,1\n", "/header/metric"),
        (HEADER.encode(), "/header"),
        (HEADER.encode() + b"\n" + GOOD.encode() * 20_001, "/header"),
    ],
)
def test_what_is_no_table_is_refused(ranked: Service, content: bytes, pointer: str) -> None:
    headers = {"Content-Type": "text/csv"}
    answer = ranked.post("/v1/references:import", content=content, headers=headers, params={"partial": True})
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])


def test_other_bodies_and_strangers_are_refused(ranked: Service) -> None:
    assert ranked.post("/v1/references:import", {"value": 1}).status_code == 415
    assert ranked.http.post("/v1/references:import", content=b"").status_code == 401


def replay(n: int, *, seeds: int = 1, name: str = "past") -> tuple[str, list[float], list[float]]:
    """Proxies and references of n recipes that are registered nowhere, in one table."""
    rng = np.random.default_rng(n)
    truth = rng.normal(size=n)
    proxy = truth + 0.3 * rng.normal(size=n)
    lines = ["kind,proxy_set,reference_set,recipe,metric,direction,value,parameters,tokens,seed,axis"]
    for index in range(n):
        axis = "filter" if index % 2 else "dedup"
        for seed in range(seeds):
            value = proxy[index] + (seed - (seeds - 1) / 2)
            lines.append(f"proxy,{name},,mix/{index},val_loss,lower,{value!r},1000000,20000,{seed},{axis}")
        lines.append(f"reference,,large,mix/{index},core_v1,higher,{-truth[index]!r},1000000000,20000000,,{axis}")
    return "\n".join(lines).replace("np.float64(", "").replace(")", ""), list(proxy), list(truth)


def test_a_teams_past_is_replayed_without_its_corpora(empty: Service) -> None:
    table, proxy, truth = replay(14, seeds=2)
    assert pointers_of(send(empty, table))[0] == "/rows/0/recipe"
    assert counts_of(send(empty, table, allow_unregistered=True)) == (42, 0, 0)
    scores = empty.get("/v1/proxy-scores?proxy_set=past&limit=500").json()["items"]
    assert {score["recipe_name"] for score in scores} <= {f"mix/{index}" for index in range(100)}
    assert {score["proxy_set"] for score in scores} == {"past"}
    assert empty.get("/v1/proxy-scores?proxy_set=nobody").status_code == 422
    body = empty.get("/v1/agreement?proxy_set=past&reference_set=large").json()
    assert body == empty.get("/v1/agreement?proxy_set=past").json()
    assert (body["n"], body["protocols_tried"], body["proxy_metric"], body["metric"]) == (14, 1, "val_loss", "core_v1")
    assert body["spearman"] == pytest.approx(stats.spearmanr(proxy, truth)[0])
    assert body["spearman_low"] < body["spearman"] < body["spearman_high"]
    assert set(body["by_axis"]) == {"filter", "dedup"}
    assert " evidence: 14 recipes" in body["conclusion"]
    assert body["points"][0]["proxy"] == pytest.approx(min(proxy))
    json.dumps(body, allow_nan=False)
    first = empty.get("/v1/references?recipe=mix/3").json()["items"]
    assert [(row["recipe"], row["recipe_name"], row["axis"]) for row in first] == [(None, "mix/3", "filter")]


def test_each_side_that_changes_makes_a_snapshot_and_nothing_else_does(empty: Service) -> None:
    table, _, _ = replay(6)
    for _ in range(2):
        send(empty, table, allow_unregistered=True)
    assert count(empty, Agreement) == 1
    more = table.replace("mix/", "new/").replace("large", "other")
    send(empty, more, allow_unregistered=True)
    assert count(empty, Agreement) == 2 + 1  # past against large again, and against other
    assert empty.get("/v1/agreement?proxy_set=past&reference_set=large").json()["n"] == 6


def test_proxies_tried_against_one_set_are_counted(empty: Service) -> None:
    for name in ("first", "second"):
        send(empty, replay(6, name=name)[0], allow_unregistered=True)
    assert empty.get("/v1/agreement?proxy_set=second").json()["protocols_tried"] == 2


def test_a_registered_recipe_and_its_name_are_one(ranked: Service) -> None:
    rows = [f"proxy,past,,{name},loss,lower,{value},1,1" for name, value in (("even", 1), ("theirs", 2))]
    rows += [f"reference,,large,{name},loss,lower,{value},9,9" for name, value in (("even", 1), ("theirs", 2))]
    header = "kind,proxy_set,reference_set,recipe,metric,direction,value,parameters,tokens"
    assert counts_of(send(ranked, "\n".join([header, *rows]), allow_unregistered=True)) == (4, 0, 0)
    body = ranked.get("/v1/agreement?proxy_set=past").json()
    assert {point["recipe"] for point in body["points"]} == {"even", "theirs"}
    assert body["conclusion"].startswith("No evidence: only 2 recipes")
    ranked_points = ranked.get("/v1/agreement?protocol=tiny&reference_set=large").json()["points"]
    assert [point["recipe"] for point in ranked_points] == ["even"]


def test_a_proxy_has_one_setting_a_recipe(empty: Service) -> None:
    header = "kind,proxy_set,recipe,metric,direction,value,parameters,tokens,learning_rate\n"
    rows = [f"proxy,past,a,loss,lower,{value},1,1,{rate}" for value, rate in ((1, 0.1), (2, 0.2))]
    assert pointers_of(send(empty, header + "\n".join(rows), allow_unregistered=True)) == ["/rows/1/proxy_set"]
    assert counts_of(send(empty, header + rows[0], allow_unregistered=True)) == (1, 0, 0)
    assert pointers_of(send(empty, header + rows[1], allow_unregistered=True)) == ["/rows/0/proxy_set"]
    assert count(empty, ExternalScore) == 1


def test_unknown_sets_and_mixed_questions_are_refused(empty: Service) -> None:
    send(empty, replay(6)[0], allow_unregistered=True)
    assert "did you mean past?" in problem_of(empty.get("/v1/agreement?proxy_set=pasd"))["detail"]
    assert empty.get("/v1/agreement?proxy_set=past&reference_set=none").status_code == 404
    assert pointers_of(empty.get("/v1/agreement?proxy_set=past&protocol=tiny")) == ["/proxy_set"]


def test_a_name_that_no_column_holds_is_refused(empty: Service) -> None:
    table = HEADER + GOOD.replace("even", "e" * 201)
    assert pointers_of(send(empty, table, allow_unregistered=True)) == ["/rows/0/recipe"]
