"""`make demo` and `make study-small`: start the service, run the experiment, print and write what came out."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from api.client import Client, Resource
from api.demo.corpora import write_corpora
from api.demo.experiment import Experiment, StandardRate, TrainingCorpus
from api.demo.machine import describe_machine, largest_child_megabytes, resident_megabytes
from api.demo.markdown import as_markdown
from api.demo.recipes import FULL, QUICK, Size
from api.demo.report import build_report, write_report, write_text
from api.demo.study import study_corpora, study_size
from api.pictures import draw_agreement
from api.tables import agreement_table, leaderboard_table
from api.up import Stack, key_path, running_stack
from worker.settings import get_settings


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run, under which name, and where its files go."""

    label: str
    size: Size
    folder: Path
    corpora: Sequence[TrainingCorpus]
    command: str
    keep: bool = False
    can_keep: str = ""  # how to leave the service running, where that can be asked for


def run_demo(*, folder: Path, is_quick: bool, keep: bool, console: Console) -> None:
    """The main job on text that every installation has; starts from nothing each time."""
    started_at = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    console.rule("1  Corpora out of the installed packages")
    corpora = [
        TrainingCorpus(name=corpus.name, path=corpus.path, held_out=corpus.held_out)
        for corpus in write_corpora(folder / "corpora")
    ]
    size = QUICK if is_quick else FULL
    command = "make demo QUICK=1" if is_quick else "make demo"
    plan = Plan(
        label="demo",
        size=size,
        folder=folder,
        corpora=corpora,
        command=command,
        keep=keep,
        can_keep="make demo KEEP=1",
    )
    _run(plan, console, started_at)


def run_study(*, corpora: Path, folder: Path, console: Console) -> None:
    """The same job on a folder of real corpora; what a killed study had finished is not trained again."""
    started_at = time.monotonic()
    found = study_corpora(corpora, folder / "held_out")
    size = study_size([corpus.name for corpus in found])
    plan = Plan(label="study", size=size, folder=folder, corpora=found, command="make study-small CORPORA=<folder>")
    _run(plan, console, started_at)


def _run(plan: Plan, console: Console, started_at: float) -> None:
    console.rule("2  Service: database, broker, API, worker, schedules")
    settings = get_settings().model_copy(update={"data_dir": plan.folder / "service", "api_port": 0})
    with running_stack(settings) as stack:
        console.print(f"  {stack.url}   logs in {plan.folder / 'service' / 'logs'}")
        client = Client(stack.url, key_path(settings).read_text().strip())
        experiment = Experiment(client=client, console=console, size=plan.size, label=plan.label)
        extra = _experiment(experiment, plan) | {"machine": describe_machine(settings.owned_threads)}
        memory = {"API process": resident_megabytes(stack)}
        report = build_report(experiment, time.monotonic() - started_at, extra)
        console.print(f"\nThe whole job took {report['wall_seconds']:.0f} s.")
        _leave(stack, console, keep=plan.keep, can_keep=plan.can_keep)
    memory["largest process of all (training)"] = largest_child_megabytes()
    report["memory_megabytes"] = memory
    write_report(report, plan.folder / "report.json")
    title = f"{plan.label.capitalize()}: {len(plan.size.recipes)} recipes"
    write_text(plan.folder / "report.md", as_markdown(report, title, plan.command))
    console.print(f"Written: {plan.folder / 'report.json'}, {plan.folder / 'report.md'}")


def _experiment(experiment: Experiment, plan: Plan) -> dict[str, Any]:
    """Everything over HTTP; what the report adds to the runs and the leaderboard."""
    standard = _train(experiment, plan.corpora)
    references = experiment.register_references()
    extra = {
        "standard_rate": _describe(standard),
        "schedule": _schedule(experiment),
        "reference_labels": _count_labels(references),
    }
    _show(experiment, extra["reference_labels"], plan.folder)
    return extra


def _count_labels(references: list[Resource]) -> dict[str, int]:
    """How many recipes earned each label."""
    earned = {reference["recipe"]["id"]: reference["label"] for reference in references}
    return {label: list(earned.values()).count(label) for label in sorted(set(earned.values()))}


def _train(experiment: Experiment, corpora: Sequence[TrainingCorpus]) -> StandardRate:
    console, size = experiment.console, experiment.size
    console.rule("3  Registration over HTTP")
    experiment.register_data(corpora)
    experiment.register_recipes()
    console.rule("4  The proxy's own optimum, by measurement")
    standard = experiment.find_standard_rate()
    for anchor, sweep in standard.sweeps.items():
        console.print(f"  {anchor:<14}" + "   ".join(f"{rate:.1e}: {score:.3f}" for rate, score in sweep.items()))
    edge = "" if standard.is_interior else "  [yellow](at the edge of the ladder)[/]"
    console.print(f"  standard rate {standard.rate:.2e}{edge}; reduced rate {standard.rate * size.reduction:.2e}")
    experiment.register_protocols(standard.rate)
    console.rule(
        f"5  {len(size.recipes)} recipes: reduced, standard" + (", references" if size.with_references else "")
    )
    experiment.evaluate()
    return standard


def _describe(standard: StandardRate) -> dict[str, Any]:
    return {"rate": standard.rate, "is_interior": standard.is_interior, "sweeps": standard.sweeps}


def _schedule(experiment: Experiment) -> dict[str, int]:
    slot = experiment.trigger_schedule()
    submitted, reused = len(slot["submitted"]), len(slot["reused"])
    experiment.console.print(
        f"\nSchedule fired: {submitted} evaluations submitted, {reused} already there, nothing trained twice."
    )
    return {"submitted": submitted, "reused": reused}


def _show(experiment: Experiment, labels: dict[str, int], folder: Path) -> None:
    console = experiment.console
    console.rule("6  Leaderboard (reduced rate) and agreement")
    console.print(leaderboard_table(experiment.leaderboard("reduced")))
    if not experiment.size.with_references:
        return
    console.print("References: " + ", ".join(f"{count} {label}" for label, count in labels.items()))
    bodies = [experiment.agreement(name) for name in ("reduced", "standard")]
    console.print(agreement_table(bodies))
    draw_agreement(bodies, folder / "agreement.png")
    console.print(f"Picture: {folder / 'agreement.png'}")


def _leave(stack: Stack, console: Console, *, keep: bool, can_keep: str) -> None:
    page = f"{stack.url}/"
    if not keep:
        console.print(f"The page was at {page}" + (f"; `{can_keep}` leaves it running." if can_keep else "."))
        return
    console.print(f"The page: [bold]{page}[/]   Ctrl-C stops everything.")
    try:
        while True:
            stack.tend()
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("Stopping.")
