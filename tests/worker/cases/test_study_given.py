"""References of a study's grid that somebody registered: they are taken as they are, and nothing of them is trained."""

import pytest
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.suites import Suite as SuiteSpec
from tests.worker.cases.boards import count
from tests.worker.cases.conftest import Bureau
from tests.worker.cases.trials import (
    BEST,
    GRID,
    LADDER,
    LARGE_PARAMETERS,
    RECIPES,
    add_recipes,
    ask,
    play,
    references,
    request,
    runs_of,
)
from worker import studies
from worker.references import ReferenceFields, register_reference
from worker.store.models import Evaluation, Run, Study
from worker.store.states import State
from worker.studies.reports import report_of_row
from worker.suites import store_suite


def give(session: Session, recipe: str, rates: tuple[float, ...] = GRID, seed: int = 0, suite: str = "suite") -> None:
    """As an import does, of the study's own scale and schedule; the highest rate was given up."""
    for rate in rates:
        is_stopped = rate == GRID[-1]
        said = ReferenceFields(
            reference_set=f"trial-{suite}",
            recipe=recipe,
            metric="bits_per_byte",
            direction="lower",
            unit="bits/byte",
            value=None if is_stopped else 2 + RECIPES.index(recipe) / 10 + abs(rate - BEST) + seed / 100,
            stopped_early=is_stopped,
            learning_rate=rate,
            seed=seed,
            hyperparameters={"steps": 8, "schedule": "constant"},
            parameters=LARGE_PARAMETERS,
            tokens=256,
            source="another service",
        )
        register_reference(session, said)


def test_a_study_whose_references_are_given_trains_its_proxies_alone(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    for name in RECIPES:
        give(session, name)
        give(session, name, (BEST,), seed=1)
    cost = studies.estimate_study(session, request())
    assert (cost["recipes_given"], cost["references"]["runs"], cost["references"]["device_seconds"]) == (3, 0, 0.0)
    row, _ = ask(session, bureau)
    given = references(session, row)
    assert {point["kind"] for point in row.points} == {"proxies"}
    assert count(session, Run) == len(RECIPES) * len(LADDER) * 2
    play(session, bureau, row)
    assert (row.state, references(session, row)) == (State.FINISHED, given)
    report = report_of_row(session, row)
    assert report["progress"]["recipes_with_all_seeds"] == len(RECIPES)
    assert [line["figures"]["n"] for line in report["suites"][0]["table"]["rows"]] == [len(RECIPES)] * len(LADDER)


def test_what_is_not_given_is_swept_and_gets_its_seeds(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    give(session, "even")
    row, _ = ask(session, bureau)
    assert {run.recipe.name for run in runs_of(session, row, "sweeps")} == set(RECIPES) - {"even"}
    assert studies.estimate_study(session, request())["recipes_given"] == 1
    play(session, bureau, row)
    assert row.state == State.FINISHED
    assert {recipe for recipe, _, seed in references(session, row) if seed == 1} == set(RECIPES) - {"even"}
    assert studies.submit_study(session, bureau.settings, request())[0].state == State.FINISHED  # nothing is left to do


def test_a_part_of_a_grid_is_refused_before_anything_is_queued(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    give(session, "even", GRID[:2])
    with pytest.raises(InvalidInputError) as refused:
        studies.submit_study(session, bureau.settings, request())
    assert [(problem.pointer, problem.value) for problem in refused.value.problems] == [("/recipes/1/recipe", "even")]
    assert "but not at 0.1; its sweep would contradict them" in str(refused.value)
    assert [count(session, model) for model in (Study, Evaluation, Run)] == [0, 0, 0]
    unasked = request(references={**request().references.model_dump(), "recipes": ["mostly-web", "mostly-code"]})
    assert studies.submit_study(session, bureau.settings, unasked)[1]


def test_a_part_of_the_suites_is_refused_too(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    spec = SuiteSpec.model_validate({"name": "other", "sets": [{"name": "held", "corpus": "held"}]})
    store_suite(session, spec)
    give(session, "even")
    with pytest.raises(InvalidInputError, match=r"trial-suite holds all results of even.*trial-other"):
        studies.submit_study(session, bureau.settings, request(suites=["suite", "other"]))


def test_results_of_other_seeds_contradict_no_sweep(session: Session, bureau: Bureau) -> None:
    add_recipes(session)
    give(session, "even", GRID[:2], seed=7)
    row, _ = ask(session, bureau)
    play(session, bureau, row)
    assert row.state == State.FINISHED
    assert len([seed for recipe, _, seed in references(session, row) if recipe == "even"]) > len(GRID)
