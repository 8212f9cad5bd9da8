"""What holds of every format: no field vanishes, nothing but InvalidInputError comes out, recipes stand as written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.errors import InvalidInputError
from proxy.importers import ImportReport, import_recipe
from proxy.importers.reading import step_into
from proxy.recipes import Recipe
from tests.proxy.importers.examples import DATA_JUICER, EXAMPLES, OLMIX, PAIRS, REGMIX


def leaves(value: Any, pointer: str = "") -> Iterator[str]:
    members = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    if not members:
        yield pointer
    for key, part in members:
        yield from leaves(part, step_into(pointer, key))


def vanished(report: ImportReport, content: Any) -> list[str]:
    marks = {*report.carried, *(loss.pointer for loss in report.not_carried)}
    return [
        leaf
        for leaf in leaves(content)
        if not any("/".join(leaf.split("/")[:end]) in marks for end in range(1, leaf.count("/") + 2))
    ]


@pytest.mark.parametrize(("format", "text"), PAIRS)
def test_every_example_is_recognised_and_accounted_for(format: str, text: str) -> None:
    report = import_recipe(text)
    assert report.format == format
    assert vanished(report, yaml.safe_load(text)) == []
    assert import_recipe(json.dumps(yaml.safe_load(text))) == report


@pytest.mark.parametrize(("format", "text"), PAIRS)
def test_recipes_can_be_sent_as_they_are_written(format: str, text: str) -> None:
    report = import_recipe(text, format)
    for recipe, written in zip(report.recipes, report.specifications(), strict=True):
        assert Recipe.model_validate(yaml.safe_load(yaml.safe_dump(written))) == recipe
        assert next(iter(written)) == "name"
    assert set(report.corpora) == {corpus for recipe in report.recipes for corpus in recipe.corpora()}


@pytest.mark.parametrize(("format", "text"), PAIRS)
def test_a_field_that_nobody_knows_is_named(format: str, text: str) -> None:
    content = yaml.safe_load(text)
    holder, pointer = (content, "") if isinstance(content, dict) else (content[0], "/0")
    holder["surprise"] = {"deep": [1, 2]}
    losses = {loss.pointer: loss for loss in import_recipe(json.dumps(content), format).not_carried}
    assert losses[f"{pointer}/surprise"].value == {"deep": [1, 2]}
    assert losses[f"{pointer}/surprise"].kind == "unknown"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["", "x", "1e-3", "web", "a/b~c"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "weight", "x"]), inner),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PAIRS), st.data())
def test_a_file_with_anything_anywhere_is_accounted_for_or_refused(pair: tuple[str, str], data: st.DataObject) -> None:
    format, text = pair
    content = yaml.safe_load(text)
    for _ in range(data.draw(st.integers(1, 3))):
        spoil(content, data)
    sent = json.dumps(content)
    try:
        report = import_recipe(sent, format)
    except InvalidInputError:  # and nothing else
        return
    assert vanished(report, json.loads(sent)) == []
    for recipe in report.recipes:
        assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def spoil(content: Any, data: st.DataObject) -> None:
    """Puts junk somewhere: walks down at random and replaces, adds or removes a member."""
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = content[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 3)) == 0:
            break
        content = inner
    if data.draw(st.booleans()):
        content[key] = data.draw(JUNK)
    else:
        del content[key]


def test_names_become_valid_or_what_they_are_mapped_to() -> None:
    text = REGMIX.replace("train_web", "train/web (new)")
    assert import_recipe(text).corpora == ("train-web-new", "train_books", "train_code")
    assert import_recipe(text, corpora={"train/web (new)": "web@2"}).corpora[0] == "web@2"


def test_two_names_never_become_one_unasked() -> None:
    text = "train: {a b: 1, a-b: 1}"
    with pytest.raises(InvalidInputError, match="would be called 'a-b' as 'a b' is") as caught:
        import_recipe(text)
    assert caught.value.problems[0].pointer == "/train/a-b"
    both = import_recipe(text, corpora={"a b": "one", "a-b": "one"})
    assert both.recipes[0].corpora() == ("one",)


def test_long_names_stay_apart() -> None:
    names = ["x" * 150 + end for end in "ab"]
    made = import_recipe(json.dumps({"train": dict.fromkeys(names, 1)})).corpora
    assert len(set(made)) == 2
    assert {len(name) for name in made} == {100}


def test_a_mapping_of_a_name_that_is_not_there_is_a_slip() -> None:
    with pytest.raises(InvalidInputError, match="is no name of this file") as caught:
        import_recipe(REGMIX, corpora={"train_wbe": "web"})
    assert caught.value.problems[0].pointer == "/corpora/train_wbe"


def test_the_name_that_is_asked_for_wins() -> None:
    assert import_recipe(OLMIX).recipes[0].name == "two-levels"
    assert import_recipe(OLMIX, name="mine").recipes[0].name == "mine"
    with pytest.raises(InvalidInputError) as caught:
        import_recipe(OLMIX, name="not a name")
    assert caught.value.problems[0].pointer == "/recipe/name"


def test_a_format_that_is_not_certain_names_the_candidates() -> None:
    both = yaml.safe_dump({**yaml.safe_load(REGMIX), **yaml.safe_load(DATA_JUICER)})
    with pytest.raises(InvalidInputError, match="may be regmix or data-juicer; say which"):
        import_recipe(both)
    assert import_recipe(both, "regmix").format == "regmix"


@pytest.mark.parametrize("text", ["a: 1", "[1, 2]", "train: {a: {b: 1}}", "uuid: 3\nname: x\nsources: 4"])
def test_what_no_format_looks_like_names_all(text: str) -> None:
    with pytest.raises(InvalidInputError, match=", ".join(EXAMPLES)):
        import_recipe(text)


def test_an_unknown_format_names_all() -> None:
    with pytest.raises(InvalidInputError, match="known are auto, regmix") as caught:
        import_recipe(REGMIX, "regmx")
    assert caught.value.problems[0].pointer == "/format"
