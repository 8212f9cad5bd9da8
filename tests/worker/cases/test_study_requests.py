"""What studies are asked for: the same one again, what one costs, and what is refused."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from tests.worker.cases.conftest import Bureau, recipe
from tests.worker.cases.trials import (
    LARGE,
    PROXIES,
    RECIPES,
    REFERENCES,
    SHAPE,
    SMALL,
    SPEED,
    add_recipes,
    ask,
    count,
    end,
    end_kind,
    named,
    request,
    runs_of,
    suites_of,
)
from worker import studies
from worker.recipes import parse_recipe, store_recipe
from worker.store.models import Evaluation, Protocol, Run, Study


def test_an_estimate_counts_what_is_not_there_yet_and_writes_nothing(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    rows = {model: count(session, model) for model in (Protocol, Evaluation, Run, Study)}
    cost = studies.estimate_study(session, request())
    assert {model: count(session, model) for model in rows} == rows
    assert (cost["proxies"]["runs"], cost["references"]["runs"], cost["runs_to_train"]) == (12, 9 + 6, 27)
    assert (cost["tokens"], cost["device_seconds"]) == (27 * 256, None)
    row, _ = ask(session, bureau)
    assert row.estimate == cost
    end_kind(session, bureau, row, "sweeps")
    studies.advance_study(session, bureau.settings, row.id)
    end(session, bureau, runs_of(session, row, "more_seeds")[:1], suites_of(row))
    later = studies.estimate_study(session, request())
    assert [later[part]["runs_to_train"] for part in ("proxies", "references")] == [12, 5]
    assert later["references"]["device_seconds"] == pytest.approx(5 * 256 / SPEED)
    one = studies.estimate_study(session, request(references={**REFERENCES, "seeds": 1}))
    assert (one["references"]["runs"], one["references"]["runs_to_train"]) == (9, 0)


def test_the_same_study_is_the_same_row_in_whatever_order_and_words(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    ids = {run.recipe.name: run.recipe.fingerprint for run in runs_of(session, row, "sweeps")}
    words: dict[str, Any] = {
        "suites": ["suite@1"],
        "recipes": [{"recipe": ids[name], "name": name, "axis": "mixture"} for name in reversed(RECIPES)],
        "proxies": {**PROXIES, "rates": [1e-2, 0.001, 1e-2]},
        "description": "in other words",
    }
    same, is_new = ask(session, bureau, **words)
    assert (same.id, is_new, count(session, Study)) == (row.id, False, 1)
    assert studies.get_study(session, "trial").id == studies.get_study(session, row.id).id == row.id
    for change in (
        {"proxies": {**PROXIES, "seeds": 3}},
        {"references": {**REFERENCES, "seeds": 1}},
        {"recipes": [{"recipe": name, "axis": "other"} for name in RECIPES]},
        {"name": "trial-again"},
    ):
        assert ask(session, bureau, **change)[0].id != row.id


LONG = "x" * 76


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": "no name"}, "/name"),
        ({"name": LONG}, "/name"),
        ({"tokenizer": "bqe"}, "/tokenizer"),
        ({"suites": []}, "/suites"),
        ({"suites": ["nobody"]}, "/suites/0"),
        ({"suites": ["suite", "suite@1"]}, "/suites/1"),
        ({"recipes": [{"recipe": "even"}]}, "/recipes"),
        ({"recipes": [*map(named, RECIPES), named("evne")]}, "/recipes/3/recipe"),
        ({"recipes": [*map(named, RECIPES), named("even")]}, "/recipes/3/recipe"),
        ({"recipes": [*map(named, RECIPES[:2]), {"recipe": RECIPES[2], "name": "even"}]}, "/recipes/2/name"),
        ({"recipes": [*map(named, RECIPES), named("untagged")]}, "/recipes/3/axis"),
        ({"recipes": [*map(named, RECIPES), {"recipe": "repeated", "axis": "mixture"}]}, "/recipes/3/axis"),
        ({"recipes": [*map(named, RECIPES), {"recipe": "leaking", "axis": "mixture"}]}, "/recipes/3/recipe"),
        ({"proxies": {**PROXIES, "rates": [1e-3]}}, "/proxies/rates"),
        ({"proxies": {**PROXIES, "rates": [1e-3, 2.0]}}, "/proxies/rates/1"),
        ({"proxies": {**PROXIES, "seeds": 0}}, "/proxies/seeds"),
        ({"proxies": {**PROXIES, "protocol": {**SMALL, "name": "mine"}}}, "/proxies/protocol/name"),
        ({"proxies": {**PROXIES, "protocol": {**SMALL, "stesp": 8}}}, "/proxies/protocol/stesp"),
        (
            {"references": {**REFERENCES, "protocol": {**LARGE, "architecture": {**SHAPE, "vocabulary": 5}}}},
            "/references/protocol/architecture/vocabulary",
        ),
        ({"references": {**REFERENCES, "rates": [1e-3, 1e-2]}}, "/references/rates"),
        ({"references": {**REFERENCES, "recipes": []}}, "/references/recipes"),
        ({"references": {**REFERENCES, "recipes": ["even", "evne"]}}, "/references/recipes/1"),
        ({"proxies": {**PROXIES, "protocol": {**SMALL, "steps": 10_000_000}}}, "/recipes/0/recipe"),
    ],
)
def test_a_study_that_cannot_be_is_refused_and_leaves_nothing(
    session: Session, bureau: Bureau, change: dict[str, Any], pointer: str
) -> None:
    add_recipes(session)
    store_recipe(session, parse_recipe(recipe("untagged", web=7, code=1)))
    store_recipe(session, parse_recipe(recipe("leaking", web=1, held=1)))
    repeated = {"name": "repeated", "sources": [{"corpus": "web", "weight": 1, "max_epochs": 8}]}
    store_recipe(session, parse_recipe(repeated))
    rows = {model: count(session, model) for model in (Study, Protocol, Evaluation, Run)}
    with pytest.raises(InvalidInputError) as refused, session.begin_nested():
        ask(session, bureau, **change)
    assert refused.value.problems[0].pointer == pointer, refused.value.problems[0]
    assert {model: count(session, model) for model in rows} == rows


def test_what_repeats_belongs_to_the_axis_of_repetition(session: Session, bureau: Bureau) -> None:
    repeated = {"name": "repeated", "sources": [{"corpus": "web", "weight": 1, "max_epochs": 8}]}
    store_recipe(session, parse_recipe(repeated))
    part = {"recipe": "repeated", "axis": "repetition"}
    row, _ = ask(session, bureau, recipes=[*map(named, RECIPES), part])
    assert row.spec["recipes"][-1]["axis"] == "repetition"


def test_what_is_not_there_is_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError, match="stu_none"):
        studies.get_study(session, "stu_none")
