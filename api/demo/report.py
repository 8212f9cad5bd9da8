"""What the demo leaves behind: `report.json`, with every figure that was printed."""

import json
from pathlib import Path
from typing import Any

from api.client import Resource
from api.demo.experiment import Experiment

AGREEMENT_FIGURES = (
    "n",
    "spearman",
    "spearman_low",
    "spearman_high",
    "kendall",
    "kendall_low",
    "kendall_high",
    "decision_accuracy",
    "decision_accuracy_low",
    "decision_accuracy_high",
    "regret_at_1",
    "regret_at_1_low",
    "regret_at_1_high",
    "is_evidence",
    "note",
)


def build_report(experiment: Experiment, wall_seconds: float, extra: dict[str, Any]) -> dict[str, Any]:
    """The report as plain data; a broken recipe has rank null."""
    report: dict[str, Any] = {
        "recipes": [_recipe(entry) for entry in experiment.leaderboard("reduced")["entries"]],
        "agreement": {},
        "runs": [
            _run(evaluation, run)
            for group in experiment.evaluations.values()
            for evaluation in group
            for run in evaluation["runs"]
        ],
        "wall_seconds": round(wall_seconds, 1),
    }
    if experiment.size.with_references:
        report["agreement"] = {name: _agreement(experiment.agreement(name)) for name in ("reduced", "standard")}
    return report | extra


def write_report(report: dict[str, Any], path: Path) -> None:
    """As JSON; NaN would be an error, not a value."""
    write_text(path, json.dumps(report, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """The whole file or none."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(content)
    partial.replace(path)


def _recipe(entry: Resource) -> dict[str, Any]:
    kept = ("rank", "rank_low", "rank_high", "score", "score_low", "score_high", "p_best", "seeds", "gates")
    named = {"name": entry["recipe"]["name"], "fingerprint": entry["recipe"]["fingerprint"]}
    return named | {name: entry[name] for name in kept}


def _agreement(body: Resource) -> dict[str, Any]:
    return {name: body.get(name) for name in AGREEMENT_FIGURES}


def _run(evaluation: Resource, run: Resource) -> dict[str, Any]:
    result = run.get("result") or {}
    return {
        "recipe": evaluation["recipe"]["name"],
        "protocol": evaluation["protocol"]["name"],
        "kind": evaluation["kind"],
        "seed": run["seed"],
        "learning_rate": run["learning_rate"],
        "parameters": result.get("parameters"),
        "steps": result.get("steps"),
        "tokens": result.get("tokens"),
        "tokens_per_second": result.get("tokens_per_second"),
        "final_loss": result.get("final_loss"),
        "state": run["state"],
    }
