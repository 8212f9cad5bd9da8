"""Definitions as files. One may extend another: it says its own name and what differs, and takes the rest over."""

from pathlib import Path
from typing import Any

from api.connection import read_structured
from proxy.errors import InvalidInputError
from proxy.studies import StudyDefinition
from worker.parsing import validate

EXTENDS = "extends"


def read_definition(file: Path) -> StudyDefinition:
    """InvalidInputError names every field that is wrong."""
    return validate(StudyDefinition, _content(file, ()))


def _content(file: Path, extending: tuple[Path, ...]) -> Any:
    """As if it had been written in one file: a field that is said replaces the whole field of the file it extends.
    `extending` are the files on the way here."""
    content = read_structured(file)
    if not isinstance(content, dict) or EXTENDS not in content:
        return content
    own = {name: value for name, value in content.items() if name != EXTENDS}
    base = _base(file, content[EXTENDS], (*extending, file.resolve()))
    if "name" not in own:
        raise InvalidInputError.at("/name", None, f"is missing: {file.name} is another study than the one it extends")
    return {**base, **own}


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
