"""The console command `foretaste`: starts the parts of the service, and talks to a running one over HTTP.

Exit status: 0 done, 1 refused or failed (the reason is printed), 2 unusable arguments.
"""

import os
import re
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from api.client import ProblemError
from api.connection import JsonOption, KeyOption, UrlOption, connect, console, errors, print_json, recipe_body
from api.nouns import NOUNS
from api.progress import RunWatcher
from api.questions import QUESTIONS
from api.rate_searches.commands import rate_search, rate_searches
from api.replications.commands import evaluate, replications
from api.studies.commands import study
from proxy.errors import ForetasteError, InvalidInputError, SharedStoreError
from proxy.seeds import require_first_seed
from worker.settings import Settings, get_settings

SHUTDOWN_SECONDS = 5  # somebody who follows an evaluation's events would keep the process for as long

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Taste the recipe before you buy the model."
)
for noun, commands in NOUNS.items():
    app.add_typer(commands, name=noun)
for question in QUESTIONS:
    app.command()(question)
app.command("rate-search")(rate_search)
app.add_typer(rate_searches, name="rate-searches")
app.command()(evaluate)
app.add_typer(replications, name="replications")
app.add_typer(study, name="study")


def main() -> None:
    """Entry point: every error we can explain is one clear message, never a traceback."""
    try:
        app()
    except ValidationError as error:
        _fail("\n".join(_setting_problem(problem) for problem in error.errors()))
    except KeyboardInterrupt:
        _fail("interrupted")
    except ForetasteError as error:
        _fail(_explain(error))


def _explain(error: ForetasteError) -> str:
    """Several faults are one line each."""
    if isinstance(error, ProblemError):
        return str(error)
    if isinstance(error, InvalidInputError) and len(error.problems) > 1:
        return "\n  ".join([f"{error.title}:", *map(str, error.problems)])
    return f"{error.title}: {error}"


def _fail(message: str) -> None:
    errors.print(message, style="red", markup=False)
    sys.exit(1)


def _setting_problem(problem: Any) -> str:
    name = "_".join(str(part) for part in problem["loc"]).upper()
    given = re.sub(r"://[^/@]*@", "://…@", repr(problem["input"]))  # a URL may hold a password
    return f"FORETASTE_{name}: {problem['msg']} (got {given})"


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of API and page; 0 takes a free one.")
    ] = None,
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
    from api.up import terminated_like_interrupted

    try:
        with terminated_like_interrupted():
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
        "api.main:create_app",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        log_level="warning",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


@app.command()
def worker() -> None:
    """Run one worker alone (one a GPU, or one a machine)."""
    _become_celery("worker", "--pool=prefork", "--without-mingle", "--without-gossip")


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
    """Bring the database to the newest schema, and make the first API key."""
    from api.up import key_path, prepare_database, shown_url

    settings = get_settings()
    new_key = prepare_database(settings)
    console.print(f"{shown_url(settings)} is at the newest schema.")
    if new_key:
        console.print(f"Your first API key, shown once: {new_key}   (also in {key_path(settings)})")


@app.command()
def share() -> None:
    """Copy what lies in this machine's data folder to the shared store; what is there is left alone."""
    from worker.sharing import share_all

    with console.status("copying") as status:
        share_all(get_settings(), lambda what: status.update(f"copying {what}"))
    console.print("Everything that other machines may need is in the shared store.")


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


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="Recipe as YAML or JSON.")],
    protocol: Annotated[str, typer.Option(help="Protocol: name, name@version or id.")],
    suite: Annotated[str, typer.Option(help="Suite: name, name@version or id.")],
    seeds: Annotated[int, typer.Option(min=1)] = 2,
    first_seed: Annotated[int, typer.Option(help="The others follow it.")] = 0,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Wait and show progress.")] = True,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Submit a recipe for evaluation."""
    require_first_seed(first_seed, "--first-seed")
    with connect(url, key) as client:
        recipe = client.request("POST", "/v1/recipes", **recipe_body(file)).json()
        body = {"recipe": recipe["id"], "protocol": protocol, "suite": suite, "seeds": seeds, "first_seed": first_seed}
        evaluation = client.post("/v1/evaluations", body)
        if not as_json:
            console.print(
                f"{recipe['name']} ({recipe['fingerprint']}): evaluation {evaluation['id']} is {evaluation['state']}"
            )
        if watch:
            evaluation = RunWatcher(client, errors if as_json else console).watch([evaluation["id"]], recipe["name"])[0]
        if as_json:
            print_json(evaluation)
        if evaluation["state"] == "failed":
            raise typer.Exit(1)


@app.command()
def watch(evaluation: str, url: UrlOption = None, key: KeyOption = None) -> None:
    """Show an evaluation's runs until they end."""
    with connect(url, key) as client:
        ended = RunWatcher(client, console).watch([evaluation], evaluation)[0]
        console.print(f"{evaluation}: {ended['state']}")
        if ended["state"] == "failed":
            raise typer.Exit(1)


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
        *([("shared store", *_probe_store(settings))] if settings.shared_store else []),
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

    from api.up import shown_url
    from worker.store.sessions import make_engine

    shown = shown_url(settings)
    if not settings.database_url and not (settings.data_dir / "foretaste.db").exists():
        return f"{shown} is made at the first `foretaste up`", True
    try:
        engine = make_engine(settings.resolved_database_url)
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"{shown}: {error}", False
    return shown, True


def _probe_store(settings: Settings) -> tuple[str, bool]:
    from worker.sharing import shared_store

    store = shared_store(settings)
    assert store is not None
    try:
        store.read("doctor.json")
    except SharedStoreError as error:
        return str(error), False
    return f"{store.name} answers", True


def _probe_service(url: str | None) -> tuple[str, bool]:
    with connect(url, None) as client:
        try:
            client.get("/readyz")
        except ForetasteError as error:
            return f"{error} (start one with `foretaste up`)", False
    return "answers", True


if __name__ == "__main__":
    main()
