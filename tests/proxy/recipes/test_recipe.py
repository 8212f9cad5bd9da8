"""The recipe language: what is accepted, what is refused and where, and what two spellings share."""

from typing import Any

import pytest

from proxy.errors import InvalidInputError
from proxy.recipes import Recipe, fingerprint_recipe
from worker.parsing import validate

WEB = {"corpus": "web", "weight": 3}
CODE = {"corpus": "code", "weight": 1}
CONTENT = {"web": "f1", "code": "f2", "no": "f3", "talk": "f4"}


def recipe(*sources: dict[str, Any], **more: Any) -> Recipe:
    return validate(Recipe, {"name": "x", "sources": sources, **more})


def fingerprint_of(*sources: dict[str, Any], **more: Any) -> str:
    return fingerprint_recipe(recipe(*sources, **more), CONTENT)


def problem_of(body: dict[str, Any]) -> tuple[str, Any]:
    with pytest.raises(InvalidInputError) as caught:
        validate(Recipe, {"name": "x", **body})
    first = caught.value.problems[0]
    return first.pointer, first.value


def test_recipes_of_the_first_language_keep_their_fingerprint() -> None:
    web = WEB | {"filters": [{"kind": "length", "minimum": 200}], "dedup": "exact", "max_epochs": 2}
    code = CODE | {"subset": 0.5}
    assert fingerprint_of(web, code, {"corpus": "no", "weight": 0}) == "ff2a922b8b682f49362c0d71e5ce82a9"


def test_a_group_of_plain_weights_is_what_it_holds() -> None:
    talk = {"corpus": "talk", "weight": 1}
    flat = fingerprint_of({"corpus": "web", "weight": 0.5}, {"corpus": "code", "weight": 0.25}, talk | {"weight": 0.25})
    group = {"name": "rest", "weight": 5, "sources": [CODE, talk]}
    assert fingerprint_of(WEB | {"weight": 5}, group) == flat
    assert recipe(WEB | {"weight": 5}, group).shares() == (0.5, 0.25, 0.25)


def test_a_group_weighted_by_size_is_no_flat_list() -> None:
    group = {"name": "rest", "weight": 1, "size_exponent": 0.5, "sources": [CODE, {"corpus": "talk", "weight": 1}]}
    sized = fingerprint_of(WEB, group)
    assert sized != fingerprint_of(WEB, group | {"size_exponent": 1})
    assert sized != fingerprint_of(WEB, {name: value for name, value in group.items() if name != "size_exponent"})
    assert sized == fingerprint_of(group | {"name": "other"}, WEB)


@pytest.mark.parametrize(
    "change",
    [
        {"order": {"kind": "ascending", "by": {"field": "quality"}}},
        {"dedup": "near"},
        {"size_exponent": 0.5},
        {"decontaminate": False},
        {"simulate_repetition": True, "target": {"parameters": 10, "tokens": 1000}},
    ],
)
def test_what_decides_the_data_is_in_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint_of(WEB, CODE, **change) != fingerprint_of(WEB, CODE)


@pytest.mark.parametrize(
    "change",
    [
        {"tags": {"axis": "mixture"}},
        {"description": "words"},
        {"target": {"parameters": 10, "tokens": 1000}},
        {"order": {"kind": "shuffled"}},
        {"dedup": "none"},
    ],
)
def test_what_does_not_decide_the_data_is_outside(change: dict[str, Any]) -> None:
    assert fingerprint_of(WEB, CODE, **change) == fingerprint_of(CODE, WEB)


def test_a_published_filter_is_its_rules() -> None:
    named = {"kind": "heuristic", "heuristic": "gopher_quality"}
    changed = fingerprint_of(WEB | {"filters": [named | {"limits": {"fewest_words": 20}}]})
    assert changed != fingerprint_of(WEB | {"filters": [named]})
    assert fingerprint_of(WEB | {"filters": [named | {"limits": {"fewest_words": 50}}]}) == fingerprint_of(
        WEB | {"filters": [named]}
    )


def test_near_is_its_settings() -> None:
    spelled = {"kind": "near", "shingle_words": 5, "bands": 14, "rows": 8, "similarity": 0.8}
    assert fingerprint_of(WEB | {"dedup": "near"}) == fingerprint_of(WEB | {"dedup": spelled})
    assert fingerprint_of(WEB | {"dedup": spelled | {"bands": 20}}) != fingerprint_of(WEB | {"dedup": spelled})


