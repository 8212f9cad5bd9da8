"""Several scales, a loss law and the history of an agreement, over HTTP and in the terminal."""

import io
from html import escape
from typing import Any

import pytest
from rich.console import Console

from api.cards import extrapolation_table
from tests.api.conftest import Service
from tests.api.service import EVALUATION, PROTOCOL, REFERENCE, problem_of

TARGET = {"parameters": 1e9, "tokens": 1e10}


def add_scale(service: Service, name: str, **changes: Any) -> None:
    service.made("/v1/protocols", PROTOCOL | {"name": name} | changes)
    for recipe in ("even", "only-web"):
        service.made("/v1/evaluations", {**EVALUATION, "recipe": recipe, "protocol": name})


def ask(service: Service, **options: Any) -> dict[str, Any]:
    answer = service.get("/v1/extrapolation", params=TARGET | options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def printed(body: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(extrapolation_table(body))
    return out.getvalue()


def test_one_scale_has_no_law_and_says_what_is_missing(ranked: Service) -> None:
    body = ask(ranked)
    assert [entry["prediction"]["loss"] for entry in body["recipes"]] == [None, None]
    assert all(entry["prediction"]["refusal"] for entry in body["recipes"])
    assert body["trust"] == "neither is shown to be better"
    assert "2 without a law" in printed(body)


def test_several_scales_have_a_law_that_nobody_has_to_believe(ranked: Service) -> None:
    wide = PROTOCOL["architecture"] | {"width": 32}
    add_scale(ranked, "longer", steps=8)
    add_scale(ranked, "wide", architecture=wide)
    add_scale(ranked, "wide-longer", architecture=wide, steps=8)
    ranked.work()
    body = ask(ranked)
    assert len(body["protocols"]) == 4
    assert {entry["recipe"] for entry in body["recipes"]} == {"even", "only-web"}
    assert all(entry["single_scale_rank"] in (1, 2) for entry in body["recipes"])
    assert body["trust"] == "neither is shown to be better"
    assert body["sentence"] in printed(body).replace("\n", " ") or body["sentence"][:40] in printed(body)
    assert len(ask(ranked, protocol=["tiny", "wide"])["protocols"]) == 2
    page = ranked.get("/", params=TARGET | {"scales": "compared"})
    assert page.status_code == 200
    assert "At 1e+09 parameters and 1e+10 tokens" in page.text
    assert escape(body["sentence"]) in page.text
    assert all(f"{name}@1" in page.text for name in ("tiny", "longer", "wide", "wide-longer"))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "parameters"),
        ({"parameters": "many", "tokens": "1"}, "must be a number"),
        ({"parameters": "-1"}, "above 0"),
    ],
)
def test_the_page_says_what_a_target_lacks(ranked: Service, query: dict[str, str], words: str) -> None:
    page = ranked.get("/", params=query | {"scales": "compared"})
    assert page.status_code == 200
    notice = page.text.split('id="questions"')[1].split("notice is-warning")[1].split("</p>")[0]
    assert words in notice


def test_the_references_scale_is_the_target(ranked: Service) -> None:
    ranked.made("/v1/references", REFERENCE)
    answer = ranked.get("/v1/extrapolation")
    assert answer.status_code == 200, answer.text
    assert answer.json()["target"] == {"parameters": 1e10, "tokens": 1e12}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({}, "parameters"),
        ({"parameters": "1e30", "tokens": "1"}, "parameters"),
        ({"parameters": "nan", "tokens": "1"}, "parameters"),
        (TARGET | {"reference_set": "nobody"}, "reference_set"),
        (TARGET | {"protocol": "unknown"}, "protocol"),
        (TARGET | {"exponents": "none"}, "exponents"),
    ],
)
def test_bad_questions_are_named(ranked: Service, query: dict[str, Any], words: str) -> None:
    answer = ranked.get("/v1/extrapolation", params=query)
    assert answer.status_code == 422
    assert words in str(problem_of(answer))


def test_two_protocols_of_one_scale_are_refused(ranked: Service) -> None:
    add_scale(ranked, "slower", standard_rate=0.005)
    ranked.work()
    answer = ranked.get("/v1/extrapolation", params=TARGET)
    assert answer.status_code == 422
    assert "same size and budget" in problem_of(answer)["detail"]


def test_nothing_ranked_is_not_found(empty: Service) -> None:
    assert empty.get("/v1/extrapolation", params=TARGET).status_code == 404


def test_history_has_every_comparison(ranked: Service) -> None:
    for index, recipe in enumerate(("even", "only-web")):
        ranked.made("/v1/references", REFERENCE | {"recipe": recipe, "value": 0.9 + index})
    table = "kind,proxy_set,reference_set,recipe,metric,direction,value,parameters,tokens\n"
    table += "".join(f"proxy,past,,{name},loss,lower,{value},1,1\n" for name, value in (("even", 1), ("only-web", 2)))
    headers = {"X-API-Key": ranked.key, "Content-Type": "text/csv"}
    assert ranked.http.post("/v1/references:import", content=table, headers=headers).is_success
    found = ranked.get("/v1/agreement/history").json()["items"]
    assert [(one["proxy_set"], one["n"]) for one in found] == [("past", 2), (None, 2), (None, 1)]
    assert found[1]["protocol"]["name"] == "tiny"
    assert len(ranked.get("/v1/agreement/history", params={"proxy_set": "past"}).json()["items"]) == 1
    page = ranked.get("/").text
    rivals = page.split("every protocol tried</h3>")[1].split("</table>")[0]
    assert "scores from elsewhere" in rivals
    assert "proxy_set=past" in rivals
