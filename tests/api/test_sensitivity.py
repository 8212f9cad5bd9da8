"""How the ranking hangs on the suite's weights, over HTTP and in the terminal."""

import io

import pytest
from rich.console import Console

from api.cards import sensitivity_table
from tests.api.conftest import Service
from tests.api.service import EVALUATION, problem_of


def test_a_suite_of_two_sets_says_which_decides(ranked: Service) -> None:
    parts = [{"name": name, "corpus": name, "weight": weight} for name, weight in (("held", 3), ("code", 1))]
    ranked.made("/v1/suites", {"name": "two", "sets": parts})
    ranked.made("/v1/recipes", {"name": "web-alone", "sources": [{"corpus": "web", "weight": 1, "max_epochs": 50}]})
    answer = ranked.post("/v1/evaluations", {**EVALUATION, "recipe": "only-web", "suite": "two"})
    assert answer.is_success, answer.text
    ranked.work()
    body = ranked.get("/v1/leaderboard/sensitivity", params={"suite": "two"}).json()
    assert [(part["name"], part["share"]) for part in body["sets"]] == [("held", 0.75), ("code", 0.25)]
    assert "only one recipe" in body["note"]


def test_the_terminal_shows_each_set(ranked: Service) -> None:
    body = ranked.get("/v1/leaderboard/sensitivity").json()
    assert body["decides"] is None
    assert {regret["recipe"] for regret in body["recipes"]} == {"even", "only-web"}
    out = io.StringIO()
    Console(file=out, width=160).print(sensitivity_table(body))
    assert "held-out@1 under tiny@1" in out.getvalue()
    assert "only set" in out.getvalue()


@pytest.mark.parametrize("factor", ["0.5", "nan", "x", "1e9"])
def test_a_bad_factor_is_named(ranked: Service, factor: str) -> None:
    answer = ranked.get("/v1/leaderboard/sensitivity", params={"factor": factor})
    assert answer.status_code == 422
    assert "factor" in problem_of(answer)["detail"]


def test_nothing_ranked_is_not_found(empty: Service) -> None:
    assert empty.get("/v1/leaderboard/sensitivity").status_code == 404
