"""`make bench-theory`: in random-feature models a small rate keeps the order of recipes and a large one breaks it.

Writes var/bench/theory.json, a list of {figure, value, must, holds}, and docs/benchmarks/theory.md with theory.svg.
"""

import sys

import numpy as np
from rich.console import Console

from tests.benchmarks.figures import Row, at_least, at_most, for_information
from tests.benchmarks.reports import ROOT, measure_parts, write_reports
from tests.benchmarks.theory import claims
from tests.benchmarks.theory.ladders import BATCH, Ladder, climb
from tests.benchmarks.theory.model import draw_features, expected_losses, see_through
from tests.benchmarks.theory.oracles import stepped_loss, trained_losses
from tests.benchmarks.theory.picture import draw_theory
from tests.benchmarks.theory.recipes import FUNCTIONS, KINDS, draw_recipes
from tests.benchmarks.theory.words import HEADING, conclusions

SETS = 32
SEED = 251224503


def main() -> int:
    """0 if every figure holds. About five minutes."""
    console = Console()
    ladders: dict[str, Ladder] = {}

    def check_model() -> list[Row]:
        ladders.update({kind: climb(drawn, SETS, SEED) for kind, drawn in KINDS.items()})
        return [*_model_errors(np.random.default_rng(SEED)), *_references(ladders)]

    found = measure_parts(
        {
            "The model and the references": check_model,
            "A small rate keeps the order, a large one breaks it": lambda: claims.kept_and_broken(ladders),
            "At equal steps, below the common best rate η*": lambda: claims.at_equal_steps(ladders),
            "At equal travel S = rate × steps": lambda: claims.equal_travel(ladders),
            "Where it stops: too little travel, too narrow": lambda: claims.limits(ladders),
            "The recipes' own best rates": lambda: claims.own_optima(ladders),
        },
        console,
    )
    draw_theory(ladders, ROOT / "docs" / "benchmarks" / "theory.svg")
    return write_reports("theory", HEADING, found, console, conclusions(claims.table_of_optima(ladders)))


def _model_errors(rng: np.random.Generator) -> list[Row]:
    """The closed form against its definition, on recipes of the benchmark."""
    validation, recipes = draw_recipes(KINDS["targets, noise, coverage"], 4, rng)
    features_MD = draw_features(12, FUNCTIONS, rng)
    errors, deviations = [], []
    for recipe in recipes:
        seen = see_through(features_MD, recipe, validation)
        for rate, steps in ((1e-3, 500), (0.03, 500), (0.3, 60)):
            closed = expected_losses(seen, np.array([rate]), np.array([float(steps)]), BATCH)[0, 0]
            errors.append(abs(closed / stepped_loss(features_MD, recipe, validation, rate, steps, BATCH) - 1))
        trained_N = trained_losses(features_MD, recipe, validation, 0.3, 60, BATCH, 200, rng)
        deviations.append(abs(trained_N.mean() - closed) / (trained_N.std(ddof=1) / np.sqrt(len(trained_N))))
    return [
        at_most(
            "closed form against the recursion stepped on whole matrices: largest relative error", max(errors), 1e-9
        ),
        at_most("closed form against the mean of 200 trainings on drawn examples: standard errors", max(deviations), 4),
    ]


def _references(ladders: dict[str, Ladder]) -> list[Row]:
    inside = min(float(ladder.inside_K.mean()) for ladder in ladders.values())
    rows = [at_least("references whose own best rate is inside the grid, lowest share of a kind", inside, 0.99)]
    rows += [
        for_information(
            f"Spearman of tuned references with the loss in their limit, mean: {kind}", ladder.limit_K.mean()
        )
        for kind, ladder in ladders.items()
    ]
    return rows


if __name__ == "__main__":
    sys.exit(main())
