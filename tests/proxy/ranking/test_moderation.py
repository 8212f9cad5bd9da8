"""The moderation of seed variances against limma's own output and against brute force (Smyth 2004)."""

import math

import numpy as np
import pytest

from tests.proxy.ranking.moderation_builders import (
    LIMMA_DEGREES,
    LIMMA_POSTERIOR,
    LIMMA_PRIOR_DEGREES,
    LIMMA_PRIOR_VARIANCE,
    LIMMA_VARIANCES,
    draw_shared_seeds,
    draw_variances,
    moderate,
    posterior_variance,
    prior_by_bisection,
    prior_by_likelihood,
    prior_degrees,
    prior_of_table,
)


def test_prior_degrees_are_those_that_limma_prints() -> None:
    noise = moderate(np.array(LIMMA_VARIANCES), LIMMA_DEGREES)
    assert prior_degrees(noise, LIMMA_DEGREES) == pytest.approx(LIMMA_PRIOR_DEGREES, abs=1e-6)


def test_variances_are_limmas_posterior_with_the_pool_in_place_of_its_prior_variance() -> None:
    """The pool, 3.2, is what intervals lean on everywhere else; the prior's scale, 1.68, would shrink further."""
    noisiest, degrees, prior = LIMMA_VARIANCES[2], LIMMA_DEGREES, LIMMA_PRIOR_DEGREES
    by_limma = posterior_variance(noisiest, degrees, prior, LIMMA_PRIOR_VARIANCE)
    assert by_limma == pytest.approx(LIMMA_POSTERIOR, abs=1e-5)
    noise = moderate(np.array(LIMMA_VARIANCES), degrees)
    assert noise.pooled == pytest.approx(3.2)
    assert noise.variance_R[2] == pytest.approx(posterior_variance(noisiest, degrees, prior, 3.2), rel=1e-5)
    np.testing.assert_allclose(noise.variance_R[:2], 3.2)


@pytest.mark.parametrize(("recipes", "degrees", "prior"), [(12, 2, 2.0), (40, 1, 1.0), (60, 4, 4.0)])
def test_prior_degrees_and_variances_are_those_of_brute_force(recipes: int, degrees: int, prior: float) -> None:
    variance_R = draw_variances(recipes, degrees, prior, np.random.default_rng(recipes + 2))
    noise = moderate(variance_R, degrees)
    expected = prior_by_bisection(variance_R, degrees)
    assert noise.pooled == pytest.approx(variance_R.mean())
    assert prior_degrees(noise, degrees) == pytest.approx(expected, rel=1e-6)
    posterior_R = [posterior_variance(variance, degrees, expected, noise.pooled) for variance in variance_R]
    np.testing.assert_allclose(noise.variance_R, np.maximum(posterior_R, noise.pooled), rtol=1e-6)
    assert (noise.variance_R > noise.pooled).any()


def test_variances_that_spread_no_more_than_chance_are_all_the_pool() -> None:
    variance_R = np.linspace(0.9e-4, 1.1e-4, 20)
    assert prior_by_bisection(variance_R, 3) == math.inf
    noise = moderate(variance_R, 3)
    np.testing.assert_array_equal(noise.variance_R, noise.pooled)


def test_moment_estimates_meet_the_most_likely_prior_where_recipes_are_many() -> None:
    table = draw_shared_seeds(1500, 5, 6.0, np.random.default_rng(3))
    assert prior_of_table(table) == pytest.approx(prior_by_likelihood(table), rel=0.2)
    assert prior_of_table(table) == pytest.approx(6.0, rel=0.3)
