"""What a ranking is made from: of each recipe's runs those that count, and the marks that they have."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from proxy.ranking.gates import Gate, check_gates
from tests.worker.cases.boards import DIVERGED, fail, finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker.leaderboards import read_leaderboard
from worker.store.models import Evaluation


def entry_of(session: Session, row: Evaluation) -> dict[str, Any]:
    """Of the recipe, with its gates by name."""
    (entry,) = [
        entry
        for entry in read_leaderboard(session, "small", "suite")["entries"]
        if entry["recipe"]["id"] == row.recipe_id
    ]
    return {**entry, "gates": {gate["name"]: gate for gate in entry["gates"]}}


def leaking(share: float) -> list[Gate]:
    return [
        gate
        for gate in check_gates(
            initial_loss=5, final_loss=4, steps=8, planned_steps=8, progress={"held": 0.9}, leaks={"held": share}
        )
        if gate.name == "leak"
    ]


@pytest.mark.parametrize("shares", [(0.09, 0.5, 0.02), (0.5, 0.09, 0.0)])
def test_one_run_that_leaks_too_much_unranks_its_recipe(
    session: Session, bureau: Bureau, shares: tuple[float, ...]
) -> None:
    row, _ = submit(session, bureau, recipe("leaky", web=7, code=2), seeds=3)
    for run, share in zip(row.runs, shares, strict=True):
        finish(session, bureau, run, row.suite_id, gates=leaking(share))
    entry = entry_of(session, row)
    assert (entry["rank"], entry["gates"]["leak"]["value"]) == (None, 0.5)


@pytest.mark.parametrize(("shares", "worst"), [((0.02, 0.09, 0.05), 0.09), ((0.0, 0.008, 0.002), 0.008)])
def test_the_worst_mark_of_the_runs_is_shown(
    session: Session, bureau: Bureau, shares: tuple[float, ...], worst: float
) -> None:
    row, _ = submit(session, bureau, recipe("marked", web=7, code=2), seeds=3)
    for run, share in zip(row.runs, shares, strict=True):
        finish(session, bureau, run, row.suite_id, gates=leaking(share))
    entry = entry_of(session, row)
    assert entry["rank"] is not None
    assert entry["gates"]["leak"]["value"] == worst


def test_a_seed_that_crashed_is_a_mark_and_one_that_diverged_unranks(session: Session, bureau: Bureau) -> None:
    row, _ = submit(session, bureau, recipe("half", web=7, code=2), seeds=2)
    finish(session, bureau, row.runs[0], row.suite_id)
    fail(session, bureau, row.runs[1], "disk full")
    entry = entry_of(session, row)
    assert (entry["rank"] is None, entry["seeds"]) == (False, 1)
    assert (entry["gates"]["finished"]["passed"], entry["gates"]["finished"]["is_fatal"]) == (False, False)
    assert "disk full" in entry["gates"]["finished"]["message"]
    submit(session, bureau, "half", seeds=2)  # which tries it again
    fail(session, bureau, row.runs[1], "the training loss became nan at step 3", DIVERGED)
    entry = entry_of(session, row)
    assert (entry["rank"], entry["gates"]["finished"]["is_fatal"]) == (None, True)
