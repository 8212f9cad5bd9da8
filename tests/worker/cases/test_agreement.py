"""What an agreement says beside its figures: axes, easy recipes, noise, alarm, history."""

from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from proxy.ranking.breakdown import EASY
from tests.worker.cases.boards import finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import agreement, references
from worker.references import ReferenceFields
from worker.settings import Settings
from worker.store.models import RunScore

RECIPES = 8


def board(session: Session, bureau: Bureau) -> None:
    """Recipes whose proxies say nothing of their references, on two axes, and one easy one."""
    rng = np.random.default_rng(1)
    for index in range(RECIPES):
        tags = {"axis": "filter" if index % 2 else "mixture"} | ({"kind": EASY} if index == 7 else {})
        body = recipe(f"r{index}", web=2 + index, code=3) | {"tags": tags}
        row, _ = submit(session, bureau, body, seeds=2)
        level = 300.0 if index == 7 else 100 + rng.normal(scale=5)
        for run in row.runs:
            nats = level + rng.normal(scale=0.5)
            finish(session, bureau, run, row.suite_id, nats)
            session.get_one(RunScore, (run.id, row.suite_id)).score = nats / (150 * np.log(2))


def refer(session: Session, settings: Settings, seeds: int = 1) -> None:
    rng = np.random.default_rng(2)
    for index in range(RECIPES):
        value = 3.0 if index == 7 else 1 + rng.normal(scale=0.1)
        noise = np.random.default_rng(index).normal(scale=0.01, size=seeds)
        for seed in range(seeds):
            fields = ReferenceFields(
                reference_set="big",
                recipe=f"r{index}",
                metric="loss",
                direction="lower",
                value=value + noise[seed],
                parameters=10**9,
                tokens=10**10,
                seed=seed,
            )
            references.register_reference(session, fields)
    agreement.references_changed(session, settings)


def read(session: Session) -> dict[str, Any]:
    return agreement.read_agreement(session, "small", "suite", "big")


def test_axes_and_easy_recipes_are_taken_apart(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    refer(session, bureau.settings)
    body = read(session)
    assert {axis: part["n"] for axis, part in body["by_axis"].items()} == {"filter": 4, "mixture": 4}
    assert body["without_easy"]["n"] == RECIPES - 1
    assert body["without_easy"]["spearman"] < body["spearman"]
    assert body["ceiling"] is not None
    assert body["ceiling_note"] == f"{RECIPES} of {RECIPES} references have one seed and are taken as exact"
    assert body["noise_only_low"] <= body["spearman"] <= body["noise_only_high"]
    assert body["conclusion"].startswith("Weak evidence")


def test_seeds_of_references_count_towards_the_ceiling(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    refer(session, bureau.settings, seeds=2)
    body = read(session)
    assert body["ceiling_note"] == ""
    assert all(point["reference_error"] > 0 for point in body["points"])


def test_a_low_lower_bound_raises_the_alarm(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    refer(session, bureau.settings)
    alarm = read(session)["alarm"]
    assert "below the alarm's 0.50" in alarm
    assert f"{read(session)['spearman_low']:.2f}" in alarm


def test_who_can_live_with_it_hears_no_alarm(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    refer(session, bureau.settings.model_copy(update={"agreement_alarm": -1.0}))
    assert read(session)["alarm"] is None


def test_history_keeps_every_comparison_with_its_versions(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    refer(session, bureau.settings)
    refer(session, bureau.settings, seeds=2)
    first, second = reversed(agreement.list_history(session, "small", "suite", "big"))
    assert (first.body["references"], second.body["references"]) == (RECIPES, 2 * RECIPES)
    assert first.body["protocol"]["version"] == 1
    assert first.body["leaderboard"] == second.body["leaderboard"]
    assert agreement.list_history(session, reference_set="other") == []
