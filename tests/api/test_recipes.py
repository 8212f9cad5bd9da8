"""Recipes over HTTP, as JSON and as YAML."""

import shutil

import pytest

from proxy.data.columns import ensure_columns
from proxy.data.needs import statistic_column
from tests.api.conftest import serving
from tests.api.service import PROTOCOL, RECIPE, SUITE, Service, pointers_of, problem_of
from worker.artifacts import documents_folder
from worker.corpora import find_corpus, location_of

YAML = b"""
name: even
sources:
  - &web {corpus: web, weight: 1, max_epochs: 50}
  - <<: *web
    corpus: code
"""


def test_the_same_content_is_the_same_recipe_in_either_language(service: Service) -> None:
    first = service.post("/v1/recipes", RECIPE)
    again = service.post("/v1/recipes", content=YAML, headers={"Content-Type": "application/yaml; charset=utf-8"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert service.get("/v1/recipes").json()["items"] == [first.json()]
    for reference in (first.json()["id"], first.json()["fingerprint"], "even"):
        assert service.get(f"/v1/recipes/{reference}").json() == first.json()


def test_a_recipe_is_checked_without_being_stored(service: Service) -> None:
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/suites", SUITE)
    alone = service.post("/v1/recipes:validate", RECIPE)
    assert alone.status_code == 200
    assert (alone.json()["token_budget"], alone.json()["leaks"]) == (None, None)
    report = service.post("/v1/recipes:validate?protocol=tiny&suite=held-out", RECIPE).json()
    assert [source["share"] for source in report["sources"]] == [0.5, 0.5]
    assert (report["token_budget"], report["leaks"]) == (4 * 2 * 16, 0)
    assert service.get("/v1/recipes").json()["items"] == []


def test_a_check_names_leaks_and_shares_that_do_not_fit(service: Service) -> None:
    service.made("/v1/protocols", {**PROTOCOL, "steps": 100_000})
    service.made("/v1/suites", SUITE)
    leaking = {"name": "leak", "sources": [{"corpus": "held", "weight": 1}]}
    answer = service.post("/v1/recipes:validate?suite=held-out", leaking)
    assert pointers_of(answer) == ["/sources/0/corpus"]
    assert "12 of the 12 documents" in problem_of(answer)["detail"]
    assert set(pointers_of(service.post("/v1/recipes:validate?protocol=tiny", RECIPE))) <= {
        "/sources/0/weight",
        "/sources/1/weight",
    }
    assert pointers_of(service.post("/v1/recipes:validate?protocol=none", RECIPE)) == ["/protocol"]


def test_the_schema_is_published(service: Service) -> None:
    schema = service.get("/v1/schemas/recipe").json()
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"sources", "phases", "dedup", "target"} <= set(schema["properties"])
    assert "QuantileFilter" in schema["$defs"]


def test_what_sets_two_recipes_apart(service: Service) -> None:
    service.made("/v1/recipes", RECIPE)
    service.made("/v1/recipes", {"name": "only-web", "sources": RECIPE["sources"][:1]})
    found = service.get("/v1/recipes/even:diff", params={"with": "only-web"}).json()
    assert (found["a"]["name"], found["b"]["name"]) == ("even", "only-web")
    by_path = {one["path"]: (one["a"], one["b"]) for one in found["differences"]}
    assert by_path["sources/web/share"] == (0.5, 1.0)
    assert by_path["sources/code"][1] is None
    assert service.get("/v1/recipes/even:diff", params={"with": "even"}).json()["differences"] == []
    assert pointers_of(service.get("/v1/recipes/even:diff", params={"with": "nobody"})) == ["/with"]
    assert service.get("/v1/recipes/nobody:diff", params={"with": "even"}).status_code == 404


def test_a_check_without_columns_is_an_estimate_and_says_so(service: Service) -> None:
    service.made("/v1/protocols", PROTOCOL)
    words = {"kind": "statistic", "statistic": "words", "minimum": 21}
    asked = {"name": "filtered", "sources": [{"corpus": "web", "weight": 1, "filters": [words], "max_epochs": 50}]}
    report = service.post("/v1/recipes:validate?protocol=tiny", asked).json()
    (source,) = report["sources"]
    assert (source["documents"], source["removed"]) == (60, {"filters/0 words": 0})
    assert 0 < source["drawn_tokens"] <= source["available_tokens"] * 50
    assert report["is_estimate"] == source["is_estimate"]
    everything = {**words, "minimum": 1000}
    nothing = {"name": "empty", "sources": [{"corpus": "web", "weight": 1, "filters": [everything]}]}
    report = service.post("/v1/recipes:validate?protocol=tiny", nothing).json()
    assert [doubt["pointer"] for doubt in report["doubts"]] == ["/sources/0/filters"]


def test_epochs_at_the_target_are_in_the_check(service: Service) -> None:
    service.made("/v1/protocols", PROTOCOL)
    asked = {**RECIPE, "name": "large", "target": {"parameters": 10**9, "tokens": 10**6}}
    report = service.post("/v1/recipes:validate?protocol=tiny", asked).json()
    assert all(source["target_epochs"] > 1 for source in report["sources"])
    assert all(source["is_repeated_more_at_target"] for source in report["sources"])


def test_a_recipe_of_every_step_trains(service: Service) -> None:
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/suites", SUITE)
    steps = {
        "filters": [
            {"kind": "field", "field": "page", "minimum": 2},
            {"kind": "statistic", "statistic": "words", "minimum": 5},
            {"kind": "quantile", "statistic": "prose_quality", "low": 0.1, "high": 1},
        ],
        "dedup": "near",
        "max_epochs": 50,
    }
    phases = [
        {"share": 0.5, "sources": [{"corpus": "web", "weight": 1, **steps}]},
        {
            "share": 0.5,
            "sources": [{"corpus": "web", "weight": 1, **steps}, {"corpus": "code", "weight": 1, "max_epochs": 9}],
            "order": {"kind": "ascending", "by": {"field": "page"}},
        },
    ]
    recipe = {"name": "every-step", "phases": phases}
    made = service.made("/v1/evaluations", {"recipe": recipe, "protocol": "tiny", "suite": "held-out"})
    service.work()
    (run,) = service.get(f"/v1/evaluations/{made['id']}/runs").json()["items"]
    assert (run["state"], run["error"]) == ("finished", None)
    plan = service.get(f"/v1/runs/{run['id']}").json()["result"]["plan"]
    assert [(use["phase"], use["pointer"]) for use in plan] == [
        (0, "/phases/0/sources/0"),
        (1, "/phases/1/sources/0"),
        (1, "/phases/1/sources/1"),
    ]
    assert plan[0]["removed"]["filters/0 field page"] == 4
    exact = service.post("/v1/recipes:validate?protocol=tiny", recipe).json()
    assert exact["is_estimate"] is False
    assert [source["drawn_tokens"] for source in exact["sources"]] == [use["drawn_tokens"] for use in plan]


def test_contaminated_documents_are_not_trained_on(service: Service) -> None:
    held_out = {"corpus": "code", "words": 5, "share": 0.5}
    service.made("/v1/protocols", {**PROTOCOL, "name": "clean", "decontamination": held_out})
    service.made("/v1/suites", SUITE)
    assert service.get("/v1/protocols/clean").json()["spec"]["decontamination"]["corpus"] != "code"
    both = {"sources": [{"corpus": "web", "weight": 1, "max_epochs": 9}]}
    made = service.made(
        "/v1/evaluations", {"recipe": {"name": "web", **both}, "protocol": "clean", "suite": "held-out"}
    )
    dirty = {"name": "dirty", "sources": [{"corpus": "code", "weight": 1, "max_epochs": 9}]}
    lost = service.made("/v1/evaluations", {"recipe": dirty, "protocol": "clean", "suite": "held-out"})
    kept = {**dirty, "name": "kept", "decontaminate": False}
    there = service.made("/v1/evaluations", {"recipe": kept, "protocol": "clean", "suite": "held-out"})
    service.work()

    def run_of(evaluation: dict[str, str]) -> dict[str, object]:
        (run,) = service.get(f"/v1/evaluations/{evaluation['id']}/runs").json()["items"]
        found: dict[str, object] = service.get(f"/v1/runs/{run['id']}").json()
        return found

    assert (run_of(made)["state"], run_of(there)["state"], run_of(lost)["state"]) == ("finished", "finished", "failed")
    assert "no document of code is left" in str(run_of(lost)["error"])
    wrong = {**PROTOCOL, "name": "wrong", "decontamination": {"corpus": "none"}}
    assert pointers_of(service.post("/v1/protocols", wrong)) == ["/decontamination/corpus"]
    short = {**PROTOCOL, "name": "wrong", "decontamination": {"corpus": "code", "words": 1}}
    assert pointers_of(service.post("/v1/protocols", short)) == ["/decontamination/words"]


@pytest.mark.parametrize("version", ["0", "2", "99999999999999999999", "9" * 5000, "²", "-1", ""])
def test_a_revision_that_no_corpus_has_is_named(service: Service, version: str) -> None:
    body = {"name": "r", "sources": [{"corpus": f"web@{version}", "weight": 1}]}
    for path in ("/v1/recipes", "/v1/recipes:validate"):
        assert pointers_of(service.post(path, body)) == ["/sources/0/corpus"]


def test_a_check_estimates_where_only_some_columns_are_known(service: Service) -> None:
    with service.sessions() as session:
        corpus = find_corpus(session, "web")
        location, content = location_of(service.settings, corpus), str(corpus.fingerprint)
    ensure_columns(location, content, documents_folder(service.settings), [statistic_column("words")])
    names = ("words", "mean_word_length")
    filters = [{"kind": "statistic", "statistic": name, "minimum": 1} for name in names]
    body = {"name": "r", "sources": [{"corpus": "web", "weight": 1, "filters": filters}]}
    (source,) = service.post("/v1/recipes:validate", body).json()["sources"]
    assert list(source["removed"]) == [f"filters/{index} {name}" for index, name in enumerate(names)]
    assert source["kept_documents"] == 60


def test_a_shared_store_that_does_not_answer_is_named(service: Service) -> None:
    lost = service.settings.model_copy(update={"shared_store": "file:///nowhere/mounted"})
    with serving(lost) as elsewhere:
        assert elsewhere.post("/v1/recipes:validate", RECIPE).status_code == 200  # what is asked for lies here
        shutil.rmtree(documents_folder(lost))
        answer = elsewhere.post("/v1/recipes:validate", RECIPE)
    assert answer.status_code == 503
    assert "the shared store file:///nowhere/mounted cannot be used" in problem_of(answer)["detail"]
