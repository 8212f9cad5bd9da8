"""The three package names are general; nothing else in the environment may own them, and the wheel must be whole."""

from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"api", "worker", "proxy", "migrations"}


def test_no_other_distribution_owns_our_package_names() -> None:
    owners = {
        (distribution.metadata["Name"], path.parts[0])
        for distribution in distributions()
        for path in distribution.files or ()
        if path.parts and path.parts[0] in OURS and len(path.parts) > 1
    }
    assert {name for name, _ in owners} <= {"foretaste"}


@pytest.mark.parametrize("folder", sorted(path.name for path in (ROOT / "tests").iterdir() if path.is_dir()))
def test_every_test_folder_is_a_package(folder: str) -> None:
    if folder.startswith("__"):
        return
    assert (ROOT / "tests" / folder / "__init__.py").exists()


def test_the_lock_file_names_no_build_variant() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if "+" in line or "@" in line] == []
    assert "torch==2.13.0" in lines
