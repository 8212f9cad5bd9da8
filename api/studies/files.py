"""Definitions as files. One may extend another: it says its own name and what differs, and takes the rest over, less
the recipes that it leaves out."""

from pathlib import Path
from typing import Any

from api.connection import read_structured
from proxy.errors import InvalidInputError
from proxy.studies import StudyDefinition
from worker.parsing import validate

EXTENDS, LEAVES_OUT = "extends", "leave_out"


def read_definition(file: Path) -> StudyDefinition:
    """InvalidInputError names every field that is wrong."""
    return validate(StudyDefinition, _content(file, ()))


def _content(file: Path, extending: tuple[Path, ...]) -> Any:
    """As if it had been written in one file: a field that is said replaces the whole field of the file it extends.
    `extending` are the files on the way here."""
    content = read_structured(file)
    if not isinstance(content, dict) or EXTENDS not in content:
        return content
    own = {name: value for name, value in content.items() if name not in (EXTENDS, LEAVES_OUT)}
    base = _base(file, content[EXTENDS], (*extending, file.resolve()))
    if LEAVES_OUT in content:
        base = {**base, "recipes": _recipes_left(base, own, content[LEAVES_OUT])}
    if "name" not in own:
        raise InvalidInputError.at("/name", None, f"is missing: {file.name} is another study than the one it extends")
    return {**base, **own}


def _recipes_left(base: dict[str, Any], own: dict[str, Any], left_out: Any) -> list[Any]:
    """Those of the extended file without the named ones."""
    recipes = base.get("recipes")
    names = [recipe.get("name") for recipe in recipes or () if isinstance(recipe, dict)]
    if "recipes" in own:
        raise InvalidInputError.at(f"/{LEAVES_OUT}", left_out, "recipes are said here, so none is taken over")
    if not isinstance(left_out, list):
        raise InvalidInputError.at(f"/{LEAVES_OUT}", left_out, "must be a list of names")
    for index, name in enumerate(left_out):
        if name not in names:
            known = ", ".join(str(one) for one in names)
            raise InvalidInputError.at(f"/{LEAVES_OUT}/{index}", name, f"is no recipe of the extended file: {known}")
    return [recipe for recipe in recipes or () if not (isinstance(recipe, dict) and recipe.get("name") in left_out)]


def _base(file: Path, said: Any, extending: tuple[Path, ...]) -> dict[str, Any]:
    if not isinstance(said, str):
        raise InvalidInputError.at(f"/{EXTENDS}", said, "must be the path of a definition, from this file's folder")
    path = file.parent / said
    if path.resolve() in extending:
        raise InvalidInputError.at(f"/{EXTENDS}", said, f"leads back to {path.name}")
    if not path.is_file():
        raise InvalidInputError.at(f"/{EXTENDS}", said, f"{path} is no file")
    content = _content(path, extending)
    if not isinstance(content, dict):
        raise InvalidInputError.at(f"/{EXTENDS}", said, "is no definition: it holds no fields")
    return content
