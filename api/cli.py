"""The console command `foretaste`: starts the parts of the service, and talks to a running one over HTTP.

Exit status: 0 done, 1 refused or failed (the reason is printed), 2 unusable arguments.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console

from api.client import Client, ProblemError
from api.progress import RunWatcher
from api.tables import agreement_table, leaderboard_table
from proxy.errors import ForetasteError, InvalidInputError
from worker.settings import Settings, get_settings

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Taste the recipe before you buy the model."
)
corpus_app = typer.Typer(no_args_is_help=True, help="Registered sources of documents.")
recipe_app = typer.Typer(no_args_is_help=True, help="Training mixtures.")
schedule_app = typer.Typer(no_args_is_help=True, help="Rules that re-evaluate recipes.")
key_app = typer.Typer(no_args_is_help=True, help="API keys.")
app.add_typer(corpus_app, name="corpus")
app.add_typer(recipe_app, name="recipe")
app.add_typer(schedule_app, name="schedule")
app.add_typer(key_app, name="key")

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

UrlOption = Annotated[str | None, typer.Option("--url", help="Address of the service.", envvar="FORETASTE_URL")]
KeyOption = Annotated[str | None, typer.Option("--key", help="API key.", envvar="FORETASTE_API_KEY")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the resource as JSON.")]


def main() -> None:
    """Entry point: every error we can explain is one clear message, never a traceback."""
    try:
        app()
    except ValidationError as error:
        _fail("\n".join(_setting_problem(problem) for problem in error.errors()))
    except ForetasteError as error:
        _fail(f"{error.title}: {error}" if not isinstance(error, ProblemError) else str(error))


def _fail(message: str) -> None:
    errors.print(message, style="red", markup=False)
    sys.exit(1)


def _setting_problem(problem: Any) -> str:
    name = "_".join(str(part) for part in problem["loc"]).upper()
    return f"FORETASTE_{name}: {problem['msg']} (got {problem['input']!r})"


@contextmanager
def _client(url: str | None, key: str | None) -> Iterator[Client]:
    """The service at `url`, or the one that this folder's settings describe; the key from its data folder."""
    settings = get_settings()
    stored = settings.data_dir / "api-key"
    if key is None and stored.exists():
        key = stored.read_text().strip()
    client = Client(url or f"http://{settings.api_host}:{settings.api_port}", key)
    try:
        yield client
    finally:
        client.close()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError.at("FILE", str(path), f"cannot be read: {error}") from error


def _read_structured(path: Path) -> Any:
    """A YAML or JSON file (JSON is YAML)."""
    try:
        return yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        raise InvalidInputError.at("FILE", str(path), f"is neither YAML nor JSON: {error}") from error


def _print_json(body: object) -> None:
    sys.stdout.write(json.dumps(body, indent=2, ensure_ascii=False) + "\n")


@app.command()
def up(
    port: Annotated[int | None, typer.Option(help="Port of API and page; 0 takes a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Database, artifacts and logs.")] = None,
) -> None:
    """Start the whole service on this machine: database, broker, API, worker, schedules."""
    from api.up import key_path, running_stack

    changes: dict[str, Any] = {
        name: value for name, value in (("api_port", port), ("data_dir", data_dir)) if value is not None
    }
    settings = get_settings().model_copy(update=changes)
    with running_stack(settings) as stack:
        console.print(f"Foretaste is up: [bold]{stack.url}[/]   (logs in {settings.data_dir.resolve() / 'logs'})")
        if stack.new_key:
            console.print(f"Your API key, shown once: [bold]{stack.new_key}[/]")
        console.print(f"API key in {key_path(settings)}; the CLI in this folder finds it. Ctrl-C stops everything.")
        _serve_until_stopped(stack.tend)


