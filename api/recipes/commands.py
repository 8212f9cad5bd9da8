"""`foretaste recipe …`: checked, compared, brought over from other systems; nothing here trains."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from api.connection import JsonOption, KeyOption, SpecArgument, UrlOption, connect, console, print_json, recipe_body
from api.dashboard import formats
from api.recipes.import_command import import_recipe_file

recipe = typer.Typer(no_args_is_help=True, help="Training mixtures.")
recipe.command("import")(import_recipe_file)

Body = Mapping[str, Any]


@recipe.command("check")
def check(
    file: SpecArgument,
    protocol: Annotated[str | None, typer.Option(help="Check that it fits this protocol's budget.")] = None,
    suite: Annotated[str | None, typer.Option(help="Check for leaks into this suite.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Check a recipe without training anything: what each step removes, tokens and epochs a source, cost."""
    with connect(url, key) as client:
        query = {name: value for name, value in (("protocol", protocol), ("suite", suite)) if value}
        report = client.request("POST", "/v1/recipes:validate", params=query, **recipe_body(file)).json()
    print_json(report) if as_json else console.print(check_table(report))


@recipe.command("diff")
def diff(a: str, b: str, as_json: JsonOption = False, url: UrlOption = None) -> None:
    """What sets two registered recipes apart, as content."""
    with connect(url, None) as client:
        report = client.request("GET", f"/v1/recipes/{quote(a, safe='')}:diff", params={"with": b}).json()
    print_json(report) if as_json else console.print(diff_table(report))


def check_table(report: Body) -> Table:
    """One row a source; what the whole costs and what is doubtful stands below."""
    table = Table(
        title=Text(f"{report['name']}, fingerprint {report['fingerprint']}"),
        caption=Text("\n".join(_notes(report))),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="none",
    )
    for words in ("Source", "Share", "Documents", "Kept", "Tokens", "Drawn", "Epochs", "At target"):
        table.add_column(words, justify="left" if words == "Source" else "right", overflow="fold")
    for source in report["sources"]:
        flag = " !" if source["is_repeated_more_at_target"] else ""
        table.add_row(
            Text(f"{source['corpus']} ({source['pointer']})"),
            f"{100 * source['share']:.1f} %",
            f"{source['documents']:,}",
            f"{source['kept_documents']:,}",
            f"{source['available_tokens']:,}",
            f"{source['drawn_tokens']:,}",
            formats.number(source["epochs"]),
            f"{formats.number(source['target_epochs'])}{flag}",
        )
    return table


def _notes(report: Body) -> list[str]:
    notes = [
        f"{source['pointer']}: {step} removes {count:,}"
        for source in report["sources"]
        for step, count in source["removed"].items()
    ]
    if report["token_budget"] is not None:
        seconds = report["device_seconds"]
        time = "not known yet" if seconds is None else f"about {formats.duration(seconds)}"
        notes.append(f"One run: {report['token_budget']:,} tokens, {report['training_flops']:.3g} FLOPs; time {time}.")
    notes += [f"Doubtful: {doubt['pointer']}: {doubt['message']}" for doubt in report["doubts"]]
    if any(source["is_repeated_more_at_target"] for source in report["sources"]):
        notes.append("! the target repeats this source more often than the proxy does; see simulate_repetition.")
    if report["is_estimate"]:
        notes.append("Estimated from a sample of each corpus: some columns or tokens are not computed yet.")
    return notes


def diff_table(report: Body) -> Table:
    """One row a difference."""
    a, b = report["a"]["name"], report["b"]["name"]
    table = Table(title=Text(f"{a} against {b}"), title_justify="left", title_style="bold")
    for words in ("Where", a, b):
        table.add_column(Text(words), overflow="fold")
    for one in report["differences"]:
        table.add_row(Text(one["path"]), *(Text("–" if side is None else str(side)) for side in (one["a"], one["b"])))
    if not report["differences"]:
        table.caption = Text("The same content.")
    return table