def test_phases_are_in_order() -> None:
    first, second = {"share": 0.75, "sources": [WEB]}, {"share": 0.25, "sources": [CODE]}
    there = validate(Recipe, {"name": "x", "phases": [first, second]})
    back = validate(Recipe, {"name": "x", "phases": [second, first]})
    assert [(pointer, share) for pointer, _, share in there.mixtures()] == [("/phases/0", 0.75), ("/phases/1", 0.25)]
    assert [leaf.pointer for leaf in there.all_leaves()] == ["/phases/0/sources/0", "/phases/1/sources/0"]
    assert fingerprint_recipe(there, CONTENT) != fingerprint_recipe(back, CONTENT)


@pytest.mark.parametrize(
    ("body", "pointer", "value"),
    [
        ({}, "/sources", []),
        ({"sources": [{"corpus": "web"}]}, "/sources/0/weight", None),
        ({"sources": [WEB | {"weight": -1}]}, "/sources/0/weight", -1),
        ({"sources": [WEB | {"weight": 0}]}, "/sources", [0.0]),
        ({"sources": [WEB | {"wieght": 1}]}, "/sources/0/wieght", 1),
        ({"sources": [WEB | {"dedup": "fuzzy"}]}, "/sources/0/dedup", "fuzzy"),
        ({"sources": [WEB | {"dedup": {"kind": "near", "bands": 100, "rows": 100}}]}, "/sources/0/dedup/bands", 100),
        (
            {"sources": [{"name": "g", "weight": 1, "sources": [{"corpus": "web"}]}]},
            "/sources/0/sources/0/weight",
            None,
        ),
        ({"sources": [{"name": "g", "weight": 1, "sources": [WEB | {"subset": 2}]}]}, "/sources/0/sources/0/subset", 2),
        ({"sources": [WEB], "order": {"kind": "ascending"}}, "/order/by", None),
        ({"sources": [WEB], "order": {"kind": "ascending", "by": {}}}, "/order/by/field", None),
        ({"sources": [WEB], "simulate_repetition": True}, "/target", None),
        ({"sources": [WEB], "phases": [{"share": 1, "sources": [WEB]}]}, "/sources", "sources"),
        ({"phases": [{"share": 0.5, "sources": [WEB]}]}, "/phases", [0.5]),
        ({"phases": [{"share": 1.5, "sources": [WEB]}]}, "/phases/0/share", 1.5),
        ({"phases": [{"share": 1, "sources": []}]}, "/phases/0/sources", []),
        ({"phases": [{"share": 1, "sources": [WEB]}], "dedup": "exact"}, "/dedup", "dedup"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], pointer: str, value: Any) -> None:
    assert problem_of(body) == (pointer, value)


@pytest.mark.parametrize(
    ("step", "pointer"),
    [
        ({"kind": "length", "minimum": 5, "maximum": 2}, "/maximum"),
        ({"minimum": -1}, "/minimum"),
        ({"kind": "unknown"}, "/kind"),
        ("length", ""),
        ({"kind": "field", "field": "language"}, ""),
        ({"kind": "field", "field": "language", "equals": ["en"]}, "/equals"),
        ({"kind": "field", "field": "n", "minimum": 2, "maximum": 1}, "/maximum"),
        ({"kind": "field", "field": "date", "since": "2024", "before": "2023"}, "/before"),
        ({"kind": "statistic", "statistic": "words"}, "/minimum"),
        ({"kind": "statistic", "statistic": "wrods", "minimum": 1}, "/statistic"),
        ({"kind": "statistic", "statistic": "words", "minimum": float("nan")}, "/minimum"),
        ({"kind": "heuristic", "heuristic": "gofer"}, "/heuristic"),
        ({"kind": "heuristic", "heuristic": "c4", "limits": {"none": 1}}, "/limits/none"),
        ({"kind": "quantile", "field": "quality", "low": 0.5, "high": 0.5}, "/high"),
        ({"kind": "quantile", "low": 0.5, "high": 1}, "/field"),
        ({"kind": "quantile", "field": "a", "statistic": "words", "low": 0.5, "high": 1}, "/field"),
    ],
)
def test_a_wrong_filter_is_named(step: Any, pointer: str) -> None:
    assert problem_of({"sources": [WEB | {"filters": [{"minimum": 1}, step]}]})[0] == f"/sources/0/filters/1{pointer}"


def test_nesting_has_an_end() -> None:
    member: dict[str, Any] = WEB
    for _ in range(25):
        member = {"name": "g", "weight": 1, "sources": [member]}
    assert problem_of({"sources": [member]})[0] == "/sources"
