"""Watching evaluations from a terminal: a bar for each running run, a line for each that ended."""

import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from api.client import Client, Resource

POLL_SECONDS = 1.0
TURNS = 10  # an evaluation of which nothing runs is looked at every so many polls
FINAL = ("finished", "failed", "stopped", "cancelled")
MARKS = {"finished": "[green]✓[/]", "stopped": "[yellow]■[/]", "failed": "[red]✗[/]", "cancelled": "[dim]–[/]"}


class RunWatcher:
    """Polls evaluations until all are final. Each run is reported once, whichever evaluations share it.

    Those that run are looked at each time, those that wait in turn: an answer costs the machine that trains some
    milliseconds, and hundreds of evaluations may be watched.
    """

    def __init__(self, client: Client, console: Console) -> None:
        self._client, self._console = client, console
        self._bars: dict[str, TaskID] = {}
        self._ended: set[str] = set()
        self._seen: dict[str, Resource] = {}
        self._polls = 0
        self.stalled_seconds = 0.0

    def watch(self, evaluation_ids: Iterable[str], title: str) -> list[Resource]:
        """The evaluations, once all are final, in the order given."""
        open_ids = list(dict.fromkeys(evaluation_ids))
        final: dict[str, Resource] = {}
        with self._progress() as progress:
            overall = progress.add_task(title, total=None, detail="waiting for the worker", visible=True)
            while True:
                runs = self._poll(open_ids, final)
                self._show(progress, overall, runs)
                if len(final) == len(open_ids):
                    break
                time.sleep(POLL_SECONDS)
        return [final[evaluation_id] for evaluation_id in open_ids]

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            console=self._console,
            transient=True,
            refresh_per_second=2,
        )

    def _poll(self, open_ids: list[str], final: dict[str, Resource]) -> dict[str, Resource]:
        """All runs by id, as they were last seen; evaluations that became final are filed."""
        due = [id_ for turn, id_ in enumerate(open_ids) if id_ not in final and self._is_due(id_, turn)]
        for evaluation_id in due:
            evaluation = self._client.get(f"/v1/evaluations/{evaluation_id}")
            self._seen.pop(evaluation_id, None)
            self._seen[evaluation_id] = evaluation  # at the end: of a run that several share, the newest word counts
            if evaluation["state"] in FINAL:
                final[evaluation_id] = evaluation
        self._polls += 1
        return {
            run["id"]: {**run, "recipe_name": evaluation["recipe"]["name"]}
            for evaluation in self._seen.values()
            for run in evaluation["runs"]
        }

    def _is_due(self, evaluation_id: str, turn: int) -> bool:
        """True for what runs, for what has not been seen, and every so many polls."""
        seen = self._seen.get(evaluation_id)
        if seen is None or (self._polls + turn) % TURNS == 0:
            return True
        states = {run["state"] for run in seen["runs"]}
        return "running" in states or states <= set(FINAL)

    def _show(self, progress: Progress, overall: TaskID, runs: dict[str, Resource]) -> None:
        ended = [run for run in runs.values() if run["state"] in FINAL]
        progress.update(
            overall, total=len(runs) or None, completed=len(ended), detail=f"{len(ended)} of {len(runs)} runs ended"
        )
        for run in ended:
            self._report_end(progress, run)
        for run in runs.values():
            now = run["progress"]
            if run["state"] == "running" and (now.get("step") or now.get("activity") or run["id"] in self._bars):
                self._move_bar(progress, run)

    def _move_bar(self, progress: Progress, run: Resource) -> None:
        """Steps of the training, or before it bytes of the corpus that is read."""
        now = run["progress"]
        done, total = (now["bytes"], now["of_bytes"]) if now.get("activity") else (now.get("step"), now.get("steps"))
        if run["id"] not in self._bars:
            self._bars[run["id"]] = progress.add_task(describe_run(run), total=total, detail="")
        progress.update(self._bars[run["id"]], completed=done, total=total, detail=_detail(now))

    def _report_end(self, progress: Progress, run: Resource) -> None:
        if run["id"] in self._ended:
            return
        self._ended.add(run["id"])
        if (bar := self._bars.pop(run["id"], None)) is not None:
            progress.remove_task(bar)
        self._console.print(f"{MARKS[run['state']]} {describe_run(run)}  {_outcome(run)}")


def _detail(now: Resource) -> str:
    """Speed, loss and time left; what is not known yet is left out."""
    if now.get("activity"):
        return f"{now['activity']} {now['corpus']}: {describe_reading(now)}"
    if now.get("tokens_per_second") is None or now.get("loss") is None:
        return str(now.get("phase", ""))
    left = f"{now['seconds_left']:>4.0f} s left" if now.get("seconds_left") is not None else ""
    return f"{now['tokens_per_second']:>9,.0f} tokens/s  loss {now['loss']:.3f}  {left}"


def describe_reading(now: Resource) -> str:
    """Documents, speed and time left of a corpus that is read."""
    left = "" if now["seconds_left"] is None else f", {now['seconds_left']:,.0f} s left"
    return f"{now['documents']:,} documents, {now['megabytes_a_second']:.1f} MB/s{left}"


def describe_run(run: dict[str, Any]) -> str:
    """Recipe, protocol, rate and seed of a run, aligned."""
    protocol = run.get("protocol") or {}
    return (
        f"{run['recipe_name']:<20} {protocol.get('name', ''):<10} rate {run['learning_rate']:.2e}  seed {run['seed']}"
    )


def _outcome(run: Resource) -> str:
    if run["state"] == "failed":
        return f"[red]{run.get('error')}[/]"
    result = run.get("result") or {}
    if result.get("final_loss") is None:
        return str(run["state"])
    speed = f"{result.get('tokens_per_second', 0):>9,.0f} tokens/s"
    given_up = "  given up: this rate is hopeless" if run["state"] == "stopped" else ""
    return f"loss {result['final_loss']:.3f}  {speed}{given_up}"
