import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from proxy.errors import InvalidInputError
from proxy.ranking.targets import Calibrant, Candidate, TargetChance, predict_at_target

PROXY = [3.01, 3.05, 3.10, 3.12, 3.20, 3.26, 3.31, 3.35, 3.42, 3.50]
REFERENCE = [2.11, 2.20, 2.16, 2.27, 2.30, 2.41, 2.39, 2.52, 2.50, 2.63]


def registered(
    proxy: list[float] = PROXY, reference: list[float] = REFERENCE, *, seeds: int = 3, axes: str = ""
) -> list[Calibrant]:
    """One letter of `axes` a recipe."""
    return [
        Calibrant(recipe=f"known-{place}", proxy=x, reference=y, seeds=seeds, axis=axes[place] if axes else None)
        for place, (x, y) in enumerate(zip(proxy, reference, strict=True))
    ]


def new(
    recipe: str, proxy: float, *, seeds: int = 3, variance: float | None = 0.0, axis: str | None = None
) -> Candidate:
    return Candidate(recipe=recipe, proxy=proxy, seed_variance=variance, seeds=seeds, axis=axis)


A, B = new("a", 3.08), new("b", 3.30)


def known(value: float | None) -> float:
    assert value is not None
    return value


def refused(found: TargetChance) -> str:
    figures = asdict(found)
    for name in ("a", "b", "n", "is_provisional", "refusal", "outliers"):
        del figures[name]
    assert set(figures.values()) == {None}
    assert found.refusal is not None
    assert found.refusal.endswith(".")
    return found.refusal


def test_the_chance_is_the_predictive_t_mixed_with_a_coin() -> None:
    found = predict_at_target(registered(), A, B, "lower")
    line = stats.linregress(PROXY, REFERENCE)
    error = np.array(REFERENCE) - line.intercept - line.slope * np.array(PROXY)
    s = math.sqrt(float(error @ error) / 8)
    delta = 3.08 - 3.30
    se = math.sqrt(s**2 * (2 + delta**2 / (np.var(PROXY) * 10)))
    assert (found.n, found.outliers) == (10, ())
    assert found.break_chance == pytest.approx(1 / 12)
    assert found.p_better == pytest.approx((1 - 1 / 12) * stats.t.cdf(-line.slope * delta / se, 8) + 1 / 24)
    assert found.difference == pytest.approx(-line.slope * delta)
    assert found.slope == pytest.approx(line.slope)
    assert found.residual == pytest.approx(s)


def test_a_positive_difference_favours_a_in_both_directions() -> None:
    lower = predict_at_target(registered(), A, B, "lower")
    higher = predict_at_target(registered(reference=[-value for value in REFERENCE]), A, B, "higher")
    assert lower == higher
    assert known(lower.low) < known(lower.difference) < known(lower.high)
    assert known(lower.difference) > 0
    assert known(lower.p_better) > 0.9
    assert known(lower.worst_case_regret) < known(lower.worst_case_regret_of_b)


def test_a_and_b_can_change_places() -> None:
    found, turned = predict_at_target(registered(), A, B, "lower"), predict_at_target(registered(), B, A, "lower")
    assert known(found.p_better) + known(turned.p_better) == pytest.approx(1)
    assert found.difference == pytest.approx(-known(turned.difference))
    assert found.low == pytest.approx(-known(turned.high))
    assert found.expected_regret == pytest.approx(turned.expected_regret_of_b)
    assert found.worst_case_regret_of_b == pytest.approx(turned.worst_case_regret)


def test_equal_proxy_scores_are_a_coin_and_cost_the_same_either_way() -> None:
    found = predict_at_target(registered(), A, replace(A, recipe="twin"), "lower")
    assert found.p_better == 0.5
    assert found.difference == 0
    assert found.expected_regret == pytest.approx(known(found.expected_regret_of_b))
    assert known(found.expected_regret) > 0


def test_a_proxy_that_orders_the_references_backwards_favours_the_other_recipe() -> None:
    found = predict_at_target(registered(reference=REFERENCE[::-1]), A, B, "lower")
    assert known(found.slope) < 0
    assert known(found.p_better) < 0.1


def test_fewer_seeds_than_the_calibrants_had_add_their_noise() -> None:
    variance = 0.004
    full = predict_at_target(registered(seeds=4), A, B, "lower")
    fewer = predict_at_target(registered(seeds=4), replace(A, seeds=1, seed_variance=variance), B, "lower")
    line = stats.linregress(PROXY, REFERENCE)
    se = known(full.residual) * math.sqrt(2 + 0.22**2 / (np.var(PROXY) * 10))
    wider = math.sqrt(se**2 + line.slope**2 * variance * (1 - 1 / 4))
    by_line = stats.t.cdf(known(full.difference) / wider, 8)
    assert fewer.p_better == pytest.approx((1 - 1 / 12) * by_line + 1 / 24)