def _serve_until_stopped(tend: Any) -> None:
    """Restarts what dies until Ctrl-C or SIGTERM."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    try:
        while True:
            for role in tend():
                errors.print(f"{role} had died and was started again")
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("Stopping.")


@app.command()
def api() -> None:
    """Run the HTTP service alone."""
    import uvicorn

    settings = get_settings()
    uvicorn.run(
        "api.main:create_app", factory=True, host=settings.api_host, port=settings.api_port, log_level="warning"
    )


@app.command()
def worker() -> None:
    """Run one worker alone (one a GPU, or one a machine)."""
    _become_celery("worker", "--pool=prefork", "--concurrency=1", "--without-mingle", "--without-gossip")


@app.command()
def beat() -> None:
    """Run the clock alone: due schedules and forgotten work."""
    folder = get_settings().data_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    _become_celery("beat", "--schedule", str(folder / "beat.db"), "--pidfile=")


def _become_celery(*arguments: str) -> None:
    command = [sys.executable, "-m", "celery", "--app", "worker.app", *arguments, "--loglevel=INFO"]
    os.execv(sys.executable, command)  # noqa: S606 - replaces this process, so signals reach Celery itself


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    from worker.store.migrate import upgrade_database

    settings = get_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade_database(settings)
    console.print(f"{_without_password(settings)} is at the newest schema.")


def _without_password(settings: Settings) -> str:
    from sqlalchemy.engine import make_url

    return make_url(settings.resolved_database_url).render_as_string(hide_password=True)


@app.command()
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer recipes, no references, under 3 minutes.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running at the end.")] = False,
    folder: Annotated[Path, typer.Option(help="Where corpora, service data and the report go.")] = Path("var/demo"),
) -> None:
    """Run the main job to its end on text that every installation has."""
    from api.demo.run import run_demo

    run_demo(folder=folder, is_quick=quick, keep=keep, console=console)


@app.command("study-small")
def study_small(
    corpora: Annotated[Path, typer.Argument(help="Folder of <domain>.jsonl.zst with a validation/ folder.")],
    folder: Annotated[Path, typer.Option(help="Where service data and the report go.")] = Path("var/study-small"),
) -> None:
    """The demo's job on your own corpora: leaderboard, agreement, times and memory as a report."""
    from api.demo.run import run_study

    run_study(corpora=corpora, folder=folder, console=console)


