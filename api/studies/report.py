"""A study's report as files that can be committed: `report.json`, `README.md`, `references.csv` and pictures."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api.client import Resource
from api.demo.machine import describe_machine
from api.demo.report import write_text
from api.studies.markdown import as_markdown
from api.studies.picture import draw_suite
from api.studies.reference_table import reference_table
from proxy.errors import InvalidInputError
from proxy.studies import StudyDefinition
from worker.settings import Settings, get_settings

Report = Mapping[str, Any]
REMEDY = "; run this definition, or ask for the report with the one that was run"


def settings_of(folder: Path) -> Settings:
    """Of the service that a study started below its folder; of this machine's own service where there is none."""
    settings = get_settings()
    own = settings.model_copy(update={"data_dir": folder / "service"})
    return own if not settings.database_url and (own.data_dir / "foretaste.db").exists() else settings


def read_report(definition: StudyDefinition, settings: Settings) -> dict[str, Any]:
    """From the database, whether or not a service runs on it, of this version or an earlier one. InvalidInputError
    where the study never ran there."""
    from worker.store.migrate import at_newest_schema
    from worker.store.sessions import make_engine, make_sessions, read_scope
    from worker.studies.reports import report_of_definition

    if not settings.database_url and not (settings.data_dir / "foretaste.db").exists():
        message = "holds no data of a service; say the study's --folder"
        raise InvalidInputError.at("--folder", str(settings.data_dir), message)
    with at_newest_schema(settings.resolved_database_url) as database_url:
        engine = make_engine(database_url)
        try:
            with read_scope(make_sessions(engine)) as session:
                report = report_of_definition(session, definition)
        finally:
            engine.dispose()
    return {**report, "machine": describe_machine(settings.owned_threads)}


def fetch_report(get: Callable[[str], Resource], study: str, url: str) -> dict[str, Any]:
    """From the service at `url`, which `get` asks; `study` is its name or id."""
    return {**get(f"/v1/studies/{quote(study, safe='')}/report"), "machine": {"trained_by": url}}


def require_report_of(definition: StudyDefinition, report: Report) -> None:
    """A study is found by its name, and may be of an earlier definition. InvalidInputError says what differs."""
    wanted = sorted(recipe.name for recipe in definition.recipes)
    there = sorted(recipe["name"] for recipe in report["recipes"])
    if wanted != there:
        raise InvalidInputError.at("/recipes", wanted, f"the study that was trained has {', '.join(there)}{REMEDY}")
    for part, trained in (("proxies", definition.proxies), ("references", definition.references)):
        spec = trained.resolved(definition.vocabulary)
        asked = {
            "tokens": spec.token_budget,
            "steps": spec.steps,
            "batch_tokens": spec.batch_tokens,
            "schedule": spec.schedule.kind,
            "rates": list(trained.rates),
            "seeds": trained.seeds,
            "first_seed": trained.first_seed,
        }
        if not isinstance(definition.tokenizer, str):  # else its vocabulary, and so the size, is not known here
            asked["parameters"] = spec.architecture.parameters
        for name, value in asked.items():
            if (known := report["shapes"][part][name]) != value:
                raise InvalidInputError.at(f"/{part}/{name}", value, f"the study that was trained has {known}{REMEDY}")


def make_folder(out: Path) -> None:
    """InvalidInputError for what cannot be one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError.at("--out", str(out), f"cannot be made: {error.strerror}") from error


def write_report(report: Report, out: Path) -> list[Path]:
    """The files, written anew; pictures only of suites that have something to show."""
    make_folder(out)
    pictures = [path for suite in report["suites"] for path in draw_suite(suite, out)]
    write_text(out / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    write_text(out / "references.csv", reference_table(report))
    write_text(out / "README.md", as_markdown(report, pictures))
    return [out / "README.md", out / "report.json", out / "references.csv", *pictures]