def test_more_seeds_than_the_calibrants_had_take_nothing_away() -> None:
    more_a, more_b = (replace(entry, seeds=9, seed_variance=0.1) for entry in (A, B))
    assert predict_at_target(registered(), more_a, more_b, "lower") == predict_at_target(registered(), A, B, "lower")


def test_seed_counts_that_differ_between_calibrants_count_by_their_mean_variance() -> None:
    mixed = [replace(entry, seeds=1 + place % 2) for place, entry in enumerate(registered())]
    noisy = replace(A, seeds=1, seed_variance=0.004)
    found = predict_at_target(mixed, noisy, replace(B, seeds=2), "lower")
    alike = predict_at_target(registered(seeds=1), replace(A, seeds=1), replace(B, seeds=2), "lower")
    assert known(found.high) - known(found.low) > known(alike.high) - known(alike.low)
    quarter = replace(noisy, seed_variance=0.001)  # v · (1 − ¾) of the first is v/4 · 1 of calibrants without noise
    boundless = [replace(entry, seeds=10**9) for entry in registered()]
    assert predict_at_target(boundless, quarter, B, "lower").p_better == pytest.approx(found.p_better, rel=1e-6)


def test_an_outlying_calibrant_is_named_and_makes_every_answer_less_sure() -> None:
    sound = predict_at_target(registered(), A, B, "lower")
    broken = registered(reference=[*REFERENCE[:9], 4.5])
    found = predict_at_target(broken, A, B, "lower")
    assert found.outliers == ("known-9",)
    assert found.break_chance == pytest.approx(2 / 12)
    assert known(found.p_better) < known(sound.p_better)
    assert known(found.worst_case_regret) > known(sound.worst_case_regret)


def test_two_recipes_off_the_line_raise_lambda_and_not_the_residual() -> None:
    rng = np.random.default_rng(6)
    proxy = list(rng.uniform(3, 3.5, 30))
    reference = [x - 0.9 + 0.02 * rng.standard_normal() for x in proxy]
    shifted = [y + (1.0 if place in (7, 21) else 0.0) for place, y in enumerate(reference)]
    sound = predict_at_target(registered(proxy, reference), A, B, "lower")
    found = predict_at_target(registered(proxy, shifted), A, B, "lower")
    assert found.outliers == ("known-7", "known-21")
    assert found.break_chance == pytest.approx(3 / 32)
    assert known(found.residual) == pytest.approx(known(sound.residual), rel=0.1)
    assert known(found.p_better) < known(sound.p_better)


def test_where_only_an_outlier_has_been_the_calibration_does_not_reach() -> None:
    broken = registered(reference=[*REFERENCE[:9], 4.5], axes="mmmmmmmmmf")
    assert "outside the 3.01 to 3.42 of the 9" in refused(predict_at_target(broken, A, new("b", 3.45), "lower"))
    assert "no recipe of the axis 'f' of a" in refused(predict_at_target(broken, replace(A, axis="f"), B, "lower"))


def test_a_recipes_own_reference_does_not_foretell_itself() -> None:
    own = [
        *registered(),
        Calibrant(recipe="a", proxy=3.08, reference=9.0, seeds=3),
        Calibrant(recipe="b", proxy=3.30, reference=0.1, seeds=3),
    ]
    assert predict_at_target(own, A, B, "lower") == predict_at_target(registered(), A, B, "lower")


@pytest.mark.parametrize("n", [0, 1, 4])
def test_under_five_calibrants_nothing_is_said(n: int) -> None:
    found = predict_at_target(registered(PROXY[:n], REFERENCE[:n]), A, B, "lower")
    assert "5 are the least" in refused(found)
    assert found.n == n


@pytest.mark.parametrize(("n", "is_provisional"), [(5, True), (7, True), (10, False)])
def test_five_to_seven_calibrants_are_provisional_and_cannot_reach_95_percent(n: int, is_provisional: bool) -> None:
    places = np.linspace(0, 9, n).astype(int)
    proxy, reference = [[values[place] for place in places] for values in (PROXY, REFERENCE)]
    found = predict_at_target(registered(proxy, reference), new("a", 3.01), new("b", 3.5), "lower")
    assert found.is_provisional is is_provisional
    assert (known(found.p_better) < 0.95) is is_provisional


@pytest.mark.parametrize("proxy", [3.009, 3.51])
def test_a_score_outside_the_calibrants_range_is_refused(proxy: float) -> None:
    told = refused(predict_at_target(registered(), A, new("far", proxy), "lower"))
    assert "of far lies outside the 3.01 to 3.5 of the 10" in told
    assert predict_at_target(registered(), new("least", 3.01), new("most", 3.5), "lower").refusal is None


