"""`.env.example` documents every setting with its real default, and nothing that does not exist."""

import re
from pathlib import Path

import pytest

from worker.settings import Settings

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
ASSIGNMENT = re.compile(r"^(?:# )?([A-Z][A-Z_]+)=(.*)$", re.M)
SHOWN = dict(ASSIGNMENT.findall(EXAMPLE))
COMPOSE_ONLY = {"POSTGRES_PASSWORD", "COMPOSE_PROFILES", "CORPORA", "CORPUS_ROOTS", "FORETASTE_PUBLISH", "TORCH_INDEX"}


def command_line_variables() -> set[str]:
    """Variables that options of our own command line read."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "api").rglob("*.py"))
    return {name for source in sources for name in re.findall(r'envvar="(\w+)"', source)}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    variable = f"FORETASTE_{name.upper()}"
    assert variable in SHOWN
    lines = EXAMPLE.splitlines()
    index = next(i for i, line in enumerate(lines) if line.startswith(f"# {variable}="))
    assert re.match(r"# [A-Za-z]", lines[index - 1])


def test_nothing_is_documented_that_does_not_exist() -> None:
    settings = {f"FORETASTE_{name.upper()}" for name in Settings.model_fields}
    assert SHOWN.keys() == settings | command_line_variables() | COMPOSE_ONLY


def test_what_is_shown_is_the_default(tmp_path: Path) -> None:
    uncommented = tmp_path / "example.env"
    uncommented.write_text("\n".join(f"{name}={value}" for name, value in SHOWN.items()))
    assert Settings(_env_file=uncommented) == Settings(_env_file=None)


def test_the_example_as_it_stands_changes_nothing(tmp_path: Path) -> None:
    assert Settings(_env_file=ROOT / ".env.example") == Settings(_env_file=None)


def test_every_variable_is_shown_once() -> None:
    names = [name for name, _ in ASSIGNMENT.findall(EXAMPLE)]
    assert len(set(names)) == len(names)


def test_secrets_are_left_empty() -> None:
    assert SHOWN["POSTGRES_PASSWORD"] == SHOWN["FORETASTE_API_KEY"] == ""
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
