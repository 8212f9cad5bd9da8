"""Small seeded simulations: what the intervals promise is what they deliver. Bounds are three standard errors wide."""

import math

import numpy as np
import pytest

from proxy.ranking.best import chances_of_being_best
from proxy.ranking.evidence import Evidence, Float64Array
from proxy.ranking.ranks import resolve_pairs
from proxy.ranking.uncertainty import (
    Documents,
    NoiseModel,
    half_widths,
    measure_noise,
    spread_of_differences,
    spread_of_scores,
)
from tests.proxy.ranking.builders import from_nats, from_scores, one_set


def equal_recipes(recipes: int, seeds: int, rng: np.random.Generator, *, common: float = 0.02) -> NoiseModel:
    """Scores whose truth is 1.5 for every recipe."""
    table = 1.5 + common * rng.standard_normal(seeds) + 0.01 * rng.standard_normal((recipes, seeds))
    return measure_noise(from_scores(table, documents=1))


def covers(noise: NoiseModel, documents: Documents, truth_R: Float64Array) -> Float64Array:
    """Share of pair intervals that hold the true difference, over the pairs."""
    spread = spread_of_differences(noise, documents)
    assert spread is not None
    error_R = noise.mean_R - truth_R
    is_inside = np.abs(error_R[:, None] - error_R[None, :]) <= half_widths(spread, 0.95)
    return is_inside[np.triu_indices(len(error_R), 1)].astype(np.float64)


@pytest.mark.parametrize(("recipes", "seeds"), [(2, 2), (2, 3), (6, 2), (12, 3)])
def test_pair_intervals_on_this_suite_cover_at_their_level(recipes: int, seeds: int) -> None:
    rng = np.random.default_rng(10)
    inside = [covers(equal_recipes(recipes, seeds, rng), "fixed", np.zeros(recipes)) for _ in range(400)]
    shares = np.mean(inside, axis=1)
    assert shares.mean() == pytest.approx(0.955, abs=3 * shares.std() / math.sqrt(len(shares)) + 0.01)


def test_pair_intervals_cover_where_seeds_are_unequal() -> None:
    rng = np.random.default_rng(11)
    inside = []
    for _ in range(400):
        table = 1.5 + 0.02 * rng.standard_normal(4) + 0.01 * rng.standard_normal((6, 4))
        table[:2, 2:] = math.nan
        table[2, 1:] = math.nan
        inside.append(covers(measure_noise(from_scores(table, documents=1)), "fixed", np.zeros(6)).mean())
    assert np.mean(inside) > 0.94


def new_documents(rng: np.random.Generator, *, recipes: int, seeds: int) -> Evidence:
    """Two sets of 25 and 40 sources, 3 chunks each. Every effect has mean zero: true scores are all equal."""
    losses = {}
    for name, sources in (("a", 25), ("b", 40)):
        by_source = 60 * rng.standard_normal(sources) + 25 * rng.standard_normal((recipes, 1, sources))
        nats = 700 + np.repeat(by_source, 3, axis=-1)
        nats = nats + 3 * rng.standard_normal((1, seeds, 1)) + 3 * rng.standard_normal((recipes, seeds, 1))
        losses[name] = nats + 30 * rng.standard_normal((recipes, seeds, sources * 3))
    sets = [one_set("a", 75, share=0.4, a_cluster=3), one_set("b", 120, share=0.6, a_cluster=3)]
    return from_nats(sets, losses)


def test_pair_and_score_intervals_on_new_documents_cover_at_their_level() -> None:
    rng = np.random.default_rng(12)
    truth = 0.7 / math.log(2)
    pairs, scores = [], []
    for _ in range(400):
        noise = measure_noise(new_documents(rng, recipes=5, seeds=3))
        pairs.append(covers(noise, "random", np.full(5, truth)).mean())
        spread = spread_of_scores(noise, "random")
        assert spread is not None
        scores.append((np.abs(noise.mean_R - truth) <= half_widths(spread, 0.95)).mean())
    assert 0.935 < np.mean(pairs) < 0.975
    assert 0.925 < np.mean(scores) < 0.975


def test_leaving_new_documents_out_of_account_would_cover_far_less() -> None:
    rng = np.random.default_rng(13)
    runs = [measure_noise(new_documents(rng, recipes=5, seeds=3)) for _ in range(150)]
    assert np.mean([covers(noise, "fixed", np.zeros(5)).mean() for noise in runs]) < 0.9


@pytest.mark.parametrize(("recipes", "seeds"), [(6, 3), (20, 2)])
def test_a_leaderboard_of_equal_recipes_makes_a_false_claim_in_at_most_five_percent(recipes: int, seeds: int) -> None:
    rng = np.random.default_rng(14)
    boards = 500
    false_claims, marginal = 0, 0
    for _ in range(boards):
        noise = equal_recipes(recipes, seeds, rng)
        difference_RR = noise.mean_R[:, None] - noise.mean_R[None, :]
        resolved = resolve_pairs(difference_RR, noise, "fixed", 0.95)
        assert resolved is not None
        false_claims += bool(resolved.any())
        marginal += bool((covers(noise, "fixed", np.zeros(recipes)) == 0).any())
    assert false_claims / boards < 0.05 + 3 * math.sqrt(0.05 * 0.95 / boards)
    assert marginal / boards > 0.2


def test_score_intervals_include_what_a_seed_does_to_every_recipe() -> None:
    """With a shared seed effect twice the recipes' own noise; an interval from the own noise alone covers under .7."""
    rng = np.random.default_rng(15)
    shares = []
    for _ in range(400):
        noise = equal_recipes(8, 3, rng)
        spread = spread_of_scores(noise, "fixed")
        assert spread is not None
        shares.append((np.abs(noise.mean_R - 1.5) <= half_widths(spread, 0.95)).mean())
    assert np.mean(shares) > 0.9


def test_the_leaders_chance_is_near_how_often_it_is_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 recipes, 2 seeds, true spread half of a run's noise: flat draws say about .41."""
    monkeypatch.setattr("proxy.ranking.best.DRAWS", 500)
    rng = np.random.default_rng(16)
    said, hits = [], []
    for _ in range(250):
        truth = 0.5 * rng.standard_normal(20)
        mean_R = truth + rng.standard_normal(20) / math.sqrt(2)
        variance = rng.chisquare(19) / 19 / 2
        chances = chances_of_being_best(mean_R, variance * np.eye(20), 19, rng)
        said.append(chances.p_best_R.max())
        hits.append(truth.argmin() == mean_R.argmin())
    assert np.mean(said) == pytest.approx(np.mean(hits), abs=0.09)
    assert np.mean(said) < 0.3
