"""A study's references as the table that `foretaste reference import` takes: what was dear to train is of use to
another study or service without being trained again."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from worker.studies.sets import DIRECTION, METRIC, SOURCE, UNIT

COLUMNS = (
    "reference_set",
    "recipe",
    "metric",
    "direction",
    "unit",
    "value",
    "learning_rate",
    "seed",
    "stopped_early",
    "parameters",
    "tokens",
    "steps",
    "schedule",
    "axis",
    "source",
)


def reference_table(report: Mapping[str, Any]) -> str:
    """CSV, one row a reference run of the sweeps, all suites one after the other; only the header while there is none.

    `tokens` and `steps` are what was planned: a rate that was given up early (`stopped_early`, without a value) has
    seen fewer. `source` is the study that trained a run, or what an import said of it. Imported into the service that
    trained them, all rows are there already.
    """
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(_rows(report))
    return text.getvalue()


def _rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shape = report["shapes"]["references"]
    axes = {recipe["name"]: recipe["axis"] for recipe in report["recipes"]}
    for suite in report["suites"]:
        for recipe in sorted(suite["recipes"], key=lambda recipe: str(recipe["recipe"])):
            for run in recipe["sweep"]:
                yield {
                    "reference_set": suite["reference_set"],
                    "recipe": recipe["recipe"],
                    "metric": METRIC,
                    "direction": DIRECTION,
                    "unit": UNIT,
                    "value": run["value"],
                    "learning_rate": run["rate"],
                    "seed": run["seed"],
                    "stopped_early": str(run["stopped"]).lower(),
                    "parameters": shape["parameters"],
                    "tokens": shape["tokens"],
                    "steps": shape["steps"],
                    "schedule": shape["schedule"],
                    "axis": axes[recipe["recipe"]],
                    "source": f"study {report['study']}" if run["source"] == SOURCE else run["source"],
                }
