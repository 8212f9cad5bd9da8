"""`foretaste recipe import FILE`: another system's recipe as ours, with a report of what was left behind.

Needs no service, unless the recipes are to be registered.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.markup import escape
from rich.table import Table

from api.connection import JsonOption, KeyOption, UrlOption, connect, console, print_json, read_bytes
from proxy.errors import InvalidInputError
from proxy.importers import AUTO, FORMATS, import_recipe

IMPORT_SECONDS = 120
POINTERS_SHOWN = 3
ABOUT_DATA = ("edit", "model", "list", "meaning", "unknown")

Report = dict[str, Any]


def import_recipe_file(
    file: Annotated[Path, typer.Argument(help="YAML or JSON of another system.")],
    format: Annotated[str, typer.Option(help=f"{AUTO}, {', '.join(FORMATS)}.")] = AUTO,
    corpus: Annotated[list[str] | None, typer.Option(help="Their name of data = ours; repeatable.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the recipe; else the file's own.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the recipes as YAML.")] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Store the recipes in the service: all or none.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Turn another system's recipe file into recipes and say what could not be carried over."""
    content = read_bytes(file)
    if register:
        report = _register(content, {"format": format, "corpus": corpus or [], "name": name}, url, key)
    else:
        report = _import_here(content, format, corpus or [], name)
    written = [] if out is None else _write(report["recipes"], out)
    if as_json:
        print_json(report)
        return
    _print(report)
    for path in written:
        console.print(f"written: {path}", markup=False)
    if not (written or register):
        console.print("\n---\n".join(map(_as_yaml, report["recipes"])), markup=False)


def _import_here(content: bytes, format: str, corpora: list[str], name: str | None) -> Report:
    from api.recipes.imports import read_corpora, show_import  # with FastAPI: half a second for every other command

    imported = import_recipe(content, format, read_corpora(corpora, "--corpus"), name)
    return show_import(imported).model_dump(mode="json")


def _register(content: bytes, params: Report, url: str | None, key: str | None) -> Report:
    query = {"register": True, **{option: value for option, value in params.items() if value}}
    options: Report = {"content": content, "headers": {"Content-Type": "text/plain"}, "timeout": IMPORT_SECONDS}
    with connect(url, key) as client:
        report: Report = client.request("POST", "/v1/recipes:import", params=query, **options).json()
    return report


def _write(recipes: list[Report], folder: Path) -> list[Path]:
    """One file a recipe; none where one of them is there already."""
    paths = [folder / f"{recipe['name']}.yaml" for recipe in recipes]
    for path in paths:
        if path.exists():
            raise InvalidInputError.at("--out", str(path), "is there already")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, recipe in zip(paths, recipes, strict=True):
            path.write_text(_as_yaml(recipe), encoding="utf-8")
    except OSError as error:
        raise InvalidInputError.at("--out", str(folder), f"cannot be written: {error}") from error
    return paths


def _as_yaml(recipe: Report) -> str:
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)


def _print(report: Report) -> None:
    for recipe in report["recipes"]:
        console.print(f"{recipe['name']}: read as {report['format']}", markup=False)
    console.print(f"needs the corpora {', '.join(report['corpora'])}", markup=False)
    console.print(f"{len(report['carried'])} fields carried, {len(report['not_carried'])} not", markup=False)
    about_data = [loss for loss in report["not_carried"] if loss["kind"] in ABOUT_DATA]
    others = [loss for loss in report["not_carried"] if loss["kind"] not in ABOUT_DATA]
    _print_losses("Carried, but different", report["approximate"])
    _print_losses("Not carried: what is trained on", about_data)
    _print_losses("Not carried: not about what is trained on", others)
    for row in report["registered"]:
        console.print(f"registered: {row['name']}, fingerprint {row['fingerprint']}", markup=False)


def _print_losses(title: str, losses: list[Report]) -> None:
    """A line a reason, with the first fields that it is said of."""
    if not losses:
        return
    by_reason: dict[tuple[str, str], list[str]] = {}
    for loss in losses:
        by_reason.setdefault((loss["kind"], loss["reason"]), []).append(loss["pointer"] or "/")
    table = Table(title=title, title_justify="left")
    for column in ("Kind", "Reason", "Fields"):
        table.add_column(column, overflow="fold")
    for (kind, reason), pointers in by_reason.items():
        more = f" and {len(pointers) - POINTERS_SHOWN} more" if len(pointers) > POINTERS_SHOWN else ""
        table.add_row(kind, escape(reason), escape(", ".join(pointers[:POINTERS_SHOWN])) + more)
    console.print(table)
