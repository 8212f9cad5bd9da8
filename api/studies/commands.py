"""`foretaste study`: the cost first, then the runs, then the tables; killed and run again, it goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from api.connection import KeyOption, SpecArgument, UrlOption, connect, console
from api.studies.files import read_definition
from proxy.errors import InvalidInputError
from proxy.seeds import describe_seeds
from proxy.studies import StudyDefinition

study = typer.Typer(no_args_is_help=True, help="Recipes × rates × seeds against tuned references.")

CorporaOption = Annotated[Path | None, typer.Option("--corpora", help="Folder of the definition's files.")]
FolderOption = Annotated[Path | None, typer.Option("--folder", help="Data and made corpora; default var/<study>.")]


@study.command("check")
def check(file: SpecArgument) -> None:
    """Say what a definition asks for, or what is wrong with it."""
    definition = read_definition(file)
    console.print("\n".join(describe_definition(definition)), markup=False)


@study.command("run")
def run(
    file: SpecArgument,
    corpora: CorporaOption = None,
    folder: FolderOption = None,
    out: Annotated[Path | None, typer.Option(help="Write the report here once all has ended.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Register, say the cost, train nothing more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Train a study: its cost first, then everything that is not there yet, then its report."""
    from api.studies.report import make_folder
    from api.studies.running import run_study

    definition = read_definition(file)
    require_corpora(definition, corpora)
    if out is not None:
        make_folder(out)
    run_study(
        definition,
        corpora=corpora,
        folder=folder or Path("var") / definition.name,
        out=out,
        url=url,
        key=key,
        agrees=_agreement(estimate=estimate, yes=yes),
        say=_say,
    )


@study.command("report")
def report(
    file: SpecArgument,
    out: Annotated[Path, typer.Option(help="Folder for README.md, report.json and the pictures.")],
    folder: FolderOption = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Write the report of what is there by now, also while the study runs; nothing is trained."""
    from api.studies.report import fetch_report, read_report, require_report_of, settings_of, write_report

    definition = read_definition(file)
    if url is not None and folder is not None:
        raise InvalidInputError.at("--folder", str(folder), f"is not read where --url names a service ({url})")
    if url is None:
        found = read_report(definition, settings_of(folder or Path("var") / definition.name))
    else:
        with connect(url, key) as client:
            found = fetch_report(client.get, definition.name, url)
    require_report_of(definition, found)
    for path in write_report(found, out):
        console.print(f"Written: {path}", markup=False)


@study.command("cancel")
def cancel(
    name: Annotated[str, typer.Argument(help="Name or id of a study that a service trains.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Cancel a study, or what still trains of one that failed: what was queued for it alone. What is trained stays, and
    running it again goes on."""
    with connect(url, key) as client:
        address = f"/v1/studies/{quote(name, safe='')}"
        client.delete(address)
        state = client.get(address)["state"]
    console.print(f"{name}: {state}", markup=False)


def _agreement(*, estimate: bool, yes: bool) -> Callable[[], bool]:
    if estimate:
        return lambda: False
    return lambda: yes or typer.confirm("Start?")


def _say(line: Any) -> None:
    console.print(line, markup=False)


def require_corpora(definition: StudyDefinition, corpora: Path | None) -> None:
    """A definition that makes corpora needs the folder of their files."""
    if definition.corpora and corpora is None:
        message = f"is missing: {definition.name} makes {len(definition.corpora)} corpora of files"
        raise InvalidInputError.at("--corpora", None, message)
    if corpora is not None and not corpora.is_dir():
        raise InvalidInputError.at("--corpora", str(corpora), "is no folder")


def describe_definition(definition: StudyDefinition) -> list[str]:
    """A few lines."""
    axes: dict[str, int] = {}
    for recipe in definition.recipes:
        axes[recipe.tags["axis"]] = axes.get(recipe.tags["axis"], 0) + 1
    proxies, references = definition.proxies, definition.references
    small, large = proxies.resolved(definition.vocabulary), references.resolved(definition.vocabulary)
    times = f"{large.architecture.parameters / small.architecture.parameters:.1f} times"
    counted = ", ".join(f"{axis} {count}" for axis, count in sorted(axes.items()))
    return [
        f"{definition.name}: {len(definition.recipes)} recipes ({counted}), {len(definition.suites)} suites",
        f"  proxies: {small.architecture.parameters:,} parameters, {small.token_budget:,} tokens, rates "
        f"{_list(proxies.rates)}, {describe_seeds(proxies.first_seed, proxies.seeds)}",
        f"  references: {large.architecture.parameters:,} parameters ({times}), {large.token_budget:,} tokens, "
        f"rates {_list(references.rates)}, {describe_seeds(references.first_seed, references.seeds)} at the best; "
        f"{len(definition.referenced)} recipes",
    ]


def _list(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in rates)