def test_an_axis_without_a_calibrant_is_refused_where_axes_are_known() -> None:
    filtered = replace(A, axis="filter")
    assert "axis 'filter' of a," in refused(predict_at_target(registered(axes="mmmmmddddd"), filtered, B, "lower"))
    assert predict_at_target(registered(), filtered, B, "lower").refusal is None
    assert predict_at_target(registered(axes="mmmmmddddd"), replace(A, axis="d"), B, "lower").refusal is None


def test_unknown_seed_noise_matters_only_with_fewer_seeds() -> None:
    unknown = replace(A, seed_variance=None)
    assert predict_at_target(registered(), unknown, B, "lower").refusal is None
    told = refused(predict_at_target(registered(), replace(unknown, seeds=2), B, "lower"))
    assert "fewer seeds (2)" in told


def test_equal_scores_are_refused() -> None:
    first, second = new("a", 3.0), new("b", 3.0)
    assert "equal proxy scores" in refused(predict_at_target(registered([3.0] * 10), first, second, "lower"))
    assert "equal references" in refused(predict_at_target(registered(reference=[2.0] * 10), A, B, "lower"))
    assert "exactly on a line" in refused(predict_at_target(registered(reference=PROXY), A, B, "lower"))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_finite_number_is_named(bad: float) -> None:
    with pytest.raises(InvalidInputError, match=r"/calibrants/2/proxy: recipe 'known-2'"):
        predict_at_target(registered([*PROXY[:2], bad, *PROXY[3:]]), A, B, "lower")
    with pytest.raises(InvalidInputError, match=r"/calibrants/9/reference: recipe 'known-9'"):
        predict_at_target(registered(reference=[*REFERENCE[:9], bad]), A, B, "lower")
    with pytest.raises(InvalidInputError, match="/b/proxy"):
        predict_at_target(registered(), A, new("b", bad), "lower")
    with pytest.raises(InvalidInputError, match="/a/seed_variance"):
        predict_at_target(registered(), replace(A, seed_variance=bad), B, "lower")


def test_input_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="/direction"):
        predict_at_target(registered(), A, B, "up")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="/b/recipe"):
        predict_at_target(registered(), A, A, "lower")
    with pytest.raises(InvalidInputError, match="known-0"):
        predict_at_target([*registered(), *registered()], A, B, "lower")
    with pytest.raises(InvalidInputError, match="/calibrants/0/seeds"):
        predict_at_target(registered(seeds=0), A, B, "lower")
    with pytest.raises(InvalidInputError, match="/a/seed_variance"):
        predict_at_target(registered(), replace(A, seed_variance=-1.0), B, "lower")


def test_figures_are_plain_values_that_json_can_write() -> None:
    figures = asdict(predict_at_target(registered(), A, B, "lower"))
    assert json.loads(json.dumps(figures, allow_nan=False))["p_better"] == figures["p_better"]


def test_chances_are_calibrated_and_better_than_the_sign() -> None:
    """Normal linear model, r = .8 between proxy and reference, 8 calibrants: λ makes P too modest by at most λ/2."""
    rng = np.random.default_rng(11)
    chances, outcomes, signs, covered, losses, regrets = [], [], [], [], [], []
    for _ in range(2500):
        proxy = rng.standard_normal(10)
        loss = 0.8 * proxy + 0.6 * rng.standard_normal(10)
        first, second, *rest = rng.permutation(10)
        found = predict_at_target(
            registered(list(proxy[rest]), list(loss[rest])),
            new("a", proxy[first]),
            new("b", proxy[second]),
            "lower",
        )
        if found.p_better is None:  # outside the range of the others
            continue
        chances.append(found.p_better)
        outcomes.append(loss[first] < loss[second])
        signs.append(proxy[first] < proxy[second])
        covered.append(known(found.low) <= loss[second] - loss[first] <= known(found.high))
        regrets.append(known(found.expected_regret))
        losses.append(max(loss[first] - loss[second], 0.0))
    chance, outcome = np.array(chances), np.array(outcomes, dtype=float)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (chance >= low) & (chance < low + 0.2)
        assert inside.sum() > 100
        assert chance[inside].mean() == pytest.approx(outcome[inside].mean(), abs=0.08)
    assert ((chance - outcome) ** 2).mean() < ((np.array(signs) - outcome) ** 2).mean() - 0.05
    assert 0.935 < np.mean(covered) < 0.99
    assert np.mean(regrets) == pytest.approx(np.mean(losses), rel=0.15)
