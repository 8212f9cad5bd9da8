"""`foretaste run <verb>`: what can be done with a single training."""

import os
import tarfile
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from api.connection import UrlOption, connect, console
from proxy.errors import InvalidInputError

run = typer.Typer(no_args_is_help=True, help="Single trainings.")


@run.callback()
def _group() -> None:
    """Keeps `export` a subcommand while it is the only one."""


@run.command("export")
def export(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Id of a finished run.")],
    out: Annotated[Path, typer.Option(help="Folder to make; it must not exist yet.")],
    url: UrlOption = None,
) -> None:
    """Write a run as a Hugging Face checkpoint that `transformers` loads with the same logits."""
    if out.exists():
        raise InvalidInputError.at("--out", str(out), "exists already; an export makes a new folder")
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}-") as place:
            _download(run_id, Path(place), url)
            os.replace(Path(place, "checkpoint"), out)
    except OSError as error:
        raise InvalidInputError.at("--out", str(out), f"cannot be written: {error}") from error
    console.print(f"{run_id}: {out}, for AutoModelForCausalLM.from_pretrained", markup=False)


def _download(run_id: str, place: Path, url: str | None) -> None:
    """The archive of the run, unpacked into place/checkpoint."""
    archive = place / "archive.tar"
    with connect(url, None) as client, archive.open("wb") as out:
        client.download(f"/v1/runs/{quote(run_id, safe='')}/export", out)
    with tarfile.open(archive) as packed:
        packed.extractall(place / "checkpoint", filter="data")
