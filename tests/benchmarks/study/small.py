"""A small study, whole: `foretaste study run` on the text of the installed packages, then once more.

Eight of the demo's recipes; 0.23M proxies at four rates with two seeds, 0.94M references swept over three rates. Eight
recipes show that everything works and how wide the intervals are; they prove no claim.

`python -m tests.benchmarks.study.small` prints the rows.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.demo.corpora import DemoCorpus, write_corpora
from api.demo.recipes import FULL
from proxy.studies.definition import REPETITION
from tests.benchmarks.figures import Row, at_least, at_most, for_information

NAME = "small"
LEFT_OUT = ("python-heavy", "no-headers", "long-documents")  # beside what is repeated: a study of minutes
PROXY_RATES = (4e-4, 8e-4, 2.4e-3, 7.2e-3)  # the third is about the proxies' optimum, the second a third of it
SEEDS = 2
MOST_MINUTES = 20


def measure() -> list[Row]:
    """What the study's own report says of it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        definition = place / "small.json"
        definition.write_text(json.dumps(_definition(write_corpora(place / "corpora"))))
        began = time.monotonic()
        first = _run(definition, place)
        minutes = (time.monotonic() - began) / 60
        again = _run(definition, place)
        return [
            *_rows(first),
            at_most("minutes that the command takes", minutes, MOST_MINUTES),
            at_most("tokens that the same command trains again", _tokens(again) - _tokens(first), 0),
        ]


def _definition(corpora: list[DemoCorpus]) -> dict[str, Any]:
    names = [corpus.name for corpus in corpora if corpus.held_out]
    recipes = [
        recipe for recipe in FULL.recipes if recipe["name"] not in LEFT_OUT and recipe["tags"]["axis"] != REPETITION
    ]
    return {
        "name": NAME,
        "description": "eight recipes of installed text",
        "corpora": [
            *({"name": corpus.name, "files": [corpus.path.name]} for corpus in corpora),
            *({"name": f"{name}-held-out", "files": [f"held_out/{name}.jsonl.gz"]} for name in names),
        ],
        "tokenizer": {"vocabulary": FULL.vocabulary, "corpora": names},
        "suites": [
            {
                "name": "held-out",
                "sets": [{"name": name, "corpus": f"{name}-held-out", "cluster_field": "source"} for name in names],
            }
        ],
        "recipes": recipes,
        "proxies": {"protocol": _protocol(FULL.proxy), "rates": PROXY_RATES, "seeds": SEEDS},
        "references": {
            "protocol": {**_protocol(FULL.reference), "schedule": {"kind": "cosine"}, "scoring": {"checkpoints": 1}},
            "rates": FULL.reference_rates,
            "seeds": SEEDS,
        },
    }


def _protocol(shape: dict[str, int]) -> dict[str, Any]:
    return {
        "architecture": FULL.architecture(shape),
        "batch_sequences": FULL.batch_sequences,
        "steps": FULL.steps,
    }


def _run(definition: Path, place: Path) -> dict[str, Any]:
    """The report of one call of the command; CalledProcessError where it fails."""
    out = place / "report"
    command = [sys.executable, "-m", "api.cli", "study", "run", str(definition), "--corpora", str(place / "corpora")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORETASTE_")}
    subprocess.run([*command, "--folder", str(place / NAME), "--out", str(out), "--yes"], check=True, env=kept)
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def _tokens(report: dict[str, Any]) -> float:
    return float(sum(row["tokens"] for row in report["costs"]))


def _rows(report: dict[str, Any]) -> Iterator[Row]:
    (suite,) = report["suites"]
    recipes = len(report["recipes"])
    yield at_least("recipes with both proxies and swept references", _fewest(suite), recipes)
    for row in suite["table"]["rows"]:
        yield for_information(_described(row, suite), row["figures"]["spearman"])
    search = suite["search"]
    rules = f"rates that the search, which looks at no reference, chooses: {search['conclusion']}"
    yield for_information(rules, float(search["rate"] is not None))
    yield for_information("tokens trained, in millions", _tokens(report) / 1e6)


def _fewest(suite: dict[str, Any]) -> float:
    return float(min(row["figures"]["n"] for row in suite["table"]["rows"]))


def _described(row: dict[str, Any], suite: dict[str, Any]) -> str:
    """Spearman's figure at one rate, with its interval and the regret."""
    figures = row["figures"]
    marks = [
        words
        for words, is_so in (
            ("the standard rate", row["is_standard"]),
            ("chosen by the search", suite["search"]["rate"] == row["rate"]),
        )
        if is_so
    ]
    what = f"Spearman at {row['rate']:g}" + (f" ({', '.join(marks)})" if marks else "")
    low, high = figures["spearman_low"], figures["spearman_high"]
    interval = "" if low is None else f", 95 % interval {low:.2f} to {high:.2f}"
    return f"{what}{interval}; regret@1 {figures['regret_at_1']:.4f}"


if __name__ == "__main__":
    for row in measure():
        print(row["holds"], row["value"], row["must"], row["figure"], sep="\t", flush=True)
