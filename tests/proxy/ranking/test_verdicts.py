import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from proxy.errors import InvalidInputError
from proxy.ranking.targets import TargetChance
from proxy.ranking.verdicts import ProxyDifference, Stakes, Verdict, judge, seeds_to_resolve

RUN = 0.0002  # seed variance of one run, (bits per byte)²


def difference(value: float, *, seeds: tuple[int, int] = (3, 3), document_variance: float = 0.0) -> ProxyDifference:
    return ProxyDifference(
        a="lean",
        b="rich",
        difference=value,
        standard_error=math.sqrt(RUN / seeds[0] + RUN / seeds[1] + document_variance),
        degrees=20.0,
        seeds=seeds,
        run_variances=(RUN, RUN),
        document_variance=document_variance,
    )


RESOLVED, CLOSE = difference(-0.1), difference(-0.02)


def chance(p: float, *, regret: float = 0.01, n: int = 12) -> TargetChance:
    return TargetChance(
        a="lean",
        b="rich",
        n=n,
        is_provisional=n < 8,
        p_better=p,
        difference=0.02,
        expected_regret=regret,
        expected_regret_of_b=0.05,
        worst_case_regret=0.03,
        worst_case_regret_of_b=0.2,
    )


REFUSED = TargetChance(a="lean", b="rich", n=3, is_provisional=False, refusal="Only 3 recipes have both.")


@pytest.mark.parametrize(("p", "choice"), [(0.95, "lean"), (0.964, "lean"), (0.04, "rich")])
def test_a_high_chance_at_target_scale_decides_for_the_better_recipe(p: float, choice: str) -> None:
    found = judge(CLOSE, chance(p), Stakes())
    assert (found.verdict, found.choice, found.scale) == (Verdict.DECIDE, choice, "target")
    assert f"P({choice} better than" in found.reason
    assert "calibration on 12 recipes" in found.reason


def test_an_expected_regret_under_the_tolerance_decides_and_tells_the_worst_case() -> None:
    found = judge(CLOSE, chance(0.7), Stakes(tolerance=0.011, unit="nats"))
    assert (found.verdict, found.choice) == (Verdict.DECIDE, "lean")
    for told in ("0.70", "0.01 nats", "tolerance of 0.011", "at most 0.03"):
        assert told in found.reason
    assert judge(CLOSE, chance(0.7), Stakes(tolerance=0.01)).verdict is not Verdict.DECIDE


def test_the_regret_that_counts_is_that_of_the_favoured_recipe() -> None:
    assert judge(RESOLVED, chance(0.3), Stakes(tolerance=0.02)).verdict is Verdict.UNDECIDABLE
    found = judge(RESOLVED, chance(0.3, regret=0.0), Stakes(tolerance=0.06))
    assert found.choice == "rich"
    assert "0.05 " in found.reason


def test_where_neither_is_favoured_and_little_is_at_stake_either_will_do() -> None:
    found = judge(difference(0.0), chance(0.5), Stakes(tolerance=0.1))
    assert (found.verdict, found.choice) == (Verdict.DECIDE, None)
    assert "Neither" in found.reason


def test_a_chance_just_short_is_not_rounded_up() -> None:
    found = judge(RESOLVED, chance(0.9499), Stakes())
    assert found.verdict is Verdict.UNDECIDABLE
    assert "is 0.94 by" in found.reason
    assert "is 0.95 by" in judge(RESOLVED, chance(0.95), Stakes()).reason


def test_few_calibrants_are_called_provisional() -> None:
    found = judge(CLOSE, chance(0.8, n=6), Stakes(tolerance=1.0))
    assert found.is_provisional
    assert "provisional" in found.reason


def test_a_calibration_that_turns_the_proxys_order_around_is_told() -> None:
    backwards = "better proxy scores went with worse references"
    for p in (0.03, 0.3):
        assert backwards in judge(CLOSE, replace(chance(p), slope=-1.0), Stakes()).reason
        assert backwards not in judge(CLOSE, replace(chance(p), slope=1.0), Stakes()).reason


def test_an_unresolved_difference_within_the_limit_asks_for_that_many_seeds() -> None:
    needed = seeds_to_resolve(CLOSE)
    assert needed is not None
    found = judge(CLOSE, chance(0.8), Stakes(seed_limit=needed))
    assert (found.verdict, found.seeds_needed, found.choice) == (Verdict.MORE_SEEDS, needed, None)
    assert f"{needed} seeds a recipe would resolve it" in found.reason
    too_dear = judge(CLOSE, chance(0.8), Stakes(seed_limit=needed - 1))
    assert (too_dear.verdict, too_dear.seeds_needed) == (Verdict.UNDECIDABLE, needed)
    assert f"over the limit of {needed - 1}" in too_dear.reason


def test_a_resolved_proxy_with_an_unsure_target_is_undecidable() -> None:
    found = judge(RESOLVED, chance(0.8), Stakes(seed_limit=1000))
    assert (found.verdict, found.seeds_needed) == (Verdict.UNDECIDABLE, None)
    assert "short of 0.95" in found.reason
    assert "lean is better than rich by 0.1 ±" in found.reason


