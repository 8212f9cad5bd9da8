"""Pairs compared over looks: against brute force, and against the leaderboard's own test at a single look."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.ranking.evidence import AnchorNoise, BoolArray, Float64Array
from proxy.ranking.looks import first_seeds, imply, looks_up_to, resolve_at_look
from proxy.ranking.ranks import resolve_pairs
from proxy.ranking.seeds import SeedNoise, estimate_seed_noise, fit_seeds
from proxy.ranking.studentized_range import studentized_range
from proxy.ranking.uncertainty import measure_noise
from tests.proxy.ranking.builders import from_scores

KNOWN = AnchorNoise(variance=1e-4, degrees_of_freedom=1e7)


def table(recipes: int, seeds: int, *, apart: float, seed: int = 1) -> Float64Array:
    rng = np.random.default_rng(seed)
    return 1.5 + apart * np.arange(recipes)[:, None] + 0.01 * rng.standard_normal((recipes, seeds))


def noise_of(scores_RT: Float64Array, anchors: AnchorNoise | None = None) -> SeedNoise:
    noise = estimate_seed_noise(scores_RT, fit_seeds(scores_RT), anchors)
    assert noise is not None
    return noise


def resolve(
    scores_RT: Float64Array, look: int, noise: SeedNoise, *, level: float = 0.95, recipes: int = 0
) -> BoolArray:
    recipes = recipes or len(scores_RT)
    return resolve_at_look(first_seeds(scores_RT, look), noise, look=look, level=level, recipes=recipes)


@pytest.mark.parametrize(
    ("most", "looks"),
    [(2, (2,)), (5, (2, 3, 4, 5)), (10, (2, 3, 4, 6, 8, 10)), (16, (2, 3, 4, 6, 8, 12, 16))],
)
def test_looks_grow_by_at_most_half_up_to_the_last(most: int, looks: tuple[int, ...]) -> None:
    assert looks_up_to(most) == looks
    assert all(2 * later <= 3 * earlier for earlier, later in itertools.pairwise(looks))


def test_a_look_at_all_seeds_is_the_leaderboards_own_test() -> None:
    scores_RT = table(6, 4, apart=0.02)
    noise = measure_noise(from_scores(scores_RT))
    expected = resolve_pairs(noise.mean_R[:, None] - noise.mean_R[None, :], noise, "fixed", 0.95)
    assert expected is not None
    assert 0 < expected.sum() < 15
    np.testing.assert_array_equal(resolve(scores_RT, 4, noise_of(scores_RT)), expected)


@pytest.mark.parametrize("look", [1, 2, 3])
def test_a_look_agrees_with_brute_force_where_runs_are_missing(look: int) -> None:
    scores_RT = table(6, 6, apart=0.02, seed=look)
    scores_RT[np.random.default_rng(look).random(scores_RT.shape) < 0.15] = math.nan
    scores_RT[:, 0] = 1.5 + 0.02 * np.arange(6)
    found_RR = resolve(scores_RT, look, noise_of(np.ones((6, 1)), KNOWN))
    better_RR = by_brute_force(scores_RT, look)
    np.testing.assert_array_equal(found_RR, better_RR)
    assert 0 < better_RR.sum() < 15


def by_brute_force(scores_RT: Float64Array, look: int) -> BoolArray:
    recipes = len(scores_RT)
    better_RR = np.zeros((recipes, recipes), dtype=np.bool_)
    width = studentized_range(0.95, recipes, KNOWN.degrees_of_freedom) * math.sqrt(KNOWN.variance / look)
    for a, b in itertools.permutations(range(recipes), 2):
        first_a, first_b = ([t for t in range(6) if not math.isnan(scores_RT[r, t])][:look] for r in (a, b))
        if first_a == first_b and len(first_a) == look:
            better_RR[a, b] = scores_RT[a, first_a].mean() - scores_RT[b, first_b].mean() < -width
    return better_RR


def test_first_seeds_leave_out_what_came_later() -> None:
    scores_RT = np.array([[1.0, 2.0, 3.0], [math.nan, 5.0, 6.0], [7.0, math.nan, math.nan]])
    expected = np.array([[1.0, 2.0, math.nan], [math.nan, 5.0, 6.0], [7.0, math.nan, math.nan]])
    np.testing.assert_array_equal(first_seeds(scores_RT, 2), expected)


def test_what_a_seed_does_to_all_recipes_resolves_and_hides_nothing() -> None:
    scores_RT = table(6, 4, apart=0.02)
    moved_RT = scores_RT + np.array([0.0, 1, -2, 3])
    plain_RR, moved_RR = (resolve(scores, 4, noise_of(scores)) for scores in (scores_RT, moved_RT))
    np.testing.assert_array_equal(plain_RR, moved_RR)
    assert 0 < plain_RR.sum() < 15


def test_recipes_that_do_not_share_the_seeds_of_the_look_are_not_resolved() -> None:
    scores_RT = np.array([[1.0, 1.01, math.nan, math.nan], [math.nan, math.nan, 9.0, 9.01], [5.0, math.nan, 5.0, 5.0]])
    assert not resolve(scores_RT, 2, noise_of(scores_RT, KNOWN)).any()


def test_more_recipes_and_a_higher_level_resolve_less() -> None:
    scores_RT = table(8, 4, apart=0.012)
    noise = noise_of(scores_RT)
    few_RR = resolve(scores_RT, 4, noise)
    for less_RR in (resolve(scores_RT, 4, noise, recipes=500), resolve(scores_RT, 4, noise, level=0.999)):
        assert less_RR.sum() < few_RR.sum()
        assert not (less_RR & ~few_RR).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_what_follows_from_part_of_an_order_is_transitive_and_in_the_order(
    recipes: int, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    order_RR = np.triu(np.ones((recipes, recipes), dtype=np.bool_), 1)
    part_RR = order_RR & (rng.random(order_RR.shape) < share)
    known_RR = imply(part_RR)
    assert not (known_RR & ~order_RR).any()
    assert not (part_RR & ~known_RR).any()
    for a, b, c in itertools.product(range(recipes), repeat=3):
        assert known_RR[a, c] or not (known_RR[a, b] and known_RR[b, c])


def test_a_circle_resolves_none_of_its_pairs() -> None:
    is_better_RR = np.zeros((4, 4), dtype=np.bool_)
    is_better_RR[[0, 1, 2, 0], [1, 2, 0, 3]] = True
    known_RR = imply(is_better_RR)
    assert not known_RR[:3, :3].any()
    assert known_RR[:3, 3].all()
