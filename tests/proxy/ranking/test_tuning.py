import math

import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.tuning import Label, SweepPoint, label_sweeps, optimism_of_best, write_setting

GRID = (1e-4, 3e-4, 1e-3, 3e-3)


def sweep(recipe: str, values: list[float | None], rates: tuple[float, ...] = GRID) -> list[SweepPoint]:
    return [
        SweepPoint(recipe=recipe, learning_rate=rate, value=value, stopped_early=value is None, seed=0)
        for rate, value in zip(rates, values, strict=True)
    ]


def test_the_same_grid_with_the_best_inside_is_tuned() -> None:
    labels = label_sweeps([*sweep("a", [3, 2, 1, 2]), *sweep("b", [3, 1, 2, 3])], "lower")
    assert {label.label for label in labels.values()} == {Label.TUNED}
    assert (labels["a"].best_value, labels["a"].best_learning_rate) == (1, 1e-3)
    assert labels["b"].grid == GRID


def test_the_best_at_either_end_is_swept_at_the_edge() -> None:
    labels = label_sweeps([*sweep("a", [1, 2, 3, 4]), *sweep("b", [4, 3, 2, 1])], "lower")
    assert {label.label for label in labels.values()} == {Label.AT_THE_EDGE}


def test_a_higher_metric_takes_its_maximum() -> None:
    label = label_sweeps(sweep("a", [0.1, 0.4, 0.3, 0.2]), "higher")["a"]
    assert (label.label, label.best_learning_rate) == (Label.TUNED, 3e-4)


def test_a_grid_unlike_the_others_is_unequal_and_theirs_is_not() -> None:
    points = [*sweep("a", [3, 1, 2, 3]), *sweep("b", [3, 1, 2, 3]), *sweep("c", [2, 1, 2], GRID[:3])]
    labels = label_sweeps(points, "lower")
    assert [labels[name].label for name in "abc"] == [Label.TUNED, Label.TUNED, Label.UNEQUAL]


def test_two_different_grids_have_no_standard_between_them() -> None:
    labels = label_sweeps([*sweep("a", [3, 1, 2, 3]), *sweep("b", [2, 1, 2], GRID[:3])], "lower")
    assert {label.label for label in labels.values()} == {Label.UNEQUAL}


def test_one_rate_is_single_and_does_not_spoil_the_others() -> None:
    labels = label_sweeps([*sweep("a", [3, 1, 2, 3]), *sweep("b", [2], GRID[:1])], "lower")
    assert [labels[name].label for name in "ab"] == [Label.TUNED, Label.SINGLE]


def test_two_rates_cannot_have_an_inside() -> None:
    assert label_sweeps(sweep("a", [2, 1], GRID[:2]), "lower")["a"].label == Label.AT_THE_EDGE


def test_a_rate_given_up_early_bounds_the_grid_and_is_never_the_best() -> None:
    label = label_sweeps(sweep("a", [3, 2, 1, None]), "lower")["a"]
    assert (label.label, label.finished) == (Label.TUNED, 3)
    stopped = [
        *sweep("b", [3, 2, 2.5, 3])[:3],
        SweepPoint(recipe="b", learning_rate=3e-3, value=0.1, stopped_early=True),
    ]
    assert label_sweeps(stopped, "lower")["b"].best_value == 2


def test_a_rate_that_any_seed_gave_up_is_given_up() -> None:
    points = [*sweep("a", [3, 2, 1, 2]), SweepPoint(recipe="a", learning_rate=1e-3, value=None, seed=1)]
    assert label_sweeps(points, "lower")["a"].best_learning_rate == 3e-4


def test_seeds_are_averaged_before_the_best_is_taken() -> None:
    lucky = [3.0, 1.5, 1.0, 3.0], [3.0, 1.5, 2.4, 3.0]
    label = label_sweeps([point for values in lucky for point in sweep("a", list(values))], "lower")["a"]
    assert (label.best_learning_rate, label.best_value) == (3e-4, 1.5)


def test_nothing_finished_has_no_best_and_is_not_tuned() -> None:
    label = label_sweeps(sweep("a", [None] * 4), "lower")["a"]
    assert label.label == Label.AT_THE_EDGE
    assert label.best_value is label.best_learning_rate is None


def test_a_reference_without_a_rate_is_single() -> None:
    label = label_sweeps([SweepPoint(recipe="a", learning_rate=None, value=2.0)], "lower")["a"]
    assert (label.label, label.best_value, label.best_learning_rate, label.grid) == (Label.SINGLE, 2.0, None, ())


def test_rates_that_differ_by_rounding_are_one() -> None:
    points = [*sweep("a", [3, 1, 2, 3]), *sweep("b", [3, 1, 2, 3], tuple(rate * (1 + 1e-9) for rate in GRID))]
    assert {label.label for label in label_sweeps(points, "lower").values()} == {Label.TUNED}


def test_no_points_have_no_labels() -> None:
    assert label_sweeps([], "lower") == {}


@pytest.mark.parametrize(("rate", "value"), [(1e-3, math.nan), (0.0, 1.0), (math.nan, 1.0), (-1e-3, 1.0)])
def test_values_and_rates_that_are_no_numbers_name_the_recipe(rate: float, value: float) -> None:
    with pytest.raises(InvalidInputError, match="web"):
        label_sweeps([SweepPoint(recipe="web", learning_rate=rate, value=value)], "lower")


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_the_best_of_noisy_runs_is_optimistic_as_drawn(runs: int) -> None:
    drawn = np.random.default_rng(0).standard_normal((100_000, runs)).max(axis=1).mean()
    assert optimism_of_best(runs) == pytest.approx(drawn, abs=0.01)


def test_the_optimism_of_two_runs_is_one_over_root_pi() -> None:
    assert optimism_of_best(2) == pytest.approx(1 / math.sqrt(math.pi))
    assert optimism_of_best(1) == pytest.approx(0)


def test_a_setting_is_the_rate_and_the_rest_and_the_best_is_taken_over_settings() -> None:
    decays = {"a": [3, 1, 2], "b": [2, 3, 4]}
    points = [
        SweepPoint(recipe=name, learning_rate=rate, value=value + shift, other=write_setting({"weight_decay": decay}))
        for name, values in decays.items()
        for rate, value in zip(GRID[:3], values, strict=True)
        for decay, shift in ((0.1, 0.0), (0.3, -0.5))
    ]
    labels = label_sweeps(points, "lower")
    assert [labels[name].label for name in "ab"] == [Label.TUNED, Label.AT_THE_EDGE]
    assert labels["a"].best_value == 0.5
    assert labels["a"].best_setting == (3e-4, write_setting({"weight_decay": 0.3}))
    assert (labels["a"].grid, labels["a"].finished) == (GRID[:3], 6)


def test_more_weight_decays_than_the_others_are_a_richer_grid() -> None:
    extra = SweepPoint(recipe="c", learning_rate=3e-4, value=0.5, other=write_setting({"weight_decay": 1}))
    points = [*sweep("a", [3, 1, 2, 3]), *sweep("b", [3, 1, 2, 3]), *sweep("c", [3, 1, 2, 3]), extra]
    labels = label_sweeps(points, "lower")
    assert [labels[name].label for name in "abc"] == [Label.TUNED, Label.TUNED, Label.UNEQUAL]


def test_a_setting_reads_the_same_in_every_order_and_notation() -> None:
    assert write_setting({"b": 1, "a": 0.1}) == write_setting({"a": 1e-1, "b": 1.0})
    assert write_setting({"a": "1"}) != write_setting({"a": 1})
    assert write_setting({}) == ""
