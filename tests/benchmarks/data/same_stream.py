"""Random recipes on many made-up machines: the properties of tests/proxy/data/test_same_stream.py, tried more often.

`python -m tests.benchmarks.data.same_stream` prints the row.
"""

import random
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.benchmarks.figures import Row, at_least, at_most
from tests.proxy.data.test_same_stream import budgets, check_same_stream, check_slices, make_layouts, seeds
from tests.proxy.recipes.random_recipes import Body, recipes

EXAMPLES, MACHINES = 600, 8
LEAST_PLANNED = 0.5  # a property of recipes that are all refused would say little


def same_stream_figures() -> list[Row]:
    """Whether any recipe's stream differs, of many that are tried, and how many of these had a stream at all."""
    found: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        layouts = make_layouts(Path(folder), MACHINES)

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(recipes(), budgets, seeds, st.randoms(use_true_random=False), budgets, budgets)
        def check(body: Body, budget: int, seed: int, rng: random.Random, start: int, count: int) -> None:
            check_same_stream(layouts, body, budget, seed, rng)
            found.append(check_slices(rng.choice(layouts), body, budget, seed, start, count))

        differs = _fails(check)
    words = f"{len(found):,} random recipes on {MACHINES} machines, one of them with 2 processes"
    return [
        at_most(f"streams, fingerprints, quotas or slices that differ, of {words}", int(differs), 0),
        at_least("share of these recipes that leave enough to plan", sum(found) / len(found), LEAST_PLANNED),
    ]


def _fails(check: Callable[[], None]) -> bool:
    try:
        check()
    except AssertionError:
        traceback.print_exc()
        return True
    return False


if __name__ == "__main__":
    for row in same_stream_figures():
        print(row["holds"], f"{row['value']:.4g}", row["must"], row["figure"], sep="\t", flush=True)
