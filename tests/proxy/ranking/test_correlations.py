import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from proxy.ranking.correlations import correlate, draw_resamples, spearman_of_rows
from proxy.ranking.evidence import Float64Array

scores = st.lists(st.integers(-3, 3), min_size=3, max_size=9).filter(lambda values: len(set(values)) > 1)


def once(x: Float64Array, y: Float64Array) -> dict[str, float]:
    figures = correlate(x, y, np.ones((1, len(x))))
    return {name: float(values[0]) for name, values in vars(figures).items()}


@given(scores, st.integers(0, 2**32 - 1))
def test_all_figures_are_those_of_scipy_and_of_counting_pairs_with_ties(values: list[int], seed: int) -> None:
    x = np.array(values, dtype=float)
    y = np.random.default_rng(seed).integers(-2, 3, len(x)).astype(float)
    y[np.argmax(x)] = 5  # never constant
    found = once(x, y)
    assert found["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found["kendall"] == pytest.approx(stats.kendalltau(x, y).statistic)
    assert found["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic)
    pairs = [(i, j) for i in range(len(x)) for j in range(i)]
    matches = [np.sign(x[i] - x[j]) == np.sign(y[i] - y[j]) for i, j in pairs]
    assert found["decision_accuracy"] == pytest.approx(np.mean(matches))


def test_spearman_of_many_rows_is_that_of_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ties, in more than one part; a row that is constant on one side has none."""
    monkeypatch.setattr("proxy.ranking.correlations.MOST_SIGNS", 3 * 49)
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 4, (11, 7)).astype(float), rng.standard_normal((11, 7))
    x[4] = 2.0
    found = spearman_of_rows(x, y)
    assert np.isnan(found[4])
    for row in set(range(11)) - {4}:
        assert found[row] == once(x[row], y[row])["spearman"]


def test_a_resample_is_measured_like_its_rows_but_without_pairs_of_copies() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(8), rng.standard_normal(8)
    weights = draw_resamples(8, 5, rng)
    figures = correlate(x, y, weights)
    for b, counts in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(8), counts)
        assert figures.spearman[b] == pytest.approx(stats.spearmanr(x[rows], y[rows]).statistic)
        assert figures.pearson[b] == pytest.approx(stats.pearsonr(x[rows], y[rows]).statistic)
        apart = [(i, j) for i in rows for j in rows if i < j]
        signs = [np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in apart]
        assert figures.kendall[b] == pytest.approx(np.mean(signs))
        assert figures.decision_accuracy[b] == pytest.approx(np.mean(np.array(signs) > 0))


def test_every_resample_draws_as_many_recipes_as_there_are() -> None:
    weights = draw_resamples(7, 300, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 7).all()
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("x", [[1.0, 1.0, 1.0], [0.1 + 0.2, 0.3 + 1e-17, 0.1 + 0.2]])
def test_a_constant_side_leaves_correlations_undefined_and_accuracy_counted(x: list[float]) -> None:
    values = np.full(3, x[0])
    found = once(values, np.array([1.0, 2.0, 2.0]))
    assert np.isnan([found["spearman"], found["kendall"], found["pearson"]]).all()
    assert found["decision_accuracy"] == pytest.approx(1 / 3)


def test_a_perfect_order_is_exactly_one_whatever_the_scale() -> None:
    x = np.array([1e-160, 2e-160, 3e-160, 5e-160])
    found = once(x, np.exp(np.arange(4.0)))
    assert found["spearman"] == found["kendall"] == found["decision_accuracy"] == 1.0
    assert 0 < found["pearson"] <= 1
