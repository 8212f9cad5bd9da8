"""What all commands share: where the service is, how files are read, and how answers are printed."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from api.client import Client
from proxy.errors import InvalidInputError
from worker.parsing import parse_body
from worker.settings import get_settings

WIDTH_OF_LOGS = 120  # where no terminal says how wide it is


def make_console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal, or wide enough for our tables where the output goes to a file."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else max(WIDTH_OF_LOGS, shutil.get_terminal_size().columns)
    return Console(stderr=stderr, highlight=False, width=width)


console = make_console()
errors = make_console(stderr=True)

UrlOption = Annotated[str | None, typer.Option("--url", help="Address of the service.", envvar="FORETASTE_URL")]
KeyOption = Annotated[str | None, typer.Option("--key", help="API key.", envvar="FORETASTE_API_KEY")]
SpecArgument = Annotated[Path, typer.Argument(help="YAML or JSON.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the resource as JSON.")]


@contextmanager
def connect(url: str | None, key: str | None) -> Iterator[Client]:
    """The service at `url`, or the one that this folder's settings describe; the key from its data folder."""
    settings = get_settings()
    stored = settings.data_dir / "api-key"
    if key is None:
        with suppress(OSError):  # another user's service: reading needs no key, and a write is told what is missing
            key = stored.read_text().strip()
    client = Client(url or f"http://{settings.api_host}:{settings.api_port}", key)
    try:
        yield client
    finally:
        client.close()


def read_text(path: Path) -> str:
    """A file's text; InvalidInputError names a file that cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError.at("FILE", str(path), f"cannot be read: {error}") from error


def read_bytes(path: Path) -> bytes:
    """A file as it is; InvalidInputError names one that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError.at("FILE", str(path), f"cannot be read: {error}") from error


def read_structured(path: Path) -> Any:
    """A YAML or JSON file (JSON is YAML)."""
    text = read_text(path)
    try:
        return parse_body(text, "yaml")
    except InvalidInputError as error:
        reason = "; ".join(one.message for one in error.problems)
        raise InvalidInputError.at("FILE", str(path), f"is neither YAML nor JSON: {reason}") from error


def recipe_body(path: Path) -> dict[str, Any]:
    """A recipe file as the body of a request, unparsed: the service says what is wrong with it."""
    media_type = "application/json" if path.suffix == ".json" else "application/yaml"
    return {"content": read_text(path).encode(), "headers": {"Content-Type": media_type}}


def print_json(body: object) -> None:
    """For programs: nothing but JSON on standard output."""
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")