@pytest.mark.parametrize("target", [None, REFUSED])
@pytest.mark.parametrize("proxy", [RESOLVED, CLOSE, difference(-100.0), difference(0.0)])
def test_the_proxy_alone_never_decides(proxy: ProxyDifference, target: TargetChance | None) -> None:
    found = judge(proxy, target, Stakes(tolerance=1e9, seed_limit=10_000))
    assert found.verdict is not Verdict.DECIDE
    assert found.scale == "proxy"
    assert not found.is_provisional
    if target is None:
        assert "No recipe has a reference, so this speaks of the proxy scale only (5 recipes" in found.reason
    else:
        assert "Nothing can be said of target scale (Only 3 recipes have both)" in found.reason


def test_without_references_more_seeds_are_still_advised_where_they_resolve() -> None:
    assert judge(CLOSE, None, Stakes(seed_limit=1000)).verdict is Verdict.MORE_SEEDS
    assert judge(RESOLVED, None, Stakes(seed_limit=1000)).verdict is Verdict.UNDECIDABLE


@pytest.mark.parametrize("value", [0.004, 0.011, 0.02])
@pytest.mark.parametrize("seeds", [(3, 3), (2, 6), (1, 1)])
@pytest.mark.parametrize("documents", [0.0, 1e-6])
def test_the_seeds_needed_are_the_first_that_resolve(value: float, seeds: tuple[int, int], documents: float) -> None:
    proxy = difference(value, seeds=seeds, document_variance=documents)
    expected = None
    if not proxy.is_resolved:
        for total in range(min(seeds) + 1, 2000):
            variance = RUN / max(total, seeds[0]) + RUN / max(total, seeds[1]) + documents
            if value > stats.t.ppf(0.975, 20 + total - min(seeds)) * math.sqrt(variance):
                expected = total
                break
    assert seeds_to_resolve(proxy) == expected


def test_with_the_seeds_asked_for_the_same_difference_is_resolved() -> None:
    needed = seeds_to_resolve(CLOSE)
    assert needed is not None
    assert difference(-0.02, seeds=(needed, needed)).is_resolved
    assert not CLOSE.is_resolved


def test_more_seeds_are_more_than_there_are() -> None:
    """Seeds that the recipes do not share widen today's interval beyond what their number alone would."""
    uneven = replace(RESOLVED, standard_error=0.09)
    assert not uneven.is_resolved
    assert seeds_to_resolve(uneven) == 4


def test_half_of_the_plans_work_out() -> None:
    """The docstring's claim: a difference measured without bias is as often larger as smaller than the true one."""
    rng = np.random.default_rng(2)
    needed = seeds_to_resolve(CLOSE)
    assert needed is not None
    drawn = 0.02 + math.sqrt(2 * RUN / needed) * rng.standard_normal(4000)
    resolved = [difference(float(value), seeds=(needed, needed)).is_resolved for value in drawn]
    assert 0.45 < np.mean(resolved) < 0.65


@pytest.mark.parametrize("proxy", [difference(0.0), difference(-0.005, document_variance=1.0)])
def test_what_no_seeds_can_resolve_is_said(proxy: ProxyDifference) -> None:
    found = judge(proxy, None, Stakes(seed_limit=10_000))
    assert (found.verdict, found.seeds_needed) == (Verdict.UNDECIDABLE, None)
    assert "no number of seeds" in found.reason


def test_noise_that_was_never_measured_asks_for_a_second_seed() -> None:
    single = replace(CLOSE, standard_error=None, degrees=None, run_variances=None, seeds=(1, 1))
    found = judge(single, None, Stakes(seed_limit=2))
    assert (found.verdict, found.seeds_needed) == (Verdict.MORE_SEEDS, 2)
    assert "2 seeds a recipe are the least" in found.reason
    assert judge(single, None, Stakes(seed_limit=1)).verdict is Verdict.UNDECIDABLE
    of_documents = replace(CLOSE, standard_error=None, degrees=None)
    assert judge(of_documents, None, Stakes(seed_limit=99)).verdict is Verdict.UNDECIDABLE
    assert judge(single, chance(0.96), Stakes()).verdict is Verdict.DECIDE


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"difference": math.nan}, "/proxy/difference"),
        ({"standard_error": 0.0}, "/proxy/standard_error"),
        ({"standard_error": math.inf}, "/proxy/standard_error"),
        ({"degrees": math.nan}, "/proxy/degrees"),
        ({"run_variances": (0.1, -0.1)}, "/proxy/run_variances/1"),
        ({"document_variance": math.nan}, "/proxy/document_variance"),
        ({"seeds": (0, 3)}, "/proxy/seeds"),
        ({"a": "another"}, "/chance"),
    ],
)
def test_numbers_that_cannot_be_meant_are_named(changes: dict[str, object], pointer: str) -> None:
    with pytest.raises(InvalidInputError, match=pointer):
        judge(replace(CLOSE, **changes), chance(0.8), Stakes())  # type: ignore[arg-type]


@pytest.mark.parametrize("stakes", [Stakes(tolerance=math.nan), Stakes(tolerance=-0.1), Stakes(seed_limit=0)])
def test_stakes_that_cannot_be_meant_are_named(stakes: Stakes) -> None:
    with pytest.raises(InvalidInputError, match="/stakes/"):
        judge(CLOSE, None, stakes)


def test_every_reason_is_one_sentence() -> None:
    for proxy in (RESOLVED, CLOSE, difference(0.0)):
        for target in (None, REFUSED, chance(0.8), chance(0.96), chance(0.5)):
            for stakes in (Stakes(), Stakes(tolerance=1.0, seed_limit=100)):
                reason = judge(proxy, target, stakes).reason
                assert reason.endswith(".")
                assert ". " not in reason
                assert "None" not in reason
                assert "nan" not in reason
