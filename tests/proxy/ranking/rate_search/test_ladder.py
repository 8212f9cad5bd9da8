"""What no ladder may be, reliability against simulation, and what a curve says."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.rate_search import LadderRun, losses_at_travel, search_rate, travel_in_steps, update_in_ulps
from proxy.ranking.rate_search.numbers import BF16_MANTISSA_BITS
from proxy.ranking.rate_search.reliability import measure_reliability, seeds_needed
from tests.proxy.ranking.rate_search.ladders import ladder_of


def refusal(**options: Any) -> str:
    with pytest.raises(InvalidInputError) as refused:
        ladder_of(**options)
    return str(refused.value)


def test_a_ladder_of_one_rate_is_refused() -> None:
    said = refusal(rates=(1e-4,))
    assert "/rates" in said
    assert "at least 3 rates" in said
    assert "0.0001" in said


def test_too_few_anchors_or_seeds_are_refused() -> None:
    assert "/anchors" in refusal(anchors=("clean", "code"))
    assert "/seeds" in refusal(seeds=1)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"score": float("nan")}, "/runs/0/score"),
        ({"score": float("inf")}, "/runs/0/score"),
        ({"progress": {"prose": float("nan")}}, "/runs/0/progress/prose"),
        ({"shuffled_cost": {"code": float("inf")}}, "/runs/0/shuffled_cost/code"),
        ({"update_ulps": float("nan")}, "/runs/0/update_ulps"),
        ({"rescore_difference": float("nan")}, "/runs/0/rescore_difference"),
    ],
)
def test_what_is_no_number_is_refused_by_field_and_value(change: dict[str, Any], pointer: str) -> None:
    said = refusal(change=lambda a, rate, s: change if (a, rate, s) == ("clean", 1e-4, 0) else {})
    assert pointer in said
    assert "clean" in said
    assert "nan" in said or "inf" in said


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    ladder = ladder_of()
    with pytest.raises(InvalidInputError, match="/runs/3/rate"):
        replace(ladder, runs=(*ladder.runs[:3], replace(ladder.runs[3], rate=rate), *ladder.runs[4:]))


def test_a_run_that_is_missing_or_there_twice_is_refused() -> None:
    ladder = ladder_of()
    with pytest.raises(InvalidInputError, match="'clean' lacks these seeds at rate 0"):
        replace(ladder, runs=ladder.runs[1:])
    with pytest.raises(InvalidInputError, match="there twice"):
        replace(ladder, runs=(*ladder.runs, ladder.runs[0]))


@pytest.mark.parametrize("name", ["steps", "travel_steps", "batch_tokens", "tokens_per_second"])
def test_sizes_must_be_positive(name: str) -> None:
    assert f"/{name}" in refusal(**{name: 0})


def test_anchors_that_are_all_alike_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="all alike"):
        search_rate(ladder_of(lambda _a, rate, seed: {"score": 3.0 + rate + 0.01 * seed}))


def test_reliability_is_the_share_of_the_means_variance_that_is_no_noise() -> None:
    """By simulation. The mean of 1/F is (1 − truth) · d / (d − 2), with d = anchors − 1."""
    rng = np.random.default_rng(0)
    anchors, seeds, noise, draws = 40, 3, 0.8, 1500
    noise_share = (noise**2 / seeds) / (1 + noise**2 / seeds)
    tables = (
        rng.normal(0, 1, (anchors, 1)) + rng.normal(0, 1, (1, seeds)) + rng.normal(0, noise, (anchors, seeds))
        for _ in range(draws)
    )
    found = [measure_reliability(table, 0.95) for table in tables]
    values = [one.value for one in found if one is not None]
    degrees = anchors - 1
    assert np.mean(values) == pytest.approx(1 - noise_share * degrees / (degrees - 2), abs=0.005)


def test_the_lower_bound_lies_above_the_truth_in_one_table_of_twenty() -> None:
    rng = np.random.default_rng(1)
    anchors, seeds, noise, draws = 6, 3, 0.5, 2000
    truth = 1 / (1 + noise**2 / seeds)
    above = 0
    for _ in range(draws):
        table = rng.normal(0, 1, (anchors, 1)) + rng.normal(0, noise, (anchors, seeds))
        found = measure_reliability(table, 0.95)
        assert found is not None
        above += found.low > truth
    assert above / draws == pytest.approx(0.05, abs=0.015)


def test_what_every_anchor_shares_in_a_seed_is_no_noise() -> None:
    table = np.array([[1.0, 1.1], [2.0, 2.11], [3.0, 3.09]])
    shifted = measure_reliability(table + np.array([[0.0, 5.0]]), 0.95)
    plain = measure_reliability(table, 0.95)
    assert shifted is not None
    assert plain is not None
    assert shifted.value == pytest.approx(plain.value)


def test_seeds_that_change_nothing_have_no_reliability() -> None:
    assert measure_reliability(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), 0.95) is None


def test_as_many_seeds_as_are_there_are_needed_where_they_just_suffice() -> None:
    table = np.array([[0.0, 0.4, 0.1], [1.0, 1.1, 1.4], [2.0, 2.0, 2.3], [3.0, 3.2, 3.0]])
    found = measure_reliability(table, 0.95)
    assert found is not None
    assert seeds_needed(found, found.value, found.low, 0.95) == 3
    assert seeds_needed(found, found.value + 1e-9, found.low, 0.95) == 4
    assert seeds_needed(found, 1.0, 0.5, 0.95) is None


def test_travel_counts_the_warm_up() -> None:
    steps, peak = 100, 0.02
    rates = [peak * min((step + 1) / 40, 1) for step in range(steps)]
    assert travel_in_steps(range(steps), rates, steps, peak) == pytest.approx(60 + 41 / 2)
    shown = [0, 20, 39, 40, 70, 99]
    assert travel_in_steps(shown, [rates[step] for step in shown], steps, peak) == pytest.approx(60 + 41 / 2)


def test_losses_at_equal_travel_are_equal_where_travel_is_the_clock() -> None:
    """Loss 8 − log(1 + 50 S) whatever the rate: all rates tell the same at every level that they reached."""

    def curve(peak: float, steps: int) -> tuple[list[float], list[float], list[float]]:
        rates = [peak * min((step + 1) / 40, 1) for step in range(steps)]
        losses = [8 - float(np.log1p(50 * travel)) for travel in np.cumsum(rates)]
        shown = [int(step) for step in np.unique(np.linspace(0, steps - 1, 200).round())]
        return shown, [rates[step] for step in shown], [losses[step] for step in shown]

    levels = [0.01, 0.05, 0.2, 1.0]
    slow, fast = (losses_at_travel(*curve(peak, 1000), levels) for peak in (1e-4, 1e-3))
    assert slow[2:] == [None, None]
    assert fast[3] is None
    for one, other, level in zip(slow[:2], fast[:2], levels, strict=False):
        assert one == pytest.approx(other, abs=0.02)
        assert one == pytest.approx(8 - np.log1p(50 * level), abs=0.03)


def test_an_update_in_ulps_is_never_more_than_what_the_weights_show() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.02, 10_000).astype(np.float32)
    ratio = 1e-5
    changes = np.abs(weights) * np.float32(ratio)
    told = update_in_ulps([ratio])
    assert told is not None
    measured = float(np.median(changes / np.spacing(np.abs(weights))))
    assert told <= measured <= 2 * told


def test_weights_in_bf16_are_at_the_floor_where_fp32_is_far_above_it() -> None:
    ratios = [1e-4, None, 3e-4, 2e-4]
    in_fp32, in_bf16 = update_in_ulps(ratios), update_in_ulps(ratios, BF16_MANTISSA_BITS)
    assert in_fp32 == pytest.approx(2e-4 * 2**23)
    assert in_bf16 is not None
    assert in_bf16 < 32
    assert update_in_ulps([None, float("nan")]) is None
    kept = ladder_of(lambda _a, rate, _s: {"update_ulps": in_bf16 if rate < 2e-4 else in_fp32})
    assert search_rate(kept).rate == 3e-4


def test_an_unmeasured_run_needs_only_its_score() -> None:
    bare = LadderRun(anchor="a", rate=1e-3, seed=0, score=None)
    assert (bare.progress, bare.update_ulps) == ({}, None)
