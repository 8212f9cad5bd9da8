"""The flip certificate over HTTP, in the terminal and on the page."""

import io
import json
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import select
from typer.testing import CliRunner

from api import cli
from api.cards import flips_table
from tests.api.conftest import Service
from tests.api.service import EVALUATION, PROTOCOL, problem_of, refuse_rankings
from worker.evaluations import conclude_runs
from worker.store.models import Run
from worker.store.sessions import session_scope
from worker.store.states import State


@pytest.fixture
def ladder(ranked: Service) -> Service:
    """The two recipes at a tenth of the rate as well."""
    ranked.made("/v1/protocols", PROTOCOL | {"name": "slow", "reduction": 0.1})
    for recipe in ("even", "only-web"):
        ranked.made("/v1/evaluations", {**EVALUATION, "recipe": recipe, "protocol": "slow"})
    ranked.work()
    return ranked


def printed(body: dict[str, Any]) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(flips_table(body))
    return out.getvalue()


def test_a_ladder_of_two_rates_is_certified_everywhere(ladder: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    body = ladder.get("/v1/flips", params={"protocol": "slow"}).json()
    assert body["rates"] == pytest.approx([1e-3, 1e-2])
    assert body["own_rate"] == pytest.approx(1e-3)
    assert [rung["protocols"] for rung in body["ladder"]] == [["slow@1"], ["tiny@1"]]
    assert body["stable"] + body["flipping"] + body["unresolved"] == 1
    assert body["error_rate"] == 0.05
    assert body["pair"] is None
    text = printed(body)
    assert "slow@1 on held-out@1" in text
    assert body["sentence"] in " ".join(text.split())
    pair = ladder.get("/v1/flips", params={"first": "even", "second": "only-web"}).json()
    board = ladder.get("/v1/leaderboard", params={"protocol": "tiny"}).json()
    scores = {entry["recipe"]["name"]: entry["score"] for entry in board["entries"]}
    by_rate = pair["pairs"][0]["by_rate"]
    assert by_rate[1]["difference"] == pytest.approx(scores["even"] - scores["only-web"])
    assert "even − only-web" in printed(pair)
    assert "error rate of 0.05" in printed(pair)

    monkeypatch.setattr("api.questions.connect", lambda *_: Reader(ladder))
    asked = CliRunner().invoke(cli.app, ["flips", "even", "only-web", "--protocol", "slow", "--json"])
    assert json.loads(asked.output)["sentence"] == pair["sentence"]
    assert "Verdict" in CliRunner().invoke(cli.app, ["flips", "--protocol", "slow"]).output

    page = ladder.get("/", params={"protocol": "slow", "a": "even", "b": "only-web"}).text
    assert body["badge"] in page
    assert "Over 2 learning rates" in page
    assert pair["sentence"] in page
    monkeypatch.setattr("api.dashboard.pages.QUICK_RECIPES", 1)
    long = ladder.get("/", params={"protocol": "slow"}).text
    assert 'id="ask-flips"' in long
    assert 'id="ranking-flips"' not in long
    assert 'id="ranking-flips"' in ladder.get("/", params={"protocol": "slow", "flips": "asked"}).text
    assert 'id="pair-flips"' in page
    assert 'id="ranking-flips"' in page
    refuse_rankings(ladder, "The anchors fail.")
    refused = ladder.get("/v1/flips", params={"protocol": "slow"}).json()
    assert (body["refused"], refused["refused"]) == (None, "The anchors fail.")
    assert "Refused for ranking: The anchors fail." in printed(refused)
    page = ladder.get("/", params={"protocol": "slow", "a": "even", "b": "only-web"}).text
    assert page.count("Refused for ranking</strong> The anchors fail.") == 2  # the card and the certificate
    for query, pointer in (({"first": "even"}, "second"), ({"first": "evn", "second": "even"}, "first")):
        answer = ladder.get("/v1/flips", params=query)
        assert answer.status_code == 422
        assert problem_of(answer)["errors"][0]["pointer"] == pointer


class Reader:
    """The client of the command line, without a socket."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, path: str, **options: Any) -> Any:
        answer = self.service.get(path, params={name: value for name, value in options.items() if value is not None})
        assert answer.is_success, answer.text
        return answer.json()


def test_one_rate_is_refused_and_the_page_says_nothing_of_it(ranked: Service) -> None:
    answer = ranked.get("/v1/flips")
    assert answer.status_code == 422
    problem = problem_of(answer)
    assert "but for the learning rate" in problem["detail"]
    assert problem["errors"][0]["value"] == "tiny@1"
    assert "flips" not in ranked.get("/", params={"a": "even", "b": "only-web"}).text


def test_where_everything_broke_the_page_shows_the_marks_alone(ladder: Service) -> None:
    ladder.made("/v1/protocols", PROTOCOL | {"name": "hot", "standard_rate": 0.1})
    for recipe in ("even", "only-web"):
        ladder.made("/v1/evaluations", {**EVALUATION, "recipe": recipe, "protocol": "hot"})
    with session_scope(ladder.sessions) as session:
        runs = session.scalars(select(Run).where(Run.state == State.QUEUED)).all()
        for run in runs:
            run.state, run.error, run.result = State.FAILED, "the training loss became nan", {"failed_step": 3}
        conclude_runs(session, ladder.settings, [run.id for run in runs])
    answer = ladder.get("/v1/flips", params={"protocol": "hot"})
    assert (answer.status_code, problem_of(answer)["errors"]) == (409, [])
    for query in ({}, {"protocol": "hot"}):
        page = ladder.get("/", params=query)
        assert page.status_code == 200
        assert "the training loss became nan" in page.text
        assert "ranking-flips" not in page.text


def test_nothing_ranked_is_not_found(empty: Service) -> None:
    assert empty.get("/v1/flips").status_code == 404