@corpus_app.command("add")
def corpus_add(
    name: str,
    uri: Annotated[str, typer.Argument(help="File, folder or glob: .jsonl, .jsonl.gz, .jsonl.zst, .parquet")],
    text_field: Annotated[str, typer.Option(help="Field that holds the text.")] = "text",
    field: Annotated[list[str] | None, typer.Option(help="Another field to keep; repeatable.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Register a corpus and wait until it is counted."""
    with _client(url, key) as client:
        body = {"name": name, "uri": str(Path(uri).absolute()), "text_field": text_field, "fields": field or []}
        corpus = client.wait(f"/v1/corpora/{client.post('/v1/corpora', body)['id']}")
    console.print(f"{corpus['name']}: {corpus['documents']:,} documents, fingerprint {corpus['fingerprint']}")


@recipe_app.command("check")
def recipe_check(
    file: Path,
    protocol: Annotated[str | None, typer.Option(help="Check that it fits this protocol's budget.")] = None,
    suite: Annotated[str | None, typer.Option(help="Check for leaks into this suite.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Check a recipe (YAML or JSON) without training anything."""
    with _client(url, key) as client:
        query = {name: value for name, value in (("protocol", protocol), ("suite", suite)) if value}
        response = client.request("POST", "/v1/recipes:validate", params=query, **_recipe_body(file))
        _print_json(response.json())


def _recipe_body(file: Path) -> dict[str, Any]:
    media_type = "application/json" if file.suffix == ".json" else "application/yaml"
    return {"content": _read_text(file).encode(), "headers": {"Content-Type": media_type}}


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="Recipe as YAML or JSON.")],
    protocol: Annotated[str, typer.Option(help="Protocol: name, name@version or id.")],
    suite: Annotated[str, typer.Option(help="Suite: name, name@version or id.")],
    seeds: Annotated[int, typer.Option(min=1)] = 2,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Wait and show progress.")] = True,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Submit a recipe for evaluation."""
    with _client(url, key) as client:
        recipe = client.request("POST", "/v1/recipes", **_recipe_body(file)).json()
        body = {"recipe": recipe["id"], "protocol": protocol, "suite": suite, "seeds": seeds}
        evaluation = client.post("/v1/evaluations", body)
        if not as_json:
            console.print(
                f"{recipe['name']} ({recipe['fingerprint']}): evaluation {evaluation['id']} is {evaluation['state']}"
            )
        if watch:
            evaluation = RunWatcher(client, errors if as_json else console).watch([evaluation["id"]], recipe["name"])[0]
        if as_json:
            _print_json(evaluation)
        if evaluation["state"] == "failed":
            raise typer.Exit(1)


@app.command()
def watch(evaluation: str, url: UrlOption = None, key: KeyOption = None) -> None:
    """Show an evaluation's runs until they end."""
    with _client(url, key) as client:
        ended = RunWatcher(client, console).watch([evaluation], evaluation)[0]
        console.print(f"{evaluation}: {ended['state']}")
        if ended["state"] == "failed":
            raise typer.Exit(1)


@app.command()
def leaderboard(
    protocol: str | None = None, suite: str | None = None, as_json: JsonOption = False, url: UrlOption = None
) -> None:
    """Show the ranking of all evaluated recipes."""
    with _client(url, None) as client:
        body = client.get("/v1/leaderboard", protocol=protocol, suite=suite)
    _print_json(body) if as_json else console.print(leaderboard_table(body))


@app.command()
def agreement(
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Show how well the ranking agrees with registered references."""
    with _client(url, None) as client:
        body = client.get("/v1/agreement", protocol=protocol, suite=suite, reference_set=reference_set)
    _print_json(body) if as_json else console.print(agreement_table([body]))


@schedule_app.command("list")
def schedule_list(url: UrlOption = None) -> None:
    """Show all schedules."""
    with _client(url, None) as client:
        for schedule in client.items("/v1/schedules"):
            console.print(f"{schedule['id']}  {schedule['name']}  {schedule['cron']}  {schedule['protocol']}")


@schedule_app.command("trigger")
def schedule_trigger(schedule: str, url: UrlOption = None, key: KeyOption = None) -> None:
    """Fire a schedule now."""
    with _client(url, key) as client:
        slot = client.post(f"/v1/schedules/{schedule}:trigger")
    console.print(f"{len(slot['submitted'])} evaluations submitted, {len(slot['reused'])} already there")


@key_app.command("create")
def key_create(name: str, url: UrlOption = None, key: KeyOption = None) -> None:
    """Make an API key; it is shown once."""
    with _client(url, key) as client:
        console.print(client.post("/v1/keys", {"name": name})["key"])


@app.command()
def doctor(url: UrlOption = None) -> None:
    """Say what works here and what is missing."""
    settings = get_settings()
    rows = [
        ("foretaste", version("foretaste"), True),
        ("torch", version("torch"), True),
        ("C++ compiler", shutil.which("c++") or shutil.which("g++") or "none: training runs uncompiled", True),
        ("cores of a worker", str(settings.owned_threads), True),
        ("free disk", f"{shutil.disk_usage(_existing(settings.data_dir)).free / 1e9:,.1f} GB", True),
        ("database", *_probe_database(settings)),
        ("service", *_probe_service(url)),
    ]
    for name, finding, is_well in rows:
        console.print(f"{'[green]✓[/]' if is_well else '[red]✗[/]'} {name:<18} {finding}")
    if not all(is_well for _, _, is_well in rows):
        raise typer.Exit(1)


def _existing(path: Path) -> Path:
    path = path.resolve()
    return path if path.exists() else _existing(path.parent)


def _probe_database(settings: Settings) -> tuple[str, bool]:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from worker.store.sessions import make_engine

    shown = _without_password(settings)
    if not settings.database_url and not (settings.data_dir / "foretaste.db").exists():
        return f"{shown} is made at the first `foretaste up`", True
    try:
        with make_engine(settings.resolved_database_url).connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"{shown}: {error}", False
    return shown, True


def _probe_service(url: str | None) -> tuple[str, bool]:
    with _client(url, None) as client:
        try:
            client.get("/readyz")
        except ForetasteError as error:
            return f"{error} (start one with `foretaste up`)", False
    return "answers", True


if __name__ == "__main__":
    main()
