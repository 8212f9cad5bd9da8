"""Examples in the documentation are what they say."""

import json
import re
from pathlib import Path

import pytest
import yaml

from api.studies.files import read_definition
from proxy.data.heuristics import HEURISTICS
from proxy.recipes import Recipe
from proxy.studies import StudyDefinition, StudyRequest
from proxy.suites import Suite
from worker.parsing import validate

DOCS = Path(__file__).parent.parent / "docs"


def examples(name: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (DOCS / name).read_text(), re.S)


RECIPES, SUITES = examples("recipes.md"), examples("suites.md")


@pytest.mark.parametrize("text", RECIPES)
def test_every_recipe_in_the_guide_is_one(text: str) -> None:
    assert validate(Recipe, yaml.safe_load(text)).all_leaves()


@pytest.mark.parametrize("text", SUITES)
def test_every_suite_in_the_guide_is_one(text: str) -> None:
    assert validate(Suite, yaml.safe_load(text)).shares()


STUDIES = sorted((DOCS.parent / "examples" / "studies").glob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=[path.stem for path in STUDIES])
def test_every_study_in_the_examples_makes_what_it_needs(path: Path) -> None:
    check_study(read_definition(path))


def test_every_study_in_the_guide_makes_what_it_needs() -> None:
    for text in examples("studies.md"):
        check_study(validate(StudyDefinition, yaml.safe_load(text)))


def check_study(study: StudyDefinition) -> None:
    made = {corpus.name for corpus in study.corpora}
    assert {corpus for recipe in study.recipes for corpus in recipe.corpora()} <= made
    assert {part.corpus for suite in study.suites for part in suite.sets} <= made


def test_the_request_in_the_guide_of_studies_is_one() -> None:
    requests = re.findall(r"```json\n(.*?)```", (DOCS / "studies.md").read_text(), re.S)
    assert [validate(StudyRequest, json.loads(text)).name for text in requests] == ["small"]


def test_the_line_of_a_corpus_in_the_guide_has_what_its_suite_asks_for() -> None:
    guide = (DOCS / "suites.md").read_text()
    records = [json.loads(line) for line in re.findall(r"^\{.*\}$", guide, re.M)]
    parts = [part for text in SUITES for part in validate(Suite, yaml.safe_load(text)).sets if part.prompt_field]
    assert records
    assert parts
    assert all(isinstance(record[str(part.prompt_field)], str) for record in records for part in parts)


def test_the_guide_names_every_published_filter() -> None:
    assert all(f"`{name}`" in (DOCS / "recipes.md").read_text() for name in HEURISTICS)
