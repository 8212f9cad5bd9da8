"""Random recipes: wherever and however they are said, the same token stream byte for byte; and exact quotas."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from proxy.data.plans import SamplingPlan
from proxy.errors import InvalidInputError
from proxy.recipes import Recipe, fingerprint_recipe
from tests.proxy.data.layouts import Layout, corpora, lay_out, tokenizer_of
from tests.proxy.recipes.random_recipes import Body, recipes, rewritten

MANY_PIECES = 12  # of one order twice by chance: one in 12!

budgets = st.integers(1, 4000)
seeds = st.integers(0, 2**64)
some = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> list[Layout]:
    return make_layouts(tmp_path_factory.mktemp("layouts"), 3)


def make_layouts(folder: Path, count: int) -> list[Layout]:
    """So many machines; the second one works with two processes."""
    records = corpora()
    tokenizer = tokenizer_of(records)
    return [lay_out(records, tokenizer, folder, seed, 2 if seed == 1 else 1) for seed in range(count)]


@some
@given(recipes(), budgets, seeds, st.randoms(use_true_random=False))
def test_a_recipe_is_the_same_stream_everywhere(
    layouts: list[Layout], body: Body, budget: int, seed: int, rng: random.Random
) -> None:
    check_same_stream(layouts, body, budget, seed, rng)


@some
@given(recipes(), budgets, seeds, budgets, budgets)
def test_quotas_are_the_budget_and_a_part_is_a_slice(
    layouts: list[Layout], body: Body, budget: int, seed: int, start: int, count: int
) -> None:
    check_slices(layouts[0], body, budget, seed, start, count)


def check_same_stream(layouts: Sequence[Layout], body: Body, budget: int, seed: int, rng: random.Random) -> None:
    """Said in other words on two machines: one fingerprint, and one stream or the same refusal on both."""
    streams = []
    for layout in rng.sample(list(layouts), 2):
        recipe = Recipe.model_validate(rewritten({**body, "name": f"r{rng.randrange(10)}"}, layout.names, rng))
        made = planned(layout, recipe, budget, seed)
        streams.append((fingerprint_recipe(recipe, layout.prints), None if made is None else made.stream().tobytes()))
    assert streams[0] == streams[1]
    event("refused" if streams[0][1] is None else "planned")


def check_slices(layout: Layout, body: Body, budget: int, seed: int, start: int, count: int) -> bool:
    """Every token of the budget belongs to a source, any part is a part of the whole, another seed gives another.
    False for a recipe that leaves too little."""
    recipe = Recipe.model_validate(rewritten(body, layout.names, random.Random(seed)))
    made = planned(layout, recipe, budget, seed)
    if made is None:
        return False
    stream = made.stream()
    assert len(stream) == budget + 1
    assert sum(report.drawn_tokens for report in made.report) == made.tokens == budget
    start = min(start, budget)
    assert made.read(start, count).tobytes() == stream[start : start + count].tobytes()
    other = planned(layout, recipe, budget, seed + 1)
    assert other is not None
    assert sum(report.drawn_tokens for report in other.report) == budget
    if is_shuffled(recipe) and len(set(zip(made.store_P.tolist(), made.row_P.tolist(), strict=True))) >= MANY_PIECES:
        assert other.stream().tobytes() != stream.tobytes()
    return True


def is_shuffled(recipe: Recipe) -> bool:
    return all(mixture.order.kind == "shuffled" for _, mixture, _ in recipe.mixtures())


def planned(layout: Layout, recipe: Recipe, budget: int, seed: int) -> SamplingPlan | None:
    """None for a recipe that leaves too little."""
    try:
        return layout.plan(recipe, budget, seed)
    except InvalidInputError:
        return None
