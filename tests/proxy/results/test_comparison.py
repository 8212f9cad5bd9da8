import json

import numpy as np
import pytest
from scipy import stats

from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction
from proxy.results.comparison import MOST_RECIPES, Comparison, compare_tables
from proxy.results.scores import ScoreTable, read_scores


def table(name: str, rows: list[str], header: str = "recipe,value", direction: Direction = "lower") -> ScoreTable:
    return read_scores("\n".join([header, *rows]).encode(), name, direction)


def compare(proxy: ScoreTable, reference: ScoreTable, direction: Direction = "lower") -> Comparison:
    return compare_tables(proxy, reference, direction, direction)


def line_up(values: list[float], name: str) -> ScoreTable:
    return table(name, [f"r{index},{value}" for index, value in enumerate(values)])


def test_seeds_are_averaged_and_a_reference_is_its_best_setting() -> None:
    proxy = table("p", ["a,1,0", "a,3,1", "b,1.5,0", "c,9,0"], "recipe,value,seed")
    rows = ["a,1.0,1e-4,0", "a,5.0,1e-4,1", "a,2.0,1e-3,0", "b,4,1e-3,0", "c,8,1e-3,0"]
    found = compare(proxy, table("r", rows, "recipe,value,learning_rate,seed"))
    assert [(point.recipe, point.proxy, point.reference) for point in found.points] == [
        ("b", 1.5, 4.0),
        ("a", 2.0, 2.0),
        ("c", 9.0, 8.0),
    ]
    assert {point.recipe: point.label for point in found.points} == {
        "a": "swept, at the edge",
        "b": "single",
        "c": "single",
    }


def test_figures_are_those_of_scipy() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=30)
    y = x + rng.normal(size=30)
    found = compare(line_up(list(x), "p"), line_up(list(y), "r"), "higher")
    assert found.figures.spearman == pytest.approx(stats.spearmanr(x, y)[0])
    assert found.figures.kendall == pytest.approx(stats.kendalltau(x, y)[0])
    assert found.points[0].proxy == max(x)


def test_a_proxy_with_two_settings_is_refused_by_name() -> None:
    proxy = table("p.csv", ["a,1,1", "a,2,1", "b,1,1", "b,1,2", "b,2,3"][1:], "recipe,value,batch")
    with pytest.raises(InvalidInputError) as refused:
        compare(proxy, line_up([1.0], "r"))
    assert [(one.pointer, one.value) for one in refused.value.problems] == [("p.csv line 4, column recipe", "b")]


def test_recipes_of_one_table_only_are_a_note() -> None:
    found = compare(line_up([1.0, 2.0, 3.0], "p"), table("r", ["r0,1", "r1,2", "x,3", "y,4"]))
    assert (found.only_in_proxy, found.only_in_reference) == (("r2",), ("x", "y"))
    assert found.notes == (
        "Left out because there is no reference: 1 recipe (r2).",
        "Left out because there is no proxy score: 2 recipes (x, y).",
    )


def test_tables_without_a_common_recipe_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no recipe is in both tables"):
        compare(line_up([1.0], "p"), table("r", ["a,1"]))


@pytest.mark.parametrize("n", [1, 3])
def test_a_few_references_are_no_evidence(n: int) -> None:
    values = [float(value) for value in range(n)]
    found = compare(line_up(values, "p"), line_up(values, "r"))
    assert (found.figures.n, found.figures.spearman_low, found.figures.is_evidence) == (n, None, False)
    assert found.conclusion.startswith(f"No evidence: only {n} recipe")


def test_equal_scores_are_no_evidence() -> None:
    found = compare(line_up([1.0] * 8, "p"), line_up([float(value) for value in range(8)], "r"))
    assert found.conclusion == "No evidence: all 8 proxy scores are equal: rank correlation is undefined."
    assert found.figures.spearman is None


def test_a_recipe_whose_runs_were_all_given_up_has_no_reference() -> None:
    reference = table("r", ["r0,1,no", "r1,,yes"], "recipe,value,stopped_early")
    found = compare(line_up([1.0, 2.0], "p"), reference)
    assert (found.figures.n, found.only_in_proxy) == (1, ("r1",))


def test_axes_with_enough_recipes_have_figures_of_their_own() -> None:
    rows = [f"r{index},{index},{'filter' if index < 6 else 'dedup'}" for index in range(9)]
    proxy = table("p", rows, "recipe,value,axis")
    found = compare(proxy, line_up([5.0, 4, 3, 2, 1, 0, 6, 7, 8], "r"))
    assert set(found.by_axis) == {"filter"}
    assert (found.by_axis["filter"].n, found.by_axis["filter"].spearman) == (6, -1.0)
    assert "Axis dedup: 3 of 5 recipes" in found.notes[0]


def test_axes_that_contradict_each_other_are_refused() -> None:
    proxy = table("p", ["a,1,filter"], "recipe,value,axis")
    with pytest.raises(InvalidInputError, match="on axis 'dedup' in r"):
        compare(proxy, table("r", ["a,1,dedup"], "recipe,value,axis"))


def test_the_same_tables_give_the_same_json_without_nan() -> None:
    rng = np.random.default_rng(1)
    tables = line_up(list(rng.normal(size=20)), "p"), line_up(list(rng.normal(size=20)), "r")
    first, second = (json.dumps(compare(*tables).as_json(), allow_nan=False) for _ in range(2))
    assert first == second


def test_more_recipes_than_memory_should_pay_for_are_refused() -> None:
    many = line_up([float(value) for value in range(MOST_RECIPES + 1)], "p")
    with pytest.raises(InvalidInputError, match="at most 3,000 recipes"):
        compare(many, many)
