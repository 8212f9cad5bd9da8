"""Published results replayed through the public import path and through the offline command.

`measure(folder)` wants regmix_pile_cc.csv (sail-sg/regmix, MIT) and dclm_core_v1.csv (mlfoundations/dclm, MIT) in the
folder. Their columns become ours here; everything after that is the product: `POST /v1/references:import` and
`GET /v1/agreement` of a service on a fresh SQLite database, and `foretaste agreement --proxy --reference --json`.
"""

import csv
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from typer.testing import CliRunner

from api import cli
from api.main import create_app
from worker.keys import create_key
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.sessions import session_scope

Record = dict[str, str]
Figures = dict[str, Any]
FIGURES = ("n", "spearman", "kendall", "pearson", "decision_accuracy", "regret_at_1")
RENAMED = {
    "params": "parameters",
    "lr": "learning_rate",
    "wd": "weight_decay",
    "batch": "batch",
    "arch": "architecture",
}
KEPT = ("recipe", "value", "metric", "tokens", "seed")


@dataclass(frozen=True, kw_only=True)
class Replay:
    """One comparison. `settings` narrows the references; `expected` are point values to three digits."""

    name: str
    file: str
    proxy_scale: str
    reference_scale: str
    direction: str
    settings: tuple[tuple[str, str], ...] = ()
    expected: tuple[tuple[str, float], ...] = ()
    conclusion: str = ""
    labels: tuple[tuple[str, int], ...] = ()


REPLAYS = (
    Replay(
        name="regmix-1M-60M",
        file="regmix_pile_cc.csv",
        proxy_scale="1M",
        reference_scale="60M",
        direction="lower",
        expected=tuple(zip(FIGURES, (256, 0.994, 0.937, 0.994, 0.969, 0.0), strict=True)),
        conclusion="Strong evidence",
        labels=(("single", 256),),
    ),
    Replay(
        name="dclm-400M-1B-one-setting",
        file="dclm_core_v1.csv",
        proxy_scale="400M-1x",
        reference_scale="1B-1x",
        direction="higher",
        settings=(("lr", "0.003"), ("wd", "0.033")),
        labels=(("single", 12),),
        expected=tuple(zip(FIGURES, (12, 0.608, 0.455, 0.642, 0.727, 0.040), strict=True)),
        conclusion="Weak evidence",
    ),
    Replay(
        name="dclm-400M-1B-best-of-sweep",
        file="dclm_core_v1.csv",
        proxy_scale="400M-1x",
        reference_scale="1B-1x",
        direction="higher",
        # Three recipes were swept over the same five settings at three rates; the best of one is at its highest rate.
        labels=(("single", 9), ("swept, at the edge", 1), ("tuned", 2)),
        # Decision accuracy: of the 66 pairs 49 in the same order, counted from the two columns.
        expected=(("n", 12), ("spearman", 0.629), ("kendall", 0.485), ("decision_accuracy", 0.742)),
        conclusion="Weak evidence",
    ),
)


def measure(references_folder: Path | str) -> list[dict[str, Any]]:
    """A row a figure and path: {"figure", "value", "must", "holds"}."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as service:
        for replay in REPLAYS:
            records = read_records(Path(references_folder) / replay.file)
            rows += _rows(replay, "import", service.replay(replay, records))
            rows += _rows(replay, "offline", compare_offline(Path(folder), replay, records))
    return rows


def _rows(replay: Replay, path: str, figures: Figures) -> Iterator[dict[str, Any]]:
    for name, expected in replay.expected:
        value = round(figures[name], 3)
        yield {"figure": f"{replay.name} {path}: {name}", "value": value, "must": expected, "holds": value == expected}
    labels = dict(sorted(Counter(figures["labels"].values()).items()))
    must = dict(replay.labels)
    yield {"figure": f"{replay.name} {path}: labels", "value": labels, "must": must, "holds": labels == must}
    said = figures["conclusion"]
    holds = said.startswith(replay.conclusion)
    yield {"figure": f"{replay.name} {path}: conclusion", "value": said, "must": replay.conclusion, "holds": holds}


def read_records(path: Path) -> list[Record]:
    """As published."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def convert(record: Record) -> Record:
    """One published record in our columns; what it does not have is left out."""
    renamed = {ours: record[theirs] for theirs, ours in RENAMED.items() if theirs in record}
    return {name: record[name] for name in KEPT if name in record} | renamed


def proxies_of(replay: Replay, records: list[Record]) -> list[Record]:
    """The small runs."""
    return [convert(record) for record in records if record["scale"] == replay.proxy_scale]


def references_of(replay: Replay, records: list[Record]) -> list[Record]:
    """The large runs at the settings that the comparison is about."""
    return [
        convert(record)
        for record in records
        if record["scale"] == replay.reference_scale
        and all(float(record[column]) == float(value) for column, value in replay.settings)
    ]


def write_table(rows: list[Record]) -> str:
    """CSV with every column that any row has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines)


@dataclass(frozen=True, kw_only=True)
class ReplayService:
    """A service and its key."""

    http: TestClient
    key: str

    def replay(self, replay: Replay, records: list[Record]) -> Figures:
        """Both sides in one table, and their agreement."""
        sides = {"proxy": proxies_of(replay, records), "reference": references_of(replay, records)}
        rows = [
            {"kind": kind, f"{kind}_set": replay.name, "direction": replay.direction, **row}
            for kind, side in sides.items()
            for row in side
        ]
        answer = self.http.post(
            "/v1/references:import",
            content=write_table(rows).encode(),
            params={"allow_unregistered": True},
            headers={"Content-Type": "text/csv", "X-API-Key": self.key},
        )
        assert answer.is_success, answer.text
        assert answer.json()["imported"] == len(rows)
        asked = {"proxy_set": replay.name, "reference_set": replay.name}
        figures: Figures = self.http.get("/v1/agreement", params=asked).raise_for_status().json()
        return figures


@contextmanager
def serving(folder: Path) -> Iterator[ReplayService]:
    """The application on a fresh SQLite database."""
    settings = Settings(_env_file=None, data_dir=folder / "data")
    upgrade_database(settings)
    app = create_app(settings)
    with session_scope(app.state.sessions) as session:
        _, key = create_key(session, "replays")
    with TestClient(app) as http:
        yield ReplayService(http=http, key=key)


def compare_offline(folder: Path, replay: Replay, records: list[Record]) -> Figures:
    """By the command, its filters choosing the setting that the import was given."""
    large = [convert(record) for record in records if record["scale"] == replay.reference_scale]
    files = {"proxy": proxies_of(replay, records), "reference": large}
    arguments = ["agreement", "--direction", replay.direction, "--json"]
    for side, rows in files.items():
        path = folder / f"{replay.name}-{side}.csv"
        path.write_text(write_table(rows), encoding="utf-8")
        arguments += [f"--{side}", str(path)]
    for column, value in replay.settings:
        arguments += ["--reference-where", f"{RENAMED[column]}={value}"]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    figures: Figures = json.loads(result.stdout)
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1]), indent=1, ensure_ascii=False))
