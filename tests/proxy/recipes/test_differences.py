"""Two recipes compared: what they share is left out, what differs is named by its place."""

from typing import Any

from proxy.recipes import Recipe
from proxy.recipes.differences import compare_specifications

CONTENT = {"web": "f1", "code": "f2", "talk": "f4"}


def recipe(**body: Any) -> Recipe:
    return Recipe.model_validate({"name": "x", **body})


def compare(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    return {one.path: (one.a, one.b) for one in compare_specifications(a, b, CONTENT, CONTENT)}


def test_names_and_order_are_no_difference() -> None:
    a = recipe(sources=[{"corpus": "web", "weight": 1}, {"corpus": "code", "weight": 3}], tags={"kind": "easy"})
    b = recipe(sources=[{"corpus": "code", "weight": 6}, {"corpus": "web", "weight": 2}])
    assert compare(a, b) == {}


def test_shares_steps_and_order_are() -> None:
    a = recipe(sources=[{"corpus": "web", "weight": 1}, {"corpus": "code", "weight": 3}])
    changed = {"corpus": "code", "weight": 1, "dedup": "exact"}
    b = recipe(sources=[{"corpus": "web", "weight": 1}, changed], order={"kind": "descending", "by": {"field": "q"}})
    assert compare(a, b) == {
        "order": (None, {"kind": "descending", "by": {"field": "q"}}),
        "sources/web/share": (0.25, 0.5),
        "sources/code/share": (0.75, 0.5),
        "sources/code/dedup": ("none", "exact"),
    }


def test_a_source_that_one_side_lacks_is_shown_whole() -> None:
    a = recipe(sources=[{"corpus": "web", "weight": 1}])
    b = recipe(sources=[{"corpus": "web", "weight": 1}, {"corpus": "talk", "weight": 1}])
    found = compare(a, b)
    assert found["sources/web/share"] == (1.0, 0.5)
    assert found["sources/talk"][0] is None
    assert found["sources/talk"][1]["share"] == 0.5


def test_two_slices_of_a_corpus_are_paired() -> None:
    low, high = ({"corpus": "web", "weight": 1, "subset": share} for share in (0.1, 0.9))
    a, b = recipe(sources=[low, high]), recipe(sources=[low, high | {"max_epochs": 3}])
    assert compare(a, b) == {"sources/web/max_epochs": (1.0, 3.0)}


def test_phases_are_compared_one_by_one() -> None:
    first = {"share": 0.5, "sources": [{"corpus": "web", "weight": 1}]}
    a = recipe(phases=[first, first])
    b = recipe(phases=[first | {"share": 0.75}, first | {"share": 0.25}])
    assert compare(a, b) == {"phases/0/share": (0.5, 0.75), "phases/1/share": (0.5, 0.25)}
    c = recipe(sources=[{"corpus": "web", "weight": 1}])
    assert set(compare(a, c)) == {
        "phases/0/share",
        "phases/0/sources/web",
        "phases/1/share",
        "phases/1/sources/web",
        "sources/web",
    }
