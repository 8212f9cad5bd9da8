"""What studies are asked for: the same one again, what one costs, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.studies import StudyDefinition, StudyRequest
from proxy.suites import Suite as SuiteSpec
from tests.proxy.studies.definitions import definition
from tests.worker.cases.boards import count
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
    end,
    end_kind,
    named,
    play,
    references,
    request,
    runs_of,
    suites_of,
)
from worker import studies
from worker.parsing import validate
from worker.recipes import parse_recipe, store_recipe
from worker.references import ReferenceFields, register_reference
from worker.store.models import Evaluation, Protocol, Recipe, Run, Study, Suite
from worker.store.states import State
from worker.studies.layout import is_of
from worker.studies.plans import Plan, PlannedRecipe, PlannedSuite
from worker.suites import store_suite


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
        {"proxies": {**PROXIES, "first_seed": 100}},
        {"references": {**REFERENCES, "first_seed": 100}},
        {"recipes": [{"recipe": name, "axis": "other"} for name in RECIPES]},
        {"name": "trial-again"},
    ):
        assert ask(session, bureau, **change)[0].id != row.id


def test_a_study_of_seeds_from_zero_on_keeps_its_key(bureau: Bureau) -> None:
    ladder = {rate: bureau.protocol(standard_rate=rate) for rate in (1e-3, 1e-2)}
    row = Recipe(fingerprint="recipe")
    even = PlannedRecipe(row=row, name="even", axis="mixture", kind=None, is_referenced=True)
    plan = Plan(
        request=request(),
        suites=(PlannedSuite(row=Suite(id="sui_1"), reference_set="trial-suite"),),
        recipes=(even,),
        base=ladder[1e-2],
        ladder=ladder,
        reference=ladder[1e-2],
    )
    assert plan.key == "1dc682170a372ca0eb4e87e3f5a5ca3b"
    assert replace(plan, request=request(references={**REFERENCES, "first_seed": 0})).key == plan.key
    others = [
        replace(plan, request=request(**{part: {**said, "first_seed": 5}}))
        for part, said in (("proxies", PROXIES), ("references", REFERENCES))
    ]
    assert len({plan.key, *(other.key for other in others)}) == 3


def test_a_definition_finds_the_row_of_its_seeds() -> None:
    content = definition()
    wanted = validate(StudyDefinition, {**content, "proxies": {**content["proxies"], "first_seed": 100}})
    recipes = [{"name": recipe.name} for recipe in wanted.recipes]
    parts = {part: {"rates": content[part]["rates"], "seeds": 2} for part in ("proxies", "references")}
    before = Study(spec={"recipes": recipes, **parts})
    other = Study(spec={"recipes": recipes, **parts, "proxies": {**parts["proxies"], "first_seed": 100}})
    assert [is_of(row, validate(StudyDefinition, content)) for row in (before, other)] == [True, False]
    assert [is_of(row, wanted) for row in (before, other)] == [False, True]


def test_an_estimate_is_of_the_seeds_that_are_asked_for(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    for kind in ("sweeps", "proxies"):
        end_kind(session, bureau, row, kind)
    elsewhere = {"proxies": {**PROXIES, "first_seed": 2}, "references": {**REFERENCES, "first_seed": 2}}
    cost = studies.estimate_study(session, request(**elsewhere))
    assert [cost[part]["runs_to_train"] for part in ("proxies", "references")] == [12, 9 + 6]
    over = studies.estimate_study(session, request(proxies={**PROXIES, "first_seed": 1, "seeds": 3}))
    assert (over["proxies"]["runs"], over["proxies"]["runs_to_train"]) == (18, 12)  # seed 1 is there
    assert over["references"]["runs_to_train"] == 6


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
        ({"proxies": {**PROXIES, "first_seed": -1}}, "/proxies/first_seed"),
        ({"references": {**REFERENCES, "first_seed": 10**9 + 1}}, "/references/first_seed"),
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


Reach = Callable[[Session, Bureau], None]


def running(session: Session, bureau: Bureau) -> None:
    ask(session, bureau)


def swept(session: Session, bureau: Bureau) -> None:
    """References are registered, and nothing is left to come."""
    row, _ = ask(session, bureau)
    play(session, bureau, row)
    assert row.state == State.FINISHED


@pytest.mark.parametrize(
    ("reach", "protocol", "pointer", "words"),
    [
        (running, {**LARGE, "steps": 4}, "/references/protocol/steps", "with steps 8, and this would be 4"),
        (swept, {**LARGE, "steps": 4}, "/references/protocol/steps", "with steps 8, and this would be 4"),
        (
            running,
            {name: value for name, value in LARGE.items() if name != "steps"} | {"tokens": 100},
            "/references/protocol/tokens",
            "with steps 8, and this would be 4",
        ),
        (
            running,
            {**LARGE, "architecture": {**SHAPE, "width": 48}},
            "/references/protocol/architecture",
            "with architecture.width 32, and this would be 48",
        ),
        (
            running,
            {**LARGE, "optimizer": {"weight_decay": 0.0}},
            "/references/protocol/optimizer",
            "with optimizer.weight_decay 0.1, and this would be 0.0",
        ),
    ],
)
def test_references_of_another_treatment_need_another_name(
    session: Session, bureau: Bureau, reach: Reach, protocol: dict[str, Any], pointer: str, words: str
) -> None:
    """Or they would be registered beside the old ones, and fail once the first sweep has been trained."""
    reach(session, bureau)
    change = {"references": {**REFERENCES, "protocol": protocol}}
    rows = {model: count(session, model) for model in (Study, Protocol, Evaluation, Run)}
    for refuse in (lambda: studies.estimate_study(session, request(**change)), lambda: ask(session, bureau, **change)):
        with pytest.raises(InvalidInputError) as refused, session.begin_nested():
            refuse()
        (problem,) = refused.value.problems
        assert problem.pointer == pointer
        assert words in problem.message
        assert "set trial-suite" in problem.message
        assert "give the study another name" in problem.message
    assert {model: count(session, model) for model in rows} == rows
    assert studies.estimate_study(session, request(**change, name="trial-b"))["runs"] == 27


@pytest.mark.parametrize("reach", [running, swept])
def test_references_on_another_version_of_a_suite_need_another_name(
    session: Session, bureau: Bureau, reach: Reach
) -> None:
    reach(session, bureau)
    store_suite(session, SuiteSpec.model_validate({"name": "suite", "sets": [{"name": "all", "corpus": "held"}]}))
    with pytest.raises(InvalidInputError, match=r"on suite version 1, and this is version 2.*another name") as refused:
        studies.estimate_study(session, request())
    assert [problem.pointer for problem in refused.value.problems] == ["/suites/0"]
    assert not ask(session, bureau, suites=["suite@1"])[1]


def test_references_that_somebody_registered_at_another_scale_are_seen_before(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    said = ReferenceFields(
        reference_set="trial-suite",
        recipe="even",
        metric="bits_per_byte",
        direction="lower",
        unit="bits/byte",
        value=1.0,
        parameters=resolved(request()).architecture.parameters,
        tokens=512,
    )
    register_reference(session, said)
    with pytest.raises(InvalidInputError, match="tokens 512, and this would be 256") as refused:
        studies.estimate_study(session, request())
    assert [problem.pointer for problem in refused.value.problems] == ["/references/protocol"]


def resolved(asked: StudyRequest) -> ProtocolSpec:
    return asked.references.resolved(SHAPE["vocabulary"])


def test_rates_seeds_and_recipes_are_added_under_the_same_name(session: Session, bureau: Bureau) -> None:
    """While the first study trains: both add to one set, and what both wait for is trained once."""
    running(session, bureau)
    store_recipe(session, parse_recipe(recipe("more", web=9, code=1) | {"tags": {"axis": "mixture"}}))
    first = studies.get_study(session, "trial")
    row, is_new = ask(
        session,
        bureau,
        recipes=[*map(named, RECIPES), named("more")],
        proxies={**PROXIES, "rates": [*PROXIES["rates"], 3e-2], "seeds": 3},
        references={**REFERENCES, "rates": [*REFERENCES["rates"], 0.5]},
    )
    assert is_new
    assert row.protocols["reference"] != first.protocols["reference"]
    assert row.spec["suites"] == first.spec["suites"]
    for one in (first, row):
        end_kind(session, bureau, one, "sweeps")
        studies.advance_study(session, bureau.settings, one.id)
        assert (one.state, one.error) == (State.RUNNING, None)
    assert {rate for _, rate, _ in references(session, row)} == {*REFERENCES["rates"], 0.5}


def test_what_repeats_belongs_to_the_axis_of_repetition(session: Session, bureau: Bureau) -> None:
    repeated = {"name": "repeated", "sources": [{"corpus": "web", "weight": 1, "max_epochs": 8}]}
    store_recipe(session, parse_recipe(repeated))
    part = {"recipe": "repeated", "axis": "repetition"}
    row, _ = ask(session, bureau, recipes=[*map(named, RECIPES), part])
    assert row.spec["recipes"][-1]["axis"] == "repetition"


def test_what_is_not_there_is_not_found(session: Session) -> None:
    with pytest.raises(NotFoundError, match="stu_none"):
        studies.get_study(session, "stu_none")
