import json
import math
from dataclasses import asdict

import pytest

from proxy.ranking.gates import Gate, check_gates


def gates(
    *,
    initial_loss: float = 6.0,
    final_loss: float = 4.0,
    steps: int = 100,
    planned_steps: int = 100,
    progress: dict[str, float | None] | None = None,
) -> dict[str, Gate]:
    found = check_gates(
        initial_loss=initial_loss,
        final_loss=final_loss,
        steps=steps,
        planned_steps=planned_steps,
        progress={"prose": 0.8, "code": 0.6} if progress is None else progress,
    )
    return {gate.name: gate for gate in found}


def failed(found: dict[str, Gate]) -> set[str]:
    return {name for name, gate in found.items() if not gate.passed}


def test_a_healthy_run_passes_every_gate() -> None:
    found = gates()
    assert list(found) == ["diverged", "truncated", "learned nothing", "past unigram", "progress", "leak"]
    assert failed(found) == set()


def test_only_divergence_and_truncation_are_fatal() -> None:
    assert [name for name, gate in gates().items() if gate.is_fatal] == ["diverged", "truncated"]


@pytest.mark.parametrize("final_loss", [math.nan, math.inf, 6.4])
def test_a_loss_that_is_no_number_or_rose_has_diverged(final_loss: float) -> None:
    assert failed(gates(final_loss=final_loss)) == {"diverged", "learned nothing"}


def test_a_loss_that_wobbles_above_its_start_learned_nothing_but_did_not_diverge() -> None:
    assert failed(gates(final_loss=6.001)) == {"learned nothing"}


@pytest.mark.parametrize("initial_loss", [math.nan, 0.0])
def test_without_a_first_loss_nothing_can_be_said_and_nothing_passes(initial_loss: float) -> None:
    found = gates(initial_loss=initial_loss)
    assert {"diverged", "learned nothing"} <= failed(found)
    assert found["diverged"].value is None


def test_a_drop_of_half_a_percent_is_the_least() -> None:
    assert gates(final_loss=6 * 0.9949)["learned nothing"].passed
    assert not gates(final_loss=6 * 0.9951)["learned nothing"].passed


def test_missing_steps_are_counted() -> None:
    gate = gates(steps=1999, planned_steps=2000)["truncated"]
    assert not gate.passed
    assert "1,999 of 2,000" in gate.message


@pytest.mark.parametrize(
    ("worst", "fails"),
    [(-0.2, {"past unigram", "progress"}), (0.0, {"past unigram", "progress"}), (0.3, {"progress"}), (0.5, set())],
)
def test_progress_is_read_on_the_set_where_it_is_least(worst: float, fails: set[str]) -> None:
    found = gates(progress={"prose": 0.9, "code": worst})
    assert failed(found) == fails
    assert found["progress"].value == worst
    assert "code" in found["progress"].message


@pytest.mark.parametrize("progress", [{}, {"prose": None}, {"prose": math.nan}])
def test_progress_that_was_not_measured_does_not_pass(progress: dict[str, float | None]) -> None:
    found = gates(progress=progress)
    assert failed(found) == {"past unigram", "progress"}
    assert found["progress"].value is None


def test_a_set_without_progress_is_left_out() -> None:
    assert failed(gates(progress={"prose": 0.9, "code": None})) == set()


def test_gates_are_plain_values_that_json_can_write() -> None:
    found = check_gates(initial_loss=6, final_loss=math.nan, steps=1, planned_steps=2, progress={"a": None})
    json.dumps([asdict(gate) for gate in found], allow_nan=False)
