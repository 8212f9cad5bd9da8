import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import AgreementFigures, Direction, measure_agreement

# DataComp-LM CORE v1 of 12 data sets at 400M-1x and 1B-1x with learning rate .003 (mlfoundations/dclm, MIT licence).
DCLM_400M = [0.13105, 0.16371, 0.17566, 0.16854, 0.15029, 0.13601, 0.16152, 0.18294, 0.15390, 0.15115, 0.18036, 0.15956]
DCLM_1B = [0.23745, 0.30632, 0.30148, 0.30060, 0.29178, 0.25753, 0.30239, 0.26619, 0.25697, 0.25112, 0.30206, 0.29093]


def agree(
    proxy: list[float],
    reference: list[float],
    direction: Direction = "lower",
    proxy_direction: Direction = "lower",
    *,
    resamples: int = 2000,
) -> AgreementFigures:
    return measure_agreement(proxy, reference, direction, np.random.default_rng(0), resamples, proxy_direction)


def test_published_dclm_scores_give_the_published_order_of_agreement() -> None:
    found = agree(DCLM_400M, DCLM_1B, "higher", "higher")
    assert found.spearman == pytest.approx(0.608, abs=5e-4)
    assert found.kendall == pytest.approx(0.455, abs=5e-4)
    assert found.pearson == pytest.approx(0.642, abs=5e-4)
    assert found.decision_accuracy == pytest.approx(0.727, abs=5e-4)
    assert found.regret_at_1 == pytest.approx(0.040, abs=5e-4)
    assert found.spearman_low == pytest.approx(0.018, abs=0.06)
    assert found.spearman_high == pytest.approx(0.894, abs=0.02)
    assert found.decision_accuracy_low == pytest.approx(0.500, abs=0.02)
    assert found.decision_accuracy_high == pytest.approx(0.903, abs=0.02)
    assert found.is_evidence


def test_the_top_pick_of_the_dclm_proxy_is_worse_than_a_blind_one() -> None:
    found = agree(DCLM_400M, DCLM_1B, "higher", "higher")
    assert found.normalised_regret_at_1 == pytest.approx(1.55, abs=0.01)
    assert found.chance["normalised_regret_at_1"] == pytest.approx(1)
    assert found.chance["no_regret_at_5"] == pytest.approx(5 / 12)


def test_directions_turn_scores_so_that_better_means_better() -> None:
    loss, accuracy = [1.0, 1.1, 1.3, 1.2, 1.5, 1.6], [0.9, 0.8, 0.6, 0.7, 0.5, 0.4]
    assert agree(loss, accuracy, "higher").spearman == 1.0
    assert agree(loss, accuracy, "lower").spearman == -1.0
    assert agree(loss, accuracy, "lower", "higher").spearman == 1.0
    assert agree(loss, accuracy, "higher").regret_at_1 == 0
    assert agree(loss, accuracy, "lower").regret_at_1 == pytest.approx(0.5)


def test_a_perfect_order_of_few_recipes_is_not_certain() -> None:
    found = agree([float(i) for i in range(6)], [float(i) for i in range(6)])
    assert found.spearman == found.spearman_high == 1.0
    edge, width = math.atanh(1 - 1 / 36), 1.959964 * math.sqrt((1 + 1 / 2) / 3)
    assert found.spearman_low == pytest.approx(math.tanh(edge - width), abs=1e-6)
    tau = 2 / math.pi * math.asin(2 * math.sin(math.pi * math.tanh(edge - width) / 6))
    assert found.kendall_low == pytest.approx(tau, abs=1e-6)
    assert found.decision_accuracy_low == pytest.approx((1 + tau) / 2, abs=1e-6)


def test_a_perfect_order_of_many_recipes_is_not_certain_either() -> None:
    values = [float(i) for i in range(20)]
    assert value(agree(values, values).spearman_low) < 0.995


def test_between_five_and_eleven_recipes_the_interval_holds_the_bootstrap_and_the_normal_theory() -> None:
    rng = np.random.default_rng(3)
    proxy = rng.standard_normal(9)
    found = agree(list(proxy), list(proxy + rng.standard_normal(9)))
    rho = value(found.spearman)
    width = 1.959964 * math.sqrt((1 + rho**2 / 2) / 6)
    assert value(found.spearman_low) <= math.tanh(math.atanh(rho) - width) + 1e-6
    assert value(found.spearman_high) >= math.tanh(math.atanh(rho) + width) - 1e-6


def value(figure: float | None) -> float:
    assert figure is not None
    return figure


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_under_five_recipes_nothing_is_evidence(n: int) -> None:
    found = agree([float(i) for i in range(n)], [float(-i) for i in range(n)])
    assert not found.is_evidence
    assert found.n == n
    assert found.spearman_low is found.kendall_low is found.regret_at_1_low is None
    assert (found.spearman is None) == (n < 2)
    assert "no evidence" in found.note


