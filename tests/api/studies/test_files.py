"""Definitions that extend others."""

import json
from pathlib import Path
from typing import Any

import pytest

from api.studies.files import read_definition
from proxy.errors import InvalidInputError
from proxy.studies import StudyDefinition
from tests.proxy.studies.definitions import definition

TOO_SMALL = ("only-techdocs", "crawl-best-quarter", "duplicates-near-strict")  # for the longest runs
EXAMPLES = Path(__file__).parents[3] / "examples" / "studies"


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def pointer_of(file: Path) -> tuple[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        read_definition(file)
    return caught.value.problems[0].pointer, str(caught.value)


def test_what_is_said_replaces_a_whole_field_and_the_rest_is_taken_over(tmp_path: Path) -> None:
    written(tmp_path, "base.json", definition())
    proxies = {**definition()["proxies"], "seeds": 5}
    middle = written(tmp_path, "inner/middle.json", {"extends": "../base.json", "name": "middle", "proxies": proxies})
    found = read_definition(written(tmp_path, "last.json", {"extends": "inner/middle.json", "name": "last"}))
    assert found == StudyDefinition.model_validate(definition(name="last", proxies=proxies))
    assert read_definition(middle).name == "middle"


def test_recipes_of_the_extended_file_may_be_left_out(tmp_path: Path) -> None:
    another = {**definition()["recipes"][0], "name": "another"}
    written(tmp_path, "base.json", definition(recipes=[*definition()["recipes"], another]))
    less = {"extends": "base.json", "name": "less", "leave_out": ["only-web"]}
    found = read_definition(written(tmp_path, "less.json", less))
    assert [recipe.name for recipe in found.recipes] == ["even", "only-code", "another"]
    further = {"extends": "less.json", "name": "further", "description": "the same"}
    assert read_definition(written(tmp_path, "further.json", further)).recipes == found.recipes
    for change, pointer, words in (
        ({"leave_out": ["even", "only-prose"]}, "/leave_out/1", "no recipe of the extended file: even, only-web"),
        ({"leave_out": "even"}, "/leave_out", "must be a list"),
        ({"recipes": definition()["recipes"]}, "/leave_out", "recipes are said here"),
    ):
        found_pointer, found_words = pointer_of(written(tmp_path, "x.json", less | change))
        assert found_pointer == pointer
        assert words in found_words


def test_what_cannot_be_extended_is_named(tmp_path: Path) -> None:
    written(tmp_path, "base.json", definition())
    one = written(tmp_path, "one.json", {"extends": "two.json", "name": "one"})
    written(tmp_path, "two.json", {"extends": "one.json", "name": "two"})
    pointer, words = pointer_of(one)
    assert pointer == "/extends"
    assert "leads back to one.json" in words
    for said, expected in ((3, "path"), ("gone.json", "is no file"), ("list.json", "holds no fields")):
        written(tmp_path, "list.json", [1])
        pointer, words = pointer_of(written(tmp_path, "x.json", {"extends": said, "name": "x"}))
        assert pointer == "/extends"
        assert expected in words
    pointer, words = pointer_of(written(tmp_path, "x.json", {"extends": "base.json"}))
    assert pointer == "/name"
    assert "another study" in words


def test_the_examples_are_definitions_that_share_no_seed_or_recipe_where_they_say_so() -> None:
    first, again = (read_definition(EXAMPLES / f"{name}.yaml") for name in ("real-16", "real-8-again"))
    assert not {one.name for one in first.recipes} & {one.name for one in again.recipes}
    assert again.proxies.first_seed >= first.proxies.first_seed + first.proxies.seeds
    assert again.references.first_seed >= first.references.first_seed + first.references.seeds
    assert again.references.rates == first.references.rates
    assert again.corpora == first.corpora
    longer = read_definition(EXAMPLES / "real-16-long.yaml")
    assert (longer.recipes, longer.references) == (first.recipes, first.references)
    assert longer.proxies.protocol["steps"] == again.proxies.protocol["steps"] == 3 * first.proxies.protocol["steps"]
    longest = read_definition(EXAMPLES / "real-16-longest.yaml")
    assert longest.recipes == tuple(one for one in first.recipes if one.name not in TOO_SMALL)
    assert longest.references == first.references
    assert longest.proxies.first_seed >= first.proxies.first_seed + first.proxies.seeds
    repeated = read_definition(EXAMPLES / "real-repeated.yaml")
    assert {one.tags["axis"] for one in repeated.recipes} == {"repetition"}
