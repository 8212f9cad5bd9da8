"""Recipes over HTTP, as JSON and as YAML."""

from tests.api.service import PROTOCOL, RECIPE, SUITE, Service, pointers_of, problem_of

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
