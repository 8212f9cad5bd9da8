"""`foretaste agreement` on two tables: no service is there."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api import cli

# DataComp-LM CORE v1 of 12 data sets at 400M-1x and 1B-1x with learning rate .003 (mlfoundations/dclm, MIT licence).
DCLM_400M = [0.13105, 0.16371, 0.17566, 0.16854, 0.15029, 0.13601, 0.16152, 0.18294, 0.15390, 0.15115, 0.18036, 0.15956]
DCLM_1B = [0.23745, 0.30632, 0.30148, 0.30060, 0.29178, 0.25753, 0.30239, 0.26619, 0.25697, 0.25112, 0.30206, 0.29093]


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "a.csv", DCLM_400M), write(tmp_path / "b.csv", DCLM_1B)


def write(path: Path, values: list[float]) -> Path:
    rows = [f"data-{index},{value},core_v1" for index, value in enumerate(values)]
    path.write_text("\n".join(["recipe,value,metric", *rows]))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["agreement", *(str(part) for part in arguments)])


def test_published_scores_give_the_published_agreement(tables: tuple[Path, Path]) -> None:
    proxy, reference = tables
    result = run("--proxy", proxy, "--reference", reference, "--direction", "higher", "--json")
    body = json.loads(result.stdout)
    names = ["spearman", "kendall", "pearson", "decision_accuracy", "regret_at_1", "regret_at_3", "regret_at_5"]
    assert [round(body[name], 3) for name in names[:5]] == [0.608, 0.455, 0.642, 0.727, 0.04]
    assert all(body[f"{name}_low"] <= body[name] <= body[f"{name}_high"] for name in names)
    assert (body["n"], set(body["labels"].values()), body["by_axis"]) == (12, {"single"}, {})
    assert body["conclusion"].startswith("Weak evidence: 12 recipes (Spearman 0.61, 95 % interval")
    assert body["conclusion"].endswith("none of the 12 references is known to be tuned.")


def test_people_read_a_table_and_the_conclusion(tables: tuple[Path, Path]) -> None:
    proxy, reference = tables
    shown = " ".join(run("--proxy", proxy, "--reference", reference, "--direction", "higher").stdout.split())
    assert "a.csv" in shown
    assert "Weak evidence" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ("--proxy", "a.csv"),
        ("--reference", "a.csv", "--direction", "lower"),
        ("--proxy", "a.csv", "--reference", "a.csv"),
        ("--proxy", "a.csv", "--reference", "a.csv", "--direction", "up"),
        ("--proxy", "a.csv", "--reference", "a.csv", "--direction", "lower", "--suite", "s"),
        ("--direction", "lower"),
        ("--proxy-where", "a=1"),
    ],
)
def test_half_a_question_is_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["foretaste", "agreement", *(str(part) for part in arguments)])
    monkeypatch.setattr(cli.errors, "width", 400)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    return capsys.readouterr().err.strip().splitlines()


def test_faults_are_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("recipe,value\na,nan\nb,1\nc,x\n")
    said = refusal(capsys, monkeypatch, "--proxy", bad, "--reference", bad, "--direction", "lower")
    assert said == [
        "Invalid input:",
        f"  {bad} line 2, column value: must be a finite number (got 'nan')",
        f"  {bad} line 4, column value: must be a finite number (got 'x')",
    ]


def test_a_direction_against_the_metric_and_a_missing_file_are_named(
    tables: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: object) -> str:
        return " ".join(refusal(capsys, monkeypatch, *arguments))

    proxy, reference = tables
    assert "core_v1" in said("--proxy", proxy, "--reference", reference, "--direction", "lower")
    none = tmp_path / "none.csv"
    missing = said("--proxy", none, "--reference", reference, "--direction", "higher")
    assert "cannot be read" in missing
    assert str(none) in missing
    options = ("--proxy", proxy, "--reference", reference, "--direction", "higher")
    assert "column metric" in said(*options, "--proxy-direction", "lower")
    assert "keeps no record" in said(*options, "--proxy-where", "metric=elo")
