"""What a definition is refused for, and where it says so."""

from typing import Any

import pytest

from proxy.errors import InvalidInputError
from proxy.studies import StudyDefinition
from tests.proxy.studies.definitions import definition
from worker.parsing import validate


def refused(content: dict[str, Any]) -> str:
    """The one problem, as people read it."""
    with pytest.raises(InvalidInputError) as caught:
        validate(StudyDefinition, content)
    assert len(caught.value.problems) == 1
    return str(caught.value.problems[0])


def with_part(part: str, **changes: Any) -> dict[str, Any]:
    content = definition()
    return {**content, part: {**content[part], **changes}}


def test_a_right_definition_is_read_and_references_are_of_all_recipes() -> None:
    study = validate(StudyDefinition, definition())
    assert study.referenced == ("even", "only-web", "only-code")
    assert study.proxies.rates == (1e-3, 1e-2)
    assert study.named("reference") == "little-reference"


@pytest.mark.parametrize("rates", [[1e-3], [1e-3, 1e-3]])
def test_a_ladder_of_one_rate_is_refused(rates: list[float]) -> None:
    told = refused(with_part("proxies", rates=rates))
    assert "/proxies/rates" in told
    assert "nothing to compare" in told


def test_a_grid_of_two_rates_has_no_inside_and_is_refused() -> None:
    told = refused(with_part("references", rates=[1e-3, 1e-2]))
    assert "/references/rates" in told
    assert "between two worse" in told


def test_references_for_none_of_the_recipes_are_refused() -> None:
    told = refused(with_part("references", recipes=[]))
    assert "/references/recipes" in told
    assert "nothing to compare with" in told


def test_a_reference_of_an_unknown_recipe_names_those_that_there_are() -> None:
    told = refused(with_part("references", recipes=["even", "evne"]))
    assert "/references/recipes/1" in told
    assert "evne" in told
    assert "only-web" in told


def test_more_than_four_epochs_belong_to_the_axis_of_repetition() -> None:
    content = definition()
    repeated = {"corpus": "web", "weight": 1, "max_epochs": 9}
    content["recipes"][1] = {"name": "many", "tags": {"axis": "corpora"}, "sources": [repeated]}
    assert "/recipes/1/sources/0/max_epochs" in refused(content)
    content["recipes"][1]["tags"] = {"axis": "repetition"}
    assert validate(StudyDefinition, content).recipes[1].tags["axis"] == "repetition"


def test_a_recipe_without_an_axis_is_refused() -> None:
    content = definition()
    del content["recipes"][2]["tags"]
    assert "/recipes/2/tags" in refused(content)


def test_two_recipes_of_one_name_are_refused() -> None:
    content = definition()
    content["recipes"][2]["name"] = "even"
    assert "/recipes/2/name" in refused(content)


def test_two_recipes_make_no_study() -> None:
    assert "/recipes" in refused(definition(recipes=definition()["recipes"][:2]))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"steps": 0}, "/proxies/protocol/steps"),
        ({"batch_sequences": None, "batch_tokens": 17}, "/proxies/protocol/batch_tokens"),
        ({"standard_rate": 1e-3}, "/proxies/protocol/standard_rate"),
        ({"architecture": "nano-3m"}, "/proxies/protocol/architecture"),
    ],
)
def test_a_protocol_that_is_wrong_is_refused_where_it_is_wrong(changes: dict[str, Any], place: str) -> None:
    protocol = {
        name: value for name, value in (definition()["proxies"]["protocol"] | changes).items() if value is not None
    }
    assert place in refused(with_part("proxies", protocol=protocol))


def test_a_rate_that_is_no_rate_is_refused() -> None:
    assert "/references/rates/1" in refused(with_part("references", rates=[1e-3, -1e-2, 1e-1]))


@pytest.mark.parametrize("part", ["proxies", "references"])
@pytest.mark.parametrize("first", [-1, 10**9 + 1, 0.5])
def test_a_first_seed_that_is_none_is_refused_with_its_place_and_value(part: str, first: float) -> None:
    told = refused(with_part(part, first_seed=first))
    assert f"/{part}/first_seed" in told
    assert str(first) in told


def test_seeds_begin_at_zero_unless_the_study_says_otherwise() -> None:
    study = validate(StudyDefinition, with_part("references", first_seed=10**9))
    assert (study.proxies.first_seed, study.references.first_seed) == (0, 10**9)


def test_a_misspelt_option_is_refused() -> None:
    assert "/seed" in refused(definition(seed=1))
