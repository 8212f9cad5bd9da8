"""The decision card over HTTP and in the terminal."""

import io
from typing import Any

import pytest
from rich.console import Console

from api.cards import decision_card
from tests.api.conftest import Service
from tests.api.service import EVALUATION, REFERENCE, problem_of, refuse_rankings

PAIR = {"a": "even", "b": "only-web"}


def card(service: Service, **options: Any) -> dict[str, Any]:
    answer = service.get("/v1/compare", params=PAIR | options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def printed(body: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(decision_card(body))
    return out.getvalue()


def test_without_references_the_card_speaks_of_the_proxy_alone(ranked: Service) -> None:
    body = card(ranked)
    assert body["target"] is None
    assert body["verdict"]["verdict"] in ("more seeds", "undecidable under this protocol")
    assert body["verdict"]["scale"] == "proxy"
    assert body["difference"]["difference"] == pytest.approx(body["a"]["score"] - body["b"]["score"])
    assert set(body["sets"]) == {"held"}
    assert body["a"]["cost"]["runs"] == body["a"]["seeds"] == 2
    assert body["a"]["cost"]["flops"] > 0
    text = printed(body)
    assert "this suite" in text
    assert f"Verdict: {body['verdict']['verdict']}" in text


def test_a_refused_ranking_is_told_of_beside_the_card(ranked: Service) -> None:
    assert card(ranked)["refused"] is None
    assert "Refused" not in printed(card(ranked))
    refuse_rankings(ranked, "The anchors fail.")
    assert card(ranked)["refused"] == "The anchors fail."
    assert "Refused for ranking: The anchors fail." in printed(card(ranked))
    assert "Refused for ranking</strong> The anchors fail." in ranked.get("/", params=PAIR).text


def test_one_reference_is_too_little_and_it_says_so(ranked: Service) -> None:
    ranked.made("/v1/references", REFERENCE)
    body = card(ranked)
    assert body["target"]["p_better"] is None
    assert "5 are the least" in body["target"]["refusal"]
    assert body["a"]["reference"] == {"value": 0.9, "label": "single"}
    assert body["b"]["reference"] is None
    assert "5 are the least" in printed(body)


def test_both_references_answer_for_themselves(ranked: Service) -> None:
    ranked.made("/v1/references", REFERENCE)
    ranked.made("/v1/references", REFERENCE | {"recipe": "only-web", "value": 0.8})
    body = card(ranked)
    assert body["target"]["measured"] == pytest.approx(-0.1)  # goodness of A minus that of B: B is better
    assert "only-web reached the better reference, by 0.1000" in printed(body)


def test_turned_around_the_signs_turn(ranked: Service) -> None:
    there, back = card(ranked), card(ranked, a="only-web", b="even")
    assert there["difference"]["difference"] == -back["difference"]["difference"]
    assert there["difference"]["p_better"] == pytest.approx(1 - back["difference"]["p_better"])


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"a": "evn"}, 422, "a"),
        ({"b": "even"}, 422, "same recipe"),
        ({"protocol": "other"}, 422, "protocol"),
        ({"tolerance": "-1"}, 422, "tolerance"),
        ({"tolerance": "nan"}, 422, "tolerance"),
        ({"seed_limit": "1"}, 422, "seed_limit"),
    ],
)
def test_bad_questions_are_named(ranked: Service, query: dict[str, str], status: int, words: str) -> None:
    answer = ranked.get("/v1/compare", params=PAIR | query)
    assert answer.status_code == status
    assert words in str(problem_of(answer))


def test_nothing_ranked_is_not_found(service: Service) -> None:
    service.made("/v1/recipes", {"name": "x", "sources": [{"corpus": "web", "weight": 1}]})
    service.made("/v1/recipes", {"name": "y", "sources": [{"corpus": "code", "weight": 1}]})
    assert service.get("/v1/compare", params={"a": "x", "b": "y"}).status_code == 404


def test_a_recipe_without_a_run_is_a_conflict(ranked: Service) -> None:
    ranked.made("/v1/recipes", {"name": "x", "sources": [{"corpus": "web", "weight": 1}]})
    answer = ranked.get("/v1/compare", params={"a": "even", "b": "x"})
    assert answer.status_code == 409
    assert "no sound run" in problem_of(answer)["detail"]


def test_a_protocol_can_keep_the_seed_noise_of_its_recipes(ranked: Service) -> None:
    body = {"suite": "held-out", "recipes": ["even", "only-web"]}
    made = ranked.post("/v1/protocols/tiny:measure-anchors", body)
    assert (made.status_code, made.json()["version"]) == (201, 2)
    assert ranked.post("/v1/protocols/tiny@1:measure-anchors", body).status_code == 200
    ranked.made("/v1/recipes", {"name": "web-only-once", "sources": [{"corpus": "code", "weight": 1}]})
    ranked.made("/v1/evaluations", {**EVALUATION, "recipe": "web-only-once", "protocol": "tiny@2", "seeds": 1})
    ranked.work()
    board = ranked.get("/v1/leaderboard", params={"protocol": "tiny@2"}).json()
    assert sorted(entry["seeds"] for entry in board["entries"]) == [1, 2, 2]
    assert all(entry["score_low"] is not None for entry in board["entries"])
    wrong = ranked.post("/v1/protocols/tiny:measure-anchors", {"suite": "held-out", "recipes": ["web-only-once"]})
    assert wrong.status_code == 422
    assert problem_of(wrong)["errors"][0]["pointer"] == "/recipes/0"


def test_the_page_compares_and_varies_weights_where_that_is_asked(ranked: Service) -> None:
    plain = ranked.get("/").text
    assert "Which of two?" in plain
    assert 'id="card"' not in plain
    page = ranked.get("/", params={"a": "even", "b": "only-web", "weights": "varied"}).text
    assert "even − only-web" in page
    assert "New text of its kind" in page
    assert "only set" in page
    same = ranked.get("/", params={"a": "even", "b": "even"})
    assert (same.status_code, "is the same recipe" in same.text) == (200, True)
    assert "no such recipe" in ranked.get("/", params={"a": "even", "b": "<b>"}).text
