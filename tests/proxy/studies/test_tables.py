"""Tables of a study with orders that are known."""

from dataclasses import replace

import pytest

from proxy.studies.tables import Point, standard_rate, tabulate

REFERENCE = {f"r{index}": 3.0 + 0.1 * index for index in range(8)}
LABELS = ["tuned"] * 6 + ["swept, at the edge"] * 2


def points(order: list[int]) -> list[Point]:
    """Recipes whose proxy scores rise in this order."""
    return [
        Point(
            recipe=recipe,
            proxy=4.0 + 0.05 * order.index(index),
            reference=value,
            label=LABELS[index],
            proxy_error=0.001,
            axis="mixture" if index < 4 else "filter",
            kind="easy" if index == 7 else None,
        )
        for index, (recipe, value) in enumerate(REFERENCE.items())
    ]


def scores(*rows: list[Point]) -> dict[float, dict[str, float]]:
    return {10.0 ** -(3 - place): {p.recipe: p.proxy + place for p in row} for place, row in enumerate(rows)}


def test_a_perfect_rate_and_a_reversed_one_are_told_apart() -> None:
    same, reverse = points(list(range(8))), points(list(range(8))[::-1])
    table = tabulate({1e-2: reverse, 1e-3: same}, scores(same, reverse))
    low, high = table.rows
    assert (low.rate, low.figures.spearman, low.figures.regret_at_1) == (1e-3, 1.0, 0.0)
    assert (high.rate, high.figures.spearman) == (1e-2, -1.0)
    assert high.figures.regret_at_1 == pytest.approx(0.7)
    assert low.figures.chance["decision_accuracy"] == 0.5
    assert (low.is_standard, high.is_standard, table.standard) == (True, False, 1e-3)
    difference = table.differences[0]
    assert (difference.rate, difference.against, difference.n) == (1e-3, 1e-2, 8)
    assert (difference.spearman.estimate, difference.spearman.high) == (2.0, 2.0)
    assert difference.spearman.low == pytest.approx(1.80, abs=0.005)  # eight recipes are no proof of a perfect order


def test_parts_are_of_the_recipes_they_name() -> None:
    mixed_up = [0, 1, 2, 3, 7, 6, 5, 4]  # right among the mixtures, wrong among the filters
    table = tabulate({1e-3: points(mixed_up)}, scores(points(mixed_up)))
    row = table.rows[0]
    assert row.parts.by_axis["mixture"].spearman == 1.0
    assert row.parts.by_axis["filter"].spearman == -1.0
    assert row.parts.without_easy is not None
    assert row.parts.without_easy.n == 7
    assert row.tuned is not None
    assert row.tuned.n == 6
    assert row.parts.ceiling == pytest.approx(1, abs=1e-3)


def test_repetition_is_a_table_of_its_own() -> None:
    repeated = [
        Point(recipe=f"x{index}", proxy=9.0 + index, reference=1.0 + index, label="tuned", axis="repetition")
        for index in range(3)
    ]
    own = points(list(range(8)))
    row = tabulate({1e-3: [*own, *repeated]}, scores(own)).rows[0]
    assert row.figures.n == 8
    assert row.repetition is not None
    assert (row.repetition.n, row.repetition.spearman) == (3, 1.0)


def test_differences_are_of_the_recipes_that_both_rates_have() -> None:
    own = points(list(range(8)))
    assert tabulate({1e-3: own[:5], 1e-2: own[2:]}, scores(own, own)).differences[0].n == 3


def test_a_rate_at_which_a_recipe_broke_is_not_the_standard_one() -> None:
    """What broke everywhere says nothing about rates; what has not been trained at every rate does not count yet."""
    low, high = {"a": 4.0, "b": 4.2, "leaky": None}, {"a": 3.0, "b": None, "leaky": None, "later": 3.1}
    assert standard_rate({1e-3: low, 1e-2: high}) == 1e-3
    assert standard_rate({1e-3: {**low, "later": 4.1}, 1e-2: {**high, "b": 3.2}}) == 1e-2
    assert standard_rate({1e-3: {"a": None, "b": 4.0}, 1e-2: {"a": 4.0, "b": None}}) is None


def test_a_study_without_references_has_rows_that_say_so() -> None:
    table = tabulate({1e-3: [], 1e-2: []}, {1e-3: {"a": 4.0}, 1e-2: {"a": 3.9}})
    assert [row.figures.n for row in table.rows] == [0, 0]
    assert not table.rows[0].figures.is_evidence
    assert table.differences[0].spearman.estimate is None
    assert table.standard == 1e-2


def test_the_standard_rate_is_compared_on_recipes_that_all_rates_have() -> None:
    assert standard_rate({1e-3: {"a": 4.0, "b": 1.0}, 1e-2: {"a": 3.0}}) == 1e-2
    assert standard_rate({1e-3: {"a": 4.0}, 1e-2: {}}) is None
    assert standard_rate({}) is None


def test_what_noise_of_references_leaves_to_a_perfect_proxy_is_told_where_it_is_known() -> None:
    order = points(list(range(8)))
    assert tabulate({1e-3: order}, scores(order)).perfect is None
    known = [
        replace(point, reference_error=0.05, kind="easy" if index == 7 else None) for index, point in enumerate(order)
    ]
    table = tabulate({1e-3: known[:5], 1e-2: known}, scores(known[:5], known))
    assert table.perfect is not None
    assert table.perfect.estimate is not None
    assert 0.8 < table.perfect.estimate < 1
    assert table.perfect_without_easy is not None
    assert table.perfect_without_easy.estimate is not None
    assert tabulate({}, {1e-3: {}}).perfect is None
