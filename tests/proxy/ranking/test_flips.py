"""Flip certificates against ladders whose truth is known."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from proxy.errors import InvalidInputError, NotFoundError
from proxy.ranking.comparison import compare_pair
from proxy.ranking.digests import digest_evidence
from proxy.ranking.evidence import AnchorNoise, Digest, Evidence, Float64Array, RecipeDigest, SetDigest
from proxy.ranking.flips import FlipCertificate, Verdict, certify_order, find_flips, widest_without_flips
from proxy.ranking.ranks import rank_recipes
from proxy.ranking.rate_ladders import RateEvidence
from tests.proxy.ranking.builders import from_scores

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
NOISE = 0.01


def ladder(*scores: Sequence[Sequence[float]] | Float64Array, anchors: AnchorNoise | None = None) -> list[RateEvidence]:
    """One table of scores (R, T) a rate."""
    return [
        RateEvidence(rate=rate, evidence=from_scores(table, anchors=anchors))
        for rate, table in zip(RATES, scores, strict=False)
    ]


def drawn(truth_GR: Sequence[Sequence[float]] | Float64Array, seeds: int, rng: np.random.Generator) -> Float64Array:
    """Scores (G, R, T) with what a seed does to all recipes alike, at all rates alike, and own noise."""
    truth = np.asarray(truth_GR, dtype=np.float64)[:, :, None]
    shared_T = 5 * NOISE * rng.standard_normal(seeds)
    return truth + shared_T + NOISE * rng.standard_normal((*truth.shape[:2], seeds))


def digest(scores_RT: Float64Array) -> Digest:
    """Straight from scores: hundreds of simulations need no documents."""
    seeds = tuple(range(scores_RT.shape[1]))
    recipes = tuple(
        RecipeDigest(
            recipe=f"recipe-{index}",
            seeds=seeds,
            scores={"prose": row_T},
            document_variances={"prose": 0.0},
            seed_by_document={"prose": 0.0},
        )
        for index, row_T in enumerate(scores_RT)
    )
    return Digest(sets=(SetDigest(name="prose", share=1.0, clusters=2),), recipes=recipes)


def simulate(
    truth_GR: Float64Array, *, seeds: int, times: int, pair: tuple[str, str] | None = None
) -> list[FlipCertificate]:
    rng = np.random.default_rng(17)
    found = []
    for _ in range(times):
        rungs = [
            RateEvidence(rate=rate, evidence=digest(scores_RT))
            for rate, scores_RT in zip(RATES, drawn(truth_GR, seeds, rng), strict=False)
        ]
        found.append(certify_order(rungs, RATES[0], pair=pair))
    return found


def most_false(times: int, error_rate: float = 0.05) -> float:
    """Three standard errors above the rate."""
    return times * error_rate + 3 * math.sqrt(times * error_rate * (1 - error_rate))


def test_a_ladder_of_two_rates_is_certified_as_by_hand() -> None:
    rng = np.random.default_rng(3)
    scores_GRT = drawn([[1.0, 1.2, 1.1], [1.2, 1.0, 1.1]], 3, rng)
    found = certify_order(ladder(*scores_GRT), RATES[0], error_rate=0.1)
    names = {(pair.first, pair.second): pair for pair in found.pairs}
    flip = names["recipe-0", "recipe-1"]
    assert (flip.verdict, flip.better, flip.resolved_at) == (Verdict.FLIPS, None, RATES[:2])
    (where,) = flip.flips
    assert (where.low, where.high) == RATES[:2]
    assert (where.better_at_low, where.better_at_high) == ("recipe-0", "recipe-1")
    difference_T = scores_GRT[0, 0] - scores_GRT[0, 1]
    assert flip.by_rate[0].difference == pytest.approx(difference_T.mean())


def test_each_rate_is_tested_as_its_leaderboard_at_a_smaller_error_rate() -> None:
    rng = np.random.default_rng(5)
    scores_GRT = drawn(1 + 0.02 * rng.standard_normal((2, 6)), 3, rng)
    found = certify_order(ladder(*scores_GRT), RATES[0], error_rate=0.1)
    for place, table in enumerate(scores_GRT):
        entries = rank_recipes(from_scores(table), rng=rng, level=0.95).entries
        beaten = {entry.recipe: 0 for entry in entries}
        for pair in found.pairs:
            better = pair.by_rate[place].better
            if better is not None:
                beaten[pair.second if better == pair.first else pair.first] += 1
        assert {entry.recipe: entry.rank_low for entry in entries} == {name: 1 + n for name, n in beaten.items()}


def test_a_pair_named_before_looking_has_students_intervals() -> None:
    scores_GRT = drawn([[1.0, 1.02, 1.1, 1.2]] * 2, 4, np.random.default_rng(4))
    pair = ("recipe-1", "recipe-0")
    (found,) = certify_order(ladder(*scores_GRT), RATES[1], pair=pair, error_rate=0.04).pairs
    for table, part in zip(scores_GRT, found.by_rate, strict=True):
        evidence = from_scores(table)
        two = Evidence(sets=evidence.sets, recipes=(evidence.recipes[1], evidence.recipes[0]))
        expected = compare_pair(digest_evidence(evidence), two, level=0.98).fixed
        assert (part.low, part.high) == pytest.approx((expected.low, expected.high), rel=1e-3)
    assert (found.first, found.second) == pair


def test_equal_recipes_are_seldom_resolved_at_any_rate() -> None:
    found = simulate(np.ones((4, 4)), seeds=3, times=300)
    wrong = sum(any(pair.resolved_at for pair in certificate.pairs) for certificate in found)
    assert wrong <= most_false(300)  # .14 where each rate is tested at the whole error rate


def test_orders_that_hold_are_seldom_said_to_flip() -> None:
    truth_GR = np.stack([1 + spread * np.arange(5) for spread in (10 * NOISE, 0.0, 1e-9)])
    found = simulate(truth_GR, seeds=2, times=300)
    assert sum(certificate.flipping > 0 for certificate in found) <= most_false(300)


def test_orders_that_flip_are_seldom_said_to_be_stable() -> None:
    truth_GR = np.stack([1 + 10 * NOISE * np.arange(5), 1 + 10 * NOISE * np.arange(5), np.ones(5)])
    truth_GR[2] -= 1e-9 * np.arange(5)  # every pair flips, by nothing
    found = simulate(truth_GR, seeds=2, times=300)
    assert sum(certificate.stable > 0 for certificate in found) <= most_false(300)
    resolved = [pair.resolved_at[:2] for certificate in found for pair in certificate.pairs]
    assert resolved.count(RATES[:2]) > 0.8 * len(resolved)  # and yet most of what could be found is found


def test_one_pair_named_before_looking_keeps_the_error_rate() -> None:
    truth_GR = np.array([[1.0, 1 + 10 * NOISE, 1.5], [1.0, 1.0, 1.5], [1.0, 1.0, 1.5]])
    found = simulate(truth_GR, seeds=3, times=300, pair=("recipe-0", "recipe-1"))
    wrong = sum(certificate.flipping + certificate.stable > 0 for certificate in found)
    assert wrong <= most_false(300)


def test_planted_flips_and_stable_pairs_are_found() -> None:
    truth_GR = 1 + 20 * NOISE * np.array([[0, 1, 2, 4], [0, 1, 2, 4], [1, 0, 2, 4], [1, 0, 4, 2]])
    for certificate in simulate(truth_GR, seeds=3, times=5):
        flips = {(pair.first, pair.second): pair.flips for pair in certificate.pairs if pair.flips}
        places = {names: [(flip.low, flip.high) for flip in own] for names, own in flips.items()}
        assert places == {("recipe-0", "recipe-1"): [(3e-4, 1e-3)], ("recipe-2", "recipe-3"): [(1e-3, 3e-3)]}
        assert (certificate.stable, certificate.flipping, certificate.unresolved) == (4, 2, 0)
        assert (certificate.no_flip_low, certificate.no_flip_high) == (1e-4, 3e-4)
        assert certificate.held == 6


def test_a_flip_reaches_over_rates_that_do_not_resolve_the_pair() -> None:
    better_GNN = np.zeros((4, 2, 2), dtype=np.int8)
    for place, sign in ((0, 1), (2, -1), (3, 1)):
        better_GNN[place, 0, 1], better_GNN[place, 1, 0] = sign, -sign
    assert find_flips(better_GNN).tolist() == [[0, 1, 0, 2], [0, 1, 2, 3]]


def test_every_flip_is_found_and_no_other() -> None:
    rng = np.random.default_rng(8)
    upper_GNN = np.triu(rng.integers(-1, 2, (6, 9, 9)), 1).astype(np.int8)
    expected = set()
    for row in range(9):
        for column in range(row + 1, 9):
            resolved = [(place, sign) for place, sign in enumerate(upper_GNN[:, row, column]) if sign]
            expected |= {
                (row, column, low, high)
                for (low, before), (high, after) in itertools.pairwise(resolved)
                if before != after
            }
    found = find_flips(upper_GNN - upper_GNN.transpose(0, 2, 1))
    assert len(found) == len(expected)
    assert set(map(tuple, found.tolist())) == expected


@pytest.mark.parametrize(
    ("flips", "own", "expected"),
    [
        ([], 1, (0, 3)),
        ([(0, 1)], 1, (1, 3)),
        ([(0, 3)], 0, (0, 2)),
        ([(0, 3), (1, 2)], 0, (0, 1)),
        ([(0, 1), (1, 2), (2, 3)], 2, (2, 2)),
        ([(0, 1), (2, 3)], 1, (1, 2)),
        ([(0, 2)], 1, (1, 3)),
    ],
)
def test_the_widest_interval_around_the_own_rate_holds_no_flip(
    flips: list[tuple[int, int]], own: int, expected: tuple[int, int]
) -> None:
    assert widest_without_flips(np.array(flips, dtype=np.int64).reshape(-1, 2), RATES, own) == expected


def test_one_seed_resolves_nothing_but_with_anchors() -> None:
    scores = [[1.0], [1.5]]
    found = certify_order(ladder(scores, scores), RATES[0])
    assert (found.stable, found.flipping, found.unresolved) == (0, 0, 1)
    assert found.pairs[0].by_rate[0].low is None
    assert found.pairs[0].by_rate[0].difference == pytest.approx(-0.5)
    assert len(found.warnings) == 2
    assert "one seed" in found.warnings[0]
    known = AnchorNoise(variance=NOISE**2, degrees_of_freedom=10)
    assert certify_order(ladder(scores, scores, anchors=known), RATES[0]).pairs[0].better == "recipe-0"


def test_a_rate_without_noise_costs_the_others_no_error_rate() -> None:
    scores_GRT = drawn([[1.0, 1.1]] * 2, 3, np.random.default_rng(0))
    (two,) = certify_order(ladder(*scores_GRT), RATES[0]).pairs
    (more,) = certify_order(ladder(*scores_GRT, [[1.0], [1.1]]), RATES[0]).pairs
    assert more.by_rate[:2] == two.by_rate
    assert (more.verdict, two.verdict) == (Verdict.UNRESOLVED, Verdict.STABLE)


def test_unequal_seeds_are_allowed() -> None:
    nan = np.nan
    low = [[1.0, 1.01, 1.02, 0.99], [1.2, 1.21, nan, nan], [1.4, nan, nan, nan]]
    high = [[1.0, nan, nan, nan], [1.2, 1.21, 1.19, nan], [1.4, 1.41, nan, nan]]
    found = certify_order(ladder(low, high), RATES[1])
    assert found.stable == 3
    assert [(pair.first, pair.better) for pair in found.pairs] == [
        ("recipe-0", "recipe-0"),
        ("recipe-0", "recipe-0"),
        ("recipe-1", "recipe-1"),
    ]


def test_a_recipe_that_is_missing_at_a_rate_is_not_resolved_there() -> None:
    three = drawn([[1.0, 1.5, 2.0]], 4, np.random.default_rng(6))[0]
    two = three[:2]
    found = certify_order(ladder(three, two, three), RATES[0])
    names = {(pair.first, pair.second): pair for pair in found.pairs}
    assert names["recipe-0", "recipe-1"].verdict == Verdict.STABLE
    missing = names["recipe-0", "recipe-2"]
    assert (missing.verdict, missing.resolved_at) == (Verdict.UNRESOLVED, (1e-4, 1e-3))
    assert (missing.by_rate[1].difference, missing.by_rate[1].low) == (None, None)


def test_recipes_of_one_rate_are_no_part_of_the_certificate() -> None:
    many = [[1.0 + 0.1 * index, 1.01 + 0.1 * index] for index in range(6)]
    found = certify_order(ladder(many, many[:2]), RATES[1])
    assert [(pair.first, pair.second) for pair in found.pairs] == [("recipe-0", "recipe-1")]
    assert found.stable + found.flipping + found.unresolved == 1


def test_only_so_many_pairs_are_written_out_and_flips_come_first() -> None:
    scores_GRT = drawn(1 + 20 * NOISE * np.array([[0, 1, 2, 3], [0, 1, 3, 2]]), 3, np.random.default_rng(1))
    found = certify_order(ladder(*scores_GRT), RATES[0], most_pairs=2)
    assert [pair.verdict for pair in found.pairs] == [Verdict.FLIPS, Verdict.STABLE]
    assert (found.left_out, found.stable) == (4, 5)


def test_the_order_of_rates_and_of_recipes_does_not_matter() -> None:
    scores_GRT = drawn(1 + 3 * NOISE * np.random.default_rng(2).standard_normal((3, 5)), 3, np.random.default_rng(1))
    rungs = ladder(*scores_GRT)
    turned = [
        RateEvidence(
            rate=rung.rate, evidence=Evidence(sets=rung.evidence.sets, recipes=tuple(reversed(rung.evidence.recipes)))
        )
        for rung in reversed(rungs)
        if isinstance(rung.evidence, Evidence)
    ]
    there, back = certify_order(rungs, RATES[1]), certify_order(turned, RATES[1])
    verdicts = [[(pair.first, pair.second, pair.verdict, pair.flips) for pair in one.pairs] for one in (there, back)]
    assert verdicts[0] == verdicts[1]


GOOD = [[1.0, 1.01], [1.5, 1.51]]


def with_score(value: float) -> Digest:
    scores_RT = np.array(GOOD)
    scores_RT[1, 0] = value
    return digest(scores_RT)


def only(*places: int) -> Digest:
    """Of some of the recipes."""
    whole = digest(np.array(GOOD))
    return replace(whole, recipes=tuple(whole.recipes[place] for place in places))


@pytest.mark.parametrize(
    ("rungs", "own", "pointer", "words"),
    [
        ([], 1e-4, "/rates", "two or more learning rates"),
        ([(1e-4, digest(np.array(GOOD)))], 1e-4, "/rates", "two or more learning rates"),
        ([(1e-4, digest(np.array(GOOD)))] * 2, 1e-4, "/rates", "appears twice"),
        ([(1e-4, digest(np.array(GOOD))), (math.nan, digest(np.array(GOOD)))], 1e-4, "/rates/1", "positive"),
        ([(0.0, digest(np.array(GOOD))), (1e-3, digest(np.array(GOOD)))], 1e-3, "/rates/0", "positive"),
        ([(1e-4, digest(np.array(GOOD))), (1e-3, with_score(math.nan))], 1e-4, "recipe-1", "finite"),
        ([(1e-4, digest(np.array(GOOD))), (1e-3, with_score(math.inf))], 1e-4, "recipe-1", "finite"),
        ([(1e-4, digest(np.array(GOOD))), (1e-3, digest(np.zeros((0, 2))))], 1e-4, "0.001/recipes", "no recipe"),
        ([(1e-4, digest(np.array(GOOD))), (1e-3, digest(np.array(GOOD[:1])))], 1e-4, "/rates", "two recipes"),
        ([(1e-4, only(0)), (1e-3, only(0, 1)), (3e-3, only(1))], 1e-3, "/rates", "two recipes"),
        ([(1e-4, digest(np.array(GOOD))), (1e-3, digest(np.array(GOOD)))], 5e-4, "/own_rate", "none of the rates"),
    ],
)
def test_bad_ladders_are_named(rungs: list[tuple[float, Digest]], own: float, pointer: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as caught:
        certify_order([RateEvidence(rate=rate, evidence=evidence) for rate, evidence in rungs], own)
    assert pointer in caught.value.problems[0].pointer


def test_other_sets_at_another_rate_are_named() -> None:
    other = digest(np.array(GOOD))
    renamed = Digest(sets=(SetDigest(name="code", share=1.0, clusters=2),), recipes=other.recipes)
    rungs = [RateEvidence(rate=1e-4, evidence=other), RateEvidence(rate=1e-3, evidence=renamed)]
    with pytest.raises(InvalidInputError, match="scored on"):
        certify_order(rungs, 1e-4)


@pytest.mark.parametrize("error_rate", [0.0, 1.0, -1.0, math.nan])
def test_a_bad_error_rate_is_named(error_rate: float) -> None:
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        certify_order(ladder(GOOD, GOOD), 1e-4, error_rate=error_rate)


def test_a_pair_must_be_two_recipes_that_share_two_rates() -> None:
    rungs = ladder(GOOD, GOOD, [*GOOD, [2.0, 2.01]])
    with pytest.raises(InvalidInputError, match="same recipe"):
        certify_order(rungs, 1e-4, pair=("recipe-0", "recipe-0"))
    with pytest.raises(NotFoundError, match="recipe-9"):
        certify_order(rungs, 1e-4, pair=("recipe-0", "recipe-9"))
    with pytest.raises(InvalidInputError, match="share two rates"):
        certify_order(rungs, 1e-4, pair=("recipe-0", "recipe-2"))
