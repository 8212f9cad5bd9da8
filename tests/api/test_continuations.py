"""Suites of continuations through the service: registered, trained against, scored later, and kept out of training."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.api.service import EVALUATION, PROTOCOL, RECIPE, Service, pointers_of, problem_of
from worker.artifacts import read_losses, stored_path
from worker.store.models import RunScore
from worker.store.sessions import read_scope, session_scope

Record = dict[str, Any]

ITEMS: list[Record] = [
    {"question": f"Asked for the {n}th time, what does worker number {n} claim before it trains anything at all?",
     "answer": f" It claims run {n} from the queue.", "page": n // 2}
    for n in range(6)
]  # fmt: skip
QA = {"name": "qa", "corpus": "qa", "prompt_field": "question"}
SUITE = {"name": "asked", "sets": [{"name": "held", "corpus": "held"}, {**QA, "cluster_field": "page", "weight": 3}]}


def register(service: Service, folder: Path, name: str, records: list[Record], **options: Any) -> None:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    service.made("/v1/corpora", {"name": name, "uri": str(path), **options})


def register_questions(service: Service, folder: Path, items: list[Record] = ITEMS, name: str = "qa") -> None:
    register(service, folder, name, items, text_field="answer", fields=["question", "page"])
    service.work()


def run_of(service: Service, evaluation: Record) -> Record:
    """The only run of an evaluation."""
    (run,) = service.get(f"/v1/evaluations/{evaluation['id']}/runs").json()["items"]
    found: Record = service.get(f"/v1/runs/{run['id']}").json()
    return found


def test_continuations_are_trained_against_and_scored_again_like_any_set(service: Service, tmp_path: Path) -> None:
    register_questions(service, tmp_path)
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/recipes", RECIPE)
    service.made("/v1/suites", SUITE)
    made = service.made("/v1/evaluations", {**EVALUATION, "suite": "asked", "seeds": 1})
    service.work()
    run = run_of(service, made)
    (trained,) = run["scores"]
    assert trained["score"] == pytest.approx((trained["sets"]["held"] + 3 * trained["sets"]["qa"]) / 4)
    assert_losses_are_of_the_answers(service, trained)
    service.made("/v1/suites", {"name": "qa-alone", "sets": [QA]})
    later = service.made("/v1/evaluations", {**EVALUATION, "suite": "qa-alone", "seeds": 1})
    service.work()
    again = run_of(service, later)
    assert (again["id"], again["attempt"], again["state"]) == (run["id"], 1, "finished")
    rescored = next(score for score in again["scores"] if score["suite"]["name"] == "qa-alone")
    assert rescored["score"] == trained["sets"]["qa"]
    assert [one["sets"]["qa"] for one in rescored["checkpoints"]] == [
        one["sets"]["qa"] for one in trained["checkpoints"]
    ]
    board = service.get("/v1/leaderboard?protocol=tiny&suite=qa-alone").json()
    assert [entry["recipe"]["name"] for entry in board["entries"]] == ["even"]


def assert_losses_are_of_the_answers(service: Service, score: Record) -> None:
    with read_scope(service.sessions) as session:
        row = session.scalars(select(RunScore)).one()
    losses = read_losses(stored_path(service.settings, row.artifact))["qa"]
    answers = [len(item["answer"].encode()) for item in ITEMS]
    assert sorted(losses.text_bytes.tolist()) == sorted(answers)
    assert sorted(losses.clusters.tolist()) == [0, 0, 1, 1, 2, 2]
    assert score["sets"]["qa"] == pytest.approx(losses.nats.sum() / math.log(2) / sum(answers))


def test_a_prompt_changes_what_its_continuation_costs(service: Service, tmp_path: Path) -> None:
    register_questions(service, tmp_path)
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/recipes", RECIPE)
    plain = {"name": "plain", "corpus": "qa"}
    service.made("/v1/suites", {"name": "both", "sets": [QA, plain]})
    made = service.made("/v1/evaluations", {**EVALUATION, "suite": "both", "seeds": 1})
    service.work()
    (score,) = run_of(service, made)["scores"]
    assert score["sets"]["qa"] != score["sets"]["plain"]


def test_what_gives_a_continuation_away_is_marked_and_can_be_removed(service: Service, tmp_path: Path) -> None:
    register_questions(service, tmp_path)
    register(service, tmp_path, "asks", [{"text": item["question"]} for item in ITEMS])
    register(service, tmp_path, "tells", [{"text": item["question"] + item["answer"]} for item in ITEMS])
    service.made("/v1/protocols", {**PROTOCOL, "steps": 20})
    clean = {"corpus": "qa", "prompt_field": "question"}
    service.made("/v1/protocols", {**PROTOCOL, "steps": 20, "name": "clean", "decontamination": clean})
    service.made("/v1/suites", {"name": "qa", "sets": [QA]})
    service.work()
    made = {
        (corpus, protocol): service.made(
            "/v1/evaluations",
            {"recipe": {"name": corpus, "sources": [{"corpus": corpus, "weight": 1, "max_epochs": 99}]},
             "protocol": protocol, "suite": "qa", "seeds": 1},
        )
        for corpus in ("asks", "tells")
        for protocol in ("tiny", "clean")
    }  # fmt: skip
    service.work()
    runs = {key: run_of(service, evaluation) for key, evaluation in made.items()}
    assert "no document of tells is left" in runs.pop(("tells", "clean"))["error"]
    leaks = {
        key: next(gate["value"] for gate in run["scores"][0]["gates"] if gate["name"] == "leak")
        for key, run in runs.items()
    }
    assert leaks.pop(("tells", "tiny")) > 0.5
    assert set(leaks.values()) == {0.0}


def test_training_on_the_questions_with_their_answers_is_refused(service: Service, tmp_path: Path) -> None:
    register_questions(service, tmp_path)
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/suites", {"name": "qa", "sets": [QA]})
    recipe = {"name": "leaking", "sources": [{"corpus": "qa", "weight": 1, "max_epochs": 99}]}
    answer = service.post("/v1/evaluations", {"recipe": recipe, "protocol": "tiny", "suite": "qa"})
    assert "6 of the 6 documents of validation set 'qa'" in problem_of(answer)["detail"]


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"prompt_field": "ask"}, "/sets/0/prompt_field", "it has question, page"),
        ({"prompt_field": "answer"}, "/sets/0/prompt_field", "is the text of corpus qa itself"),
        ({"prompt_field": "page"}, "/sets/0/prompt_field", "6 of 6 documents have no text in this field"),
        ({"corpus": "mixed"}, "/sets/0/prompt_field", "2 of 4 documents have no text in this field to continue"),
        ({"corpus": "silent"}, "/sets/0/corpus", "1 of 2 documents have an empty text"),
        ({"prompt_field": 5}, "/sets/0/prompt_field", "string"),
    ],
)
def test_what_is_no_set_of_continuations_is_refused_by_field_and_value(
    service: Service, tmp_path: Path, change: Record, pointer: str, words: str
) -> None:
    register_questions(service, tmp_path)
    odd = [{"question": value, "answer": " a", "page": 0} for value in ("why?", 5, None, "how?")]
    register_questions(service, tmp_path, odd, "mixed")
    silent = [{"question": "why?", "answer": text, "page": 0} for text in ("", " so")]
    register_questions(service, tmp_path, silent, "silent")
    answer = service.post("/v1/suites", {"name": "qa", "sets": [{**QA, **change}]})
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
    (error,) = problem_of(answer)["errors"]
    assert words in error["detail"]
    assert error["value"] == {**QA, **change}[pointer.rpartition("/")[2]]
    assert service.get("/v1/suites").json()["items"] == []


def test_a_decontamination_set_without_the_prompt_field_is_refused(service: Service) -> None:
    settings = {"corpus": "held", "prompt_field": "question"}
    answer = service.post("/v1/protocols", {**PROTOCOL, "decontamination": settings})
    assert pointers_of(answer) == ["/decontamination/prompt_field"]


def test_a_run_shows_the_scores_that_its_score_averages(ranked: Service) -> None:
    run = ranked.post("/v1/evaluations", EVALUATION).json()["runs"][0]
    (score,) = run["scores"]
    found = score["checkpoints"]
    assert [(one["step"], one["tokens"]) for one in found] == [(2, 64), (3, 96), (4, 128)]
    assert sum(one["score"] for one in found) / 3 == pytest.approx(score["score"])
    assert all(one["sets"] == {"held": pytest.approx(one["score"])} for one in found)
    assert [one["is_budget"] for one in found] == [False] * 3  # before the end of the warm-up
    table = ranked.get(f"/v1/runs/{run['id']}/scores").json()
    assert table["rows"][0] == ["held-out@1", None, None, None, score["score"], None]
    assert table["rows"][2] == ["held-out@1", None, 2, 64, found[0]["score"], False]
    assert len(table["rows"]) == 2 * 4
    as_csv = ranked.get(f"/v1/runs/{run['id']}/scores?format=csv")
    assert as_csv.headers["content-type"].startswith("text/csv")
    lines = as_csv.text.splitlines()
    assert lines[0] == ",".join(table["columns"])
    assert lines[3] == f"held-out@1,,2,64,{found[0]['score']!r},false"


def test_budgets_are_read_off_a_constant_schedule_of_an_even_stream(service: Service) -> None:
    """After the warm-up, and where no source comes twice."""
    asked = {**PROTOCOL, "name": "long", "steps": 10, "schedule": {"kind": "constant", "warmup_steps": 9}}
    service.made("/v1/protocols", asked)
    service.made("/v1/suites", {"name": "held-out", "sets": [{"name": "held", "corpus": "held"}]})
    web = {"corpus": "web", "weight": 1}
    few = {"max_epochs": 99, "filters": [{"kind": "field", "field": "page", "maximum": 1}]}
    recipes: dict[str, Record] = {
        "once": {"sources": [web]},
        "curriculum": {"sources": [web], "order": {"kind": "ascending", "by": {"field": "page"}}},
        "again": {"sources": [{**web, **few}]},
    }
    made = {
        name: service.made(
            "/v1/evaluations",
            {"recipe": {"name": name, **recipe}, "protocol": "long", "suite": "held-out", "seeds": 1},
        )
        for name, recipe in recipes.items()
    }
    service.work()
    found = {
        name: [(one["step"], one["is_budget"]) for one in run_of(service, evaluation)["scores"][0]["checkpoints"]]
        for name, evaluation in made.items()
    }
    never = [(8, False), (9, False), (10, False)]
    assert found == {"once": [(8, False), (9, True), (10, True)], "curriculum": never, "again": never}


def test_a_score_from_before_checkpoints_were_kept_has_none(ranked: Service) -> None:
    with session_scope(ranked.sessions) as session:
        for row in session.scalars(select(RunScore)):
            row.checkpoints = None
    run = ranked.post("/v1/evaluations", EVALUATION).json()["runs"][0]
    assert run["scores"][0]["checkpoints"] == []
    assert len(ranked.get(f"/v1/runs/{run['id']}/scores").json()["rows"]) == 2
