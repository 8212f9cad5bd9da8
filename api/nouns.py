"""`foretaste <noun> <verb>`: registering and listing what evaluations are made of. Each is one HTTP request."""

from pathlib import Path
from typing import Annotated

import typer

from api.connection import (
    JsonOption,
    KeyOption,
    SpecArgument,
    UrlOption,
    connect,
    console,
    print_json,
    read_bytes,
    read_structured,
    read_text,
)
from api.corpora.commands import corpus, job, require_finished
from api.recipes.commands import recipe
from api.runs.commands import run

IMPORT_SECONDS = 600

tokenizer = typer.Typer(no_args_is_help=True, help="Tokenizers: trained here, or your own.")
suite = typer.Typer(no_args_is_help=True, help="Held-out sets: the objective of a ranking.")
protocol = typer.Typer(no_args_is_help=True, help="How proxies are trained.")
reference = typer.Typer(no_args_is_help=True, help="Large-scale results to compare with.")
schedule = typer.Typer(no_args_is_help=True, help="Rules that re-evaluate recipes.")
key = typer.Typer(no_args_is_help=True, help="API keys.")

NOUNS = {
    "corpus": corpus,
    "tokenizer": tokenizer,
    "suite": suite,
    "protocol": protocol,
    "recipe": recipe,
    "job": job,
    "run": run,
    "reference": reference,
    "schedule": schedule,
    "key": key,
}


@tokenizer.command("train")
def train_tokenizer(
    name: str,
    corpora: Annotated[list[str], typer.Argument(help="Corpora to learn from, in equal parts.")],
    vocabulary: Annotated[int, typer.Option(min=258)] = 4096,
    sample_bytes: Annotated[int, typer.Option(min=1000)] = 10_000_000,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Train a byte-level BPE and wait for it."""
    with connect(url, key) as client:
        training = {"vocabulary": vocabulary, "corpora": corpora, "sample_bytes": sample_bytes}
        made = client.post("/v1/tokenizers", {"name": name, "train": training})
        row = client.wait(f"/v1/tokenizers/{made['id']}")
    require_finished(row)
    console.print(f"{row['name']}: vocabulary {row['vocabulary']:,}, fingerprint {row['fingerprint']}")


@tokenizer.command("add")
def add_tokenizer(name: str, file: Path, url: UrlOption = None, key: KeyOption = None) -> None:
    """Register your own tokenizer.json."""
    with connect(url, key) as client:
        row = client.post("/v1/tokenizers", {"name": name, "tokenizer": read_text(file)})
    console.print(f"{row['name']}: vocabulary {row['vocabulary']:,}, fingerprint {row['fingerprint']}")


@suite.command("add")
def add_suite(file: SpecArgument, url: UrlOption = None, key: KeyOption = None) -> None:
    """Register a suite."""
    _add_version("/v1/suites", file, url, key)


@protocol.command("add")
def add_protocol(file: SpecArgument, url: UrlOption = None, key: KeyOption = None) -> None:
    """Register a protocol."""
    _add_version("/v1/protocols", file, url, key)


@protocol.command("presets")
def list_presets(url: UrlOption = None) -> None:
    """Show the architectures that a protocol may name."""
    with connect(url, None) as client:
        for row in client.get("/v1/presets")["items"]:
            shape = row["architecture"]
            layout = f"{shape['layers']} × {shape['width']}, {shape['heads']} heads, {shape['context_tokens']} tokens"
            console.print(f"{row['name']:<12} {row['parameters']:>13,}  {shape['family']:<6} {layout}", markup=False)


@protocol.command("measure-anchors")
def measure_anchors(
    protocol: str,
    suite: str,
    recipes: Annotated[list[str], typer.Argument(help="Recipes evaluated with at least two seeds.")],
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Keep the seed noise of some recipes with the protocol's next version."""
    with connect(url, key) as client:
        row = client.post(f"/v1/protocols/{protocol}:measure-anchors", {"suite": suite, "recipes": recipes})
    console.print(f"{row['name']}@{row['version']}: seed noise of {len(row['spec']['anchors'])} anchors")


def _add_version(path: str, file: Path, url: str | None, key: str | None) -> None:
    with connect(url, key) as client:
        row = client.post(path, read_structured(file))
    console.print(f"{row['name']}@{row['version']}, fingerprint {row['fingerprint']}")


@reference.command("add")
def add_reference(file: SpecArgument, url: UrlOption = None, key: KeyOption = None) -> None:
    """Register one result, or a list of them."""
    content = read_structured(file)
    with connect(url, key) as client:
        for one in content if isinstance(content, list) else [content]:
            row = client.post("/v1/references", one)
            console.print(f"{row['id']}  {row['recipe']['name']}  {row['value']}  {row['label']}")


@reference.command("import")
def import_references(
    file: Annotated[Path, typer.Argument(help="CSV: references, or proxy scores measured elsewhere.")],
    partial: Annotated[bool, typer.Option("--partial", help="Take the good rows even if others have faults.")] = False,
    allow_unregistered: Annotated[
        bool, typer.Option("--allow-unregistered", help="Keep results of recipes that are not registered.")
    ] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Register a table of results: all rows, or none and a report of what is wrong with each."""
    params = {"partial": partial, "allow_unregistered": allow_unregistered}
    options = {"content": read_bytes(file), "headers": {"Content-Type": "text/csv"}, "timeout": IMPORT_SECONDS}
    with connect(url, key) as client:
        report = client.request("POST", "/v1/references:import", params=params, **options).json()
    if as_json:
        print_json(report)
        return
    console.print(f"{report['imported']} imported, {report['unchanged']} unchanged, {report['refused']} refused")
    for fault in report["errors"]:
        console.print(f"  {fault['pointer']}: {fault['detail']} (got {fault['value']!r})", markup=False)


@schedule.command("add")
def add_schedule(file: SpecArgument, url: UrlOption = None, key: KeyOption = None) -> None:
    """Store a rule."""
    with connect(url, key) as client:
        row = client.post("/v1/schedules", read_structured(file))
    console.print(f"{row['id']}  {row['name']}  {row['cron']}")


@schedule.command("list")
def list_schedules(url: UrlOption = None) -> None:
    """Show all rules."""
    with connect(url, None) as client:
        for row in client.items("/v1/schedules"):
            console.print(f"{row['id']}  {row['name']}  {row['cron']}  {row['protocol']}")


@schedule.command("trigger")
def trigger_schedule(schedule: str, url: UrlOption = None, key: KeyOption = None) -> None:
    """Fire a rule now, by id or name."""
    with connect(url, key) as client:
        slot = client.post(f"/v1/schedules/{schedule}:trigger")
    console.print(f"{len(slot['submitted'])} evaluations submitted, {len(slot['reused'])} already there")
    for refused in slot["refused"]:
        console.print(f"{refused['recipe']} was refused: {refused['error']}")


@key.command("create")
def create_key(name: str, url: UrlOption = None, key: KeyOption = None) -> None:
    """Make an API key; it is shown once."""
    with connect(url, key) as client:
        console.print(client.post("/v1/keys", {"name": name})["key"])
