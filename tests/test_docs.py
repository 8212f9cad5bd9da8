"""Examples in the documentation are what they say."""

import re
from pathlib import Path

import pytest
import yaml

from proxy.data.heuristics import HEURISTICS
from proxy.recipes import Recipe
from worker.parsing import validate

DOCS = Path(__file__).parent.parent / "docs"
RECIPES = re.findall(r"```yaml\n(.*?)```", (DOCS / "recipes.md").read_text(), re.S)


@pytest.mark.parametrize("text", RECIPES)
def test_every_recipe_in_the_guide_is_one(text: str) -> None:
    assert validate(Recipe, yaml.safe_load(text)).all_leaves()


def test_the_guide_names_every_published_filter() -> None:
    assert all(f"`{name}`" in (DOCS / "recipes.md").read_text() for name in HEURISTICS)
