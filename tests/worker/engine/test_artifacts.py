"""Artifacts are whole or absent."""

from pathlib import Path

import numpy as np
import pytest

from worker import artifacts
from worker.settings import Settings


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path)


def test_losses_come_back_by_set(place: Settings) -> None:
    losses = {
        name: artifacts.SetLosses(nats=np.array([1.5, 2.5]) * k, text_bytes=np.array([3, 4]), clusters=np.array([0, k]))
        for k, name in enumerate(["code", "prose__old"])
    }
    path = artifacts.new_losses_path(place, "run_1", "sui_1")
    artifacts.write_losses(path, losses)
    back = artifacts.read_losses(artifacts.stored_path(place, artifacts.relative_path(place, path)))
    assert list(back) == list(losses)
    for name, part in losses.items():
        for field in ("nats", "text_bytes", "clusters"):
            np.testing.assert_array_equal(getattr(back[name], field), getattr(part, field))


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"

    def write_half() -> None:
        with artifacts.whole_file(path) as temporary:
            temporary.write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert list(path.parent.iterdir()) == []


def test_two_attempts_never_write_the_same_file(place: Settings) -> None:
    assert len({artifacts.new_losses_path(place, "r", "s") for _ in range(2)}) == 2
    assert len({artifacts.new_checkpoint_path(place, "r") for _ in range(2)}) == 2


def test_paths_lie_under_the_artifact_folder(place: Settings) -> None:
    for path in (
        artifacts.tokens_folder(place),
        artifacts.documents_path(place, "f"),
        artifacts.tokenizer_path(place, "f"),
    ):
        assert path.is_relative_to(place.artifact_dir)
