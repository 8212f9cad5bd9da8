import json
import math
from dataclasses import asdict
from typing import Any

import pytest

from proxy.ranking.gates import Gate, SourceEpochs, check_gates


def gates(
    *,
    initial_loss: float = 6.0,
    final_loss: float = 4.0,
    steps: int = 100,
    planned_steps: int = 100,
    progress: dict[str, float | None] | None = None,
    **more: Any,
) -> dict[str, Gate]:
    found = check_gates(
        initial_loss=initial_loss,
        final_loss=final_loss,
        steps=steps,
        planned_steps=planned_steps,
        progress={"prose": 0.8, "code": 0.6} if progress is None else progress,
        **more,
    )
    return {gate.name: gate for gate in found}


def failed(found: dict[str, Gate]) -> set[str]:
    return {name for name, gate in found.items() if not gate.passed}


def test_a_healthy_run_passes_every_gate() -> None:
    found = gates()
    assert list(found) == [
        "diverged",
        "truncated",
        "learned nothing",
        "past unigram",
        "progress",
        "numerical floor",
        "leak",
        "epochs",
        "rare source",
    ]
    assert failed(found) == set()


def test_only_divergence_and_truncation_are_fatal() -> None:
    assert [name for name, gate in gates().items() if gate.is_fatal] == ["diverged", "truncated"]


@pytest.mark.parametrize("final_loss", [math.nan, math.inf, 6.4])
def test_a_loss_that_is_no_number_or_rose_has_diverged(final_loss: float) -> None:
    assert failed(gates(final_loss=final_loss)) == {"diverged", "learned nothing"}


@pytest.mark.parametrize(
    ("highest", "final", "passed"),
    [(21.0, 5.9, False), (7.6, 5.9, False), (21.0, 5.0, True), (7.4, 5.9, True), (None, 5.9, True)],
)
def test_a_loss_that_was_thrown_far_up_and_never_came_back_has_diverged(
    highest: float | None, final: float, passed: bool
) -> None:
    gate = gates(final_loss=final, highest_loss=highest)["diverged"]
    assert gate.passed is passed
    assert (f"rising to {highest:.4g}" in gate.message if highest else False) is not passed


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


@pytest.mark.parametrize(
    ("share", "passed", "is_fatal"),
    [(None, True, False), (0.01, True, False), (0.05, False, False), (0.2, False, True)],
)
def test_a_leak_is_a_mark_and_a_large_one_breaks_the_run(share: float | None, passed: bool, is_fatal: bool) -> None:
    gate = gates(leaks={"prose": 0.0, "code": share})["leak"]
    assert (gate.passed, gate.is_fatal) == (passed, is_fatal)


@pytest.mark.parametrize(("ulps", "passed"), [(None, True), (31.9, False), (32.0, True), (1e4, True)])
def test_updates_near_the_rounding_of_the_weights_are_the_numerical_floor(ulps: float | None, passed: bool) -> None:
    gate = gates(update_ulps=ulps)["numerical floor"]
    assert (gate.passed, gate.value, gate.is_fatal) == (passed, ulps, False)


@pytest.mark.parametrize(
    ("epochs", "target", "passed"),
    [(3.0, 3.0, True), (3.0, 2.0, False), (0.9, 0.1, True), (2.0, 0.5, False), (2.1, 2.0, True), (9.0, None, True)],
)
def test_more_epochs_than_the_target_plans_are_a_mark(epochs: float, target: float | None, passed: bool) -> None:
    seen = [
        SourceEpochs(source="web", epochs=1.0, target_epochs=1.0),
        SourceEpochs(source="code", epochs=epochs, target_epochs=target),
    ]
    gate = gates(epochs=seen)["epochs"]
    assert (gate.passed, gate.is_fatal) == (passed, False)
    assert passed or "code was seen" in gate.message


@pytest.mark.parametrize(
    ("progress", "shares", "passed"),
    [
        ({"web": 0.8, "maths": 0.2}, {"web": 0.97, "maths": 0.03}, False),
        ({"web": 0.8, "maths": 0.6}, {"web": 0.97, "maths": 0.03}, True),  # it is learned
        ({"web": 0.4, "maths": 0.2}, {"web": 0.97, "maths": 0.03}, True),  # nothing is: another gate says so
        ({"web": 0.8, "maths": 0.2}, {"web": 0.7, "maths": 0.3}, True),  # it is not rare
        ({"web": 0.8, "maths": 0.2}, {"web": 1.0, "maths": 0.0}, True),  # it is no source of the recipe
        ({"web": 0.8, "maths": 0.2}, {"web": 0.97, "maths": None}, True),
        ({"maths": 0.2}, {"maths": 0.03}, True),  # there is no rest
        ({"web": 0.8, "maths": None}, {"web": 0.97, "maths": 0.03}, True),
    ],
)
def test_a_rare_source_that_fails_alone_is_possibly_below_its_transition(
    progress: dict[str, float | None], shares: dict[str, float | None], passed: bool
) -> None:
    gate = gates(progress=progress, source_shares=shares)["rare source"]
    assert (gate.passed, gate.is_fatal) == (passed, False)
    assert ("possibly below its transition" in gate.message) is not passed


def test_gates_are_plain_values_that_json_can_write() -> None:
    found = check_gates(initial_loss=6, final_loss=math.nan, steps=1, planned_steps=2, progress={"a": None})
    json.dumps([asdict(gate) for gate in found], allow_nan=False)