def test_equal_proxy_scores_have_no_correlation_and_a_blind_pick() -> None:
    found = agree([1.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    assert found.spearman is found.kendall is found.pearson is found.spearman_low is None
    assert found.decision_accuracy == 0
    assert found.regret_at_1 == found.chance["regret_at_1"] == pytest.approx(3)
    assert not found.is_evidence
    assert "All 6 proxy scores are equal" in found.note


def test_equal_references_leave_nothing_to_lose() -> None:
    found = agree([1.0, 2.0, 3.0, 4.0, 5.0], [2.0] * 5)
    assert found.spearman is None
    assert found.regret_at_1 == 0
    assert found.normalised_regret_at_1 is None
    assert "references are equal" in found.note


def test_ties_that_leave_too_little_to_resample_give_no_interval() -> None:
    """Each list has one recipe apart from equal ones: over half of the resamples lack one of the two."""
    found = agree([1.0, 1.0, 1.0, 1.0, 2.0], [2.0, 1.0, 1.0, 1.0, 1.0])
    assert found.spearman == pytest.approx(-0.25)
    assert found.spearman_low is None
    assert "Ties leave too little" in found.note


def test_chance_accuracy_counts_ties() -> None:
    found = agree([1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 2.0, 3.0])
    ties = 1 / 6
    assert found.chance["decision_accuracy"] == pytest.approx(ties**2 + (1 - ties) ** 2 / 2)


def test_blind_accuracy_is_what_random_orders_reach() -> None:
    rng = np.random.default_rng(5)
    proxy, reference = [1.0, 1.0, 2.0, 3.0, 3.0], [1.0, 2.0, 2.0, 3.0, 4.0]
    drawn = [value(agree(list(rng.permutation(proxy)), reference, resamples=1).decision_accuracy) for _ in range(600)]
    assert np.mean(drawn) == pytest.approx(value(agree(proxy, reference).chance["decision_accuracy"]), abs=0.03)


def test_an_interval_that_includes_zero_is_said_to() -> None:
    rng = np.random.default_rng(1)
    noise = agree(list(rng.standard_normal(14)), list(rng.standard_normal(14)))
    assert "no agreement at all" in noise.note
    assert "no agreement at all" not in agree(DCLM_400M, DCLM_1B, "higher", "higher").note


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_score_that_is_no_finite_number_is_named(bad: float) -> None:
    with pytest.raises(InvalidInputError, match="/reference/1"):
        agree([1.0, 2.0], [1.0, bad])
    with pytest.raises(InvalidInputError, match="/proxy/0"):
        agree([bad, 2.0], [1.0, 2.0])


def test_lists_of_different_lengths_or_shapes_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="/reference"):
        agree([1.0, 2.0], [1.0])
    with pytest.raises(InvalidInputError, match="/proxy"):
        measure_agreement([[1.0], [2.0]], [1.0, 2.0], "lower", np.random.default_rng(0))


def test_figures_are_plain_values_that_json_can_write() -> None:
    figures = agree(DCLM_400M, DCLM_1B, "higher", "higher")
    assert json.loads(json.dumps(asdict(figures), allow_nan=False))["spearman"] == figures.spearman


def test_spearman_and_kendall_intervals_cover_new_recipes_of_this_kind() -> None:
    """At n = 6 and ρ = .97 percentiles alone cover .69."""
    rng = np.random.default_rng(9)
    r = 0.97
    rho, tau = 6 / math.pi * math.asin(r / 2), 2 / math.pi * math.asin(r)
    for n in (6, 14):
        inside = []
        for _ in range(150):
            x = rng.standard_normal(n)
            y = r * x + math.sqrt(1 - r * r) * rng.standard_normal(n)
            found = measure_agreement(x, y, "lower", rng, 300)
            inside.append(value(found.spearman_low) <= rho <= value(found.spearman_high))
            inside.append(value(found.kendall_low) <= tau <= value(found.kendall_high))
        assert np.mean(inside) > 0.93


def test_figures_are_those_of_scipy() -> None:
    found = agree(DCLM_400M, DCLM_1B)
    assert found.spearman == pytest.approx(stats.spearmanr(DCLM_400M, DCLM_1B).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(DCLM_400M, DCLM_1B).statistic)
    assert found.pearson == pytest.approx(stats.pearsonr(DCLM_400M, DCLM_1B).statistic)


def test_intervals_of_pearson_cover_at_their_level_from_twelve_recipes_on() -> None:
    """Percentiles of the bootstrap alone cover .90."""
    rng = np.random.default_rng(17)
    inside = 0
    for _ in range(600):
        first = rng.standard_normal(12)
        second = 0.9 * first + math.sqrt(1 - 0.9**2) * rng.standard_normal(12)
        found = measure_agreement(first, second, "lower", rng, resamples=300)
        assert found.pearson_low is not None
        assert found.pearson_high is not None
        inside += found.pearson_low <= 0.9 <= found.pearson_high
    assert inside / 600 > 0.93
