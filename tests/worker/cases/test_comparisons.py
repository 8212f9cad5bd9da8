"""The decision card where enough references calibrate it."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session

from tests.worker.cases.boards import finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import agreement, comparisons, references
from worker.comparisons import Question
from worker.references import ReferenceFields
from worker.store.models import RunScore

CALIBRANTS = 9


def board(session: Session, bureau: Bureau, *, seeds: int = 2) -> None:
    """Calibrants c0 … with references that follow their proxies, and two recipes without."""
    rng = np.random.default_rng(5)
    nats = {f"c{index}": 100.0 + 10 * index for index in range(CALIBRANTS)} | {"good": 112.0, "bad": 168.0}
    for index, (name, value) in enumerate(nats.items()):
        row, _ = submit(session, bureau, recipe(name, web=2 + index, code=3), seeds=seeds)
        for run in row.runs:
            level = value + rng.normal(scale=0.2)
            finish(session, bureau, run, row.suite_id, level)
            session.get_one(RunScore, (run.id, row.suite_id)).score = level / (150 * np.log(2))
    for index in range(CALIBRANTS):
        refer(session, f"c{index}", 0.9 + 0.05 * index + rng.normal(scale=0.01))
    agreement.references_changed(session, bureau.settings)


def refer(session: Session, name: str, value: float) -> None:
    fields: dict[str, Any] = {"reference_set": "big", "metric": "loss", "direction": "lower", "unit": "nats"}
    references.register_reference(
        session, ReferenceFields(recipe=name, value=value, parameters=10**9, tokens=10**10, **fields)
    )


def ask(session: Session, bureau: Bureau, a: str, b: str, **options: Any) -> dict[str, Any]:
    return comparisons.compare_recipes(session, bureau.settings, Question(a=a, b=b, **options))


def test_a_clear_pair_is_decided_at_target_scale(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    card = ask(session, bureau, "good", "bad", tolerance=0.05)
    target = card["target"]
    assert target["n"] == CALIBRANTS
    assert target["p_better"] > 0.9
    assert target["difference"] > 0  # goodness: A is better
    assert target["unit"] == "nats"
    assert card["verdict"]["verdict"] == "decide"
    assert card["verdict"]["choice"] == "good"
    assert card["verdict"]["scale"] == "target"


def test_the_better_one_is_chosen_whichever_comes_first(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    card = ask(session, bureau, "bad", "good", tolerance=0.05)
    assert card["target"]["p_better"] < 0.1
    assert card["verdict"]["choice"] == "good"


def test_a_calibrant_is_foretold_without_its_own_reference(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    card = ask(session, bureau, "c3", "good")
    assert card["target"]["n"] == CALIBRANTS - 1
    assert card["a"]["reference"]["value"] == pytest.approx(1.05, abs=0.05)


def test_a_score_outside_the_calibrants_is_refused(session: Session, bureau: Bureau) -> None:
    board(session, bureau)
    row, _ = submit(session, bureau, recipe("awful", web=99, code=1), seeds=2)
    for run in row.runs:
        finish(session, bureau, run, row.suite_id, 400.0 + run.seed)
        session.get_one(RunScore, (run.id, row.suite_id)).score = 4.0
    card = ask(session, bureau, "good", "awful")
    assert card["target"]["p_better"] is None
    assert "lies outside" in card["target"]["refusal"]
    assert card["verdict"]["verdict"] != "decide"
