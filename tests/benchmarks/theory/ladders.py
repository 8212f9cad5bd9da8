"""Proxies of every width, rate and budget against tuned references, over many random sets of recipes.

A reference is what a team would deploy: a model at least four times as wide, trained long, at the recipe's own best
rate. A proxy is one training at a rate that all recipes share; all see the same W, as proxies share their weight seed.

Axes: K sets of recipes, R recipes, W widths, E rates, T budgets.
"""

from dataclasses import dataclass

import numpy as np

from proxy.ranking.correlations import correlate
from tests.benchmarks.theory.model import Array, Recipe, Training, draw_features, expected_losses, see_through
from tests.benchmarks.theory.recipes import FUNCTIONS, Kind, draw_recipes

RECIPES = 16
BATCH = 4
WIDTHS_W = (8, 16, 32, 64)
RATES_E: Array = np.array([2.0**power for power in range(-10, 2)])
STEPS_T: Array = np.array([4.0**power for power in range(3, 10)])  # 64 to 262,144
REFERENCE_WIDTH = 256
# Far down as well: where the foreign share hurts more than the rest helps, the best is to stop early.
REFERENCE_RATES_E: Array = 2.0 ** np.array([-18, -15, -12, *range(-10, 0)])
REFERENCE_STEPS_T: Array = STEPS_T[-1:]


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """What proxies of one kind of recipes say; the common optimum and own optima are indices into RATES_E."""

    spearman_KWET: Array  # with the references; 0 where every recipe ties
    accuracy_KWET: Array  # pairwise decision accuracy
    progress_KWET: Array  # mean over recipes of (1 − loss) / (1 − loss of that width's own optimum)
    common_KWT: Array  # where the recipes' mean loss is lowest
    own_KWTR: Array
    inside_K: Array  # share of references whose best rate is not at the grid's edge
    limit_K: Array  # Spearman of the references with the wide model's loss in the limit


def climb(kind: Kind, sets: int, seed: int) -> Ladder:
    """About a second a set of recipes."""
    drawn = [_climb_set(kind, rng) for rng in np.random.default_rng(seed).spawn(sets)]
    return Ladder(**{name: np.stack([one[name] for one in drawn]) for name in drawn[0]})


def rank_agreement(proxy_R: Array, reference_R: Array) -> tuple[float, float]:
    """Spearman's ρ and decision accuracy of two lists of losses; 0 and 0 where one of them is all ties."""
    found = correlate(-proxy_R, -reference_R, np.ones((1, len(proxy_R))))
    return float(np.nan_to_num(found.spearman[0])), float(np.nan_to_num(found.decision_accuracy[0]))


def _climb_set(kind: Kind, rng: np.random.Generator) -> dict[str, Array]:
    validation, recipes = draw_recipes(kind, RECIPES, rng)
    wide = _see_all(REFERENCE_WIDTH, recipes, validation, rng)
    swept_RE = _proxy_losses(wide, REFERENCE_RATES_E, REFERENCE_STEPS_T)[:, :, 0]
    best_R, reference_R = swept_RE.argmin(axis=1), swept_RE.min(axis=1)
    narrow_WR = [_see_all(width, recipes, validation, rng) for width in WIDTHS_W]
    losses_WRET = np.stack([_proxy_losses(narrow, RATES_E, STEPS_T) for narrow in narrow_WR])
    floor_WR = np.array([[one.floor for one in narrow] for narrow in narrow_WR])
    spearman_WET, accuracy_WET = _agreements(losses_WRET, reference_R)
    return {
        "spearman_KWET": spearman_WET,
        "accuracy_KWET": accuracy_WET,
        "progress_KWET": ((1 - losses_WRET) / (1 - floor_WR[:, :, None, None])).mean(axis=1),
        "common_KWT": losses_WRET.mean(axis=1).argmin(axis=1),
        "own_KWTR": losses_WRET.argmin(axis=2).transpose(0, 2, 1),
        "inside_K": np.mean((best_R > 0) & (best_R < len(REFERENCE_RATES_E) - 1)),
        "limit_K": np.array(rank_agreement(reference_R, np.array([one.floor for one in wide]))[0]),
    }


def _see_all(width: int, recipes: list[Recipe], validation: Recipe, rng: np.random.Generator) -> list[Training]:
    features_MD = draw_features(width, FUNCTIONS, rng)
    return [see_through(features_MD, recipe, validation) for recipe in recipes]


def _proxy_losses(trainings: list[Training], rates_E: Array, steps_T: Array) -> Array:
    return np.stack([expected_losses(training, rates_E, steps_T, BATCH) for training in trainings])


def _agreements(losses_WRET: Array, reference_R: Array) -> tuple[Array, Array]:
    losses_WETR = np.moveaxis(losses_WRET, 1, -1)
    found_C2 = np.array([rank_agreement(proxy_R, reference_R) for proxy_R in losses_WETR.reshape(-1, RECIPES)])
    shape = losses_WETR.shape[:-1]
    return found_C2[:, 0].reshape(shape), found_C2[:, 1].reshape(shape)
