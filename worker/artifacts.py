"""Where files lie under the artifact folder, and how they get there whole.

Rows store paths relative to the folder (`losses/run_…/sui_….npz`), so that it can be moved. Every write goes to a
temporary name beside its target and is renamed: a reader sees the whole file or none.
"""

import io
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]
UInt64Array = npt.NDArray[np.uint64]


class Place(Protocol):
    """The settings, or anything else that knows the artifact folder, and the store that machines share, if any."""

    @property
    def artifact_dir(self) -> Path: ...

    @property
    def shared_store(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class SetLosses:
    """One validation set: arrays of one number a document, ascending by `keys` (None in files from before there were
    any, whose documents are in the order in which the corpus was read)."""

    nats: Float64Array
    text_bytes: Int64Array
    clusters: Int64Array
    keys: UInt64Array | None = None


def tokens_folder(place: Place) -> Path:
    """Tokenised corpora: `<corpus fingerprint>/<tokenizer fingerprint>`."""
    return place.artifact_dir / "tokens"


def documents_folder(place: Place) -> Path:
    """Tables of corpora and their columns: `<corpus fingerprint>` and `<corpus fingerprint>/columns`."""
    return place.artifact_dir / "documents"


def documents_path(place: Place, corpus_fingerprint: str) -> Path:
    """The table of a registered corpus's documents."""
    return documents_folder(place) / corpus_fingerprint


def copies_folder(place: Place) -> Path:
    """Copies of remote corpora's files: `<hash of the URI>`."""
    return place.artifact_dir / "copies"


def tokenizer_path(place: Place, fingerprint: str) -> Path:
    """A registered tokenizer."""
    return place.artifact_dir / "tokenizers" / f"{fingerprint}.json"


def new_losses_path(place: Place, run_id: str, suite_id: str) -> Path:
    """For a run's losses on each document of a suite; a new name each time, so no attempt overwrites another's."""
    return place.artifact_dir / "losses" / run_id / f"{suite_id}-{uuid.uuid4().hex[:8]}.npz"


def new_checkpoint_path(place: Place, run_id: str) -> Path:
    """For a run's last weights; a new name each time."""
    return place.artifact_dir / "checkpoints" / f"{run_id}-{uuid.uuid4().hex[:8]}.safetensors"


def states_folder(place: Place) -> Path:
    """Folders of runs that have begun, with the states that a next attempt goes on from."""
    return place.artifact_dir / "states"


def forget_states(place: Place, run_id: str) -> None:
    """Removes what was kept of a run that has ended; nothing happens where nothing was."""
    shutil.rmtree(states_folder(place) / run_id, ignore_errors=True)


def relative_path(place: Place, path: Path) -> str:
    """What a row stores."""
    return path.relative_to(place.artifact_dir).as_posix()


def stored_path(place: Place, relative: str) -> Path:
    """The file a row names."""
    return place.artifact_dir / relative


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends and removed when it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """The whole file or none."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_losses(path: Path, losses: Mapping[str, SetLosses]) -> None:
    """One npz: `nats__NAME`, `bytes__NAME`, `clusters__NAME` and `keys__NAME` for each set, all of length documents."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for name, part in losses.items():
        arrays[f"nats__{name}"] = part.nats
        arrays[f"bytes__{name}"] = part.text_bytes
        arrays[f"clusters__{name}"] = part.clusters
        if part.keys is not None:
            arrays[f"keys__{name}"] = part.keys
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_bytes(path, content.getvalue())


def read_losses(path: Path) -> dict[str, SetLosses]:
    """What `write_losses` wrote, by set name."""
    with np.load(path, allow_pickle=False) as arrays:
        names = [key.removeprefix("nats__") for key in arrays.files if key.startswith("nats__")]
        return {
            name: SetLosses(
                nats=arrays[f"nats__{name}"],
                text_bytes=arrays[f"bytes__{name}"],
                clusters=arrays[f"clusters__{name}"],
                keys=arrays[f"keys__{name}"] if f"keys__{name}" in arrays.files else None,
            )
            for name in names
        }
