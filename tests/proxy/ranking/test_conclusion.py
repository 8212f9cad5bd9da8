import numpy as np
import pytest

from proxy.ranking.agreement import measure_agreement
from proxy.ranking.conclusion import conclude
from proxy.ranking.metrics import known_direction
from proxy.ranking.tuning import Label


def sentence(noise: float, n: int, labels: list[Label] | None = None, sign: int = 1) -> str:
    rng = np.random.default_rng(7)
    truth = np.arange(n) / n
    proxy = sign * (truth + noise * rng.normal(size=n))
    return conclude(measure_agreement(proxy, truth, "lower", rng), labels or [Label.TUNED] * n)


@pytest.mark.parametrize(
    ("noise", "n", "grade"),
    [
        (0.01, 40, "Strong evidence: 40 recipes (Spearman "),
        (0.15, 40, "Moderate evidence: 40 recipes (Spearman "),
        (0.45, 40, "Weak evidence: 40 recipes (Spearman "),
        (5.0, 40, "Weak evidence: 40 recipes (Spearman "),
        (0.01, 6, "Moderate evidence: 6 recipes (Spearman 1.00, "),
        (0.01, 4, "No evidence: only 4 recipes have"),
    ],
)
def test_the_grade_follows_the_lower_limit(noise: float, n: int, grade: str) -> None:
    assert sentence(noise, n).startswith(grade)


def test_an_interval_that_includes_zero_rules_nothing_out() -> None:
    assert "do not rule out that the proxy says nothing" in sentence(5.0, 40)


def test_a_reversed_order_is_evidence_against() -> None:
    assert sentence(0.1, 20, sign=-1).startswith("Evidence against this proxy: 20 recipes (Spearman −")


def test_an_order_that_is_not_perfect_is_never_written_as_one() -> None:
    assert "1.00" not in sentence(0.01, 100)


def test_it_is_one_sentence_and_counts_the_tuned_references() -> None:
    said = sentence(0.1, 10, [Label.TUNED] * 2 + [Label.SINGLE] * 8)
    assert said.endswith("; 2 of the 10 references are known to be tuned.")
    assert said.count(". ") == 0
    assert sentence(0.1, 10).endswith("all references are tuned.")
    assert sentence(0.1, 10, [Label.SINGLE] * 10).endswith("none of the 10 references is known to be tuned.")


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("Bits per byte", "lower"), ("val_loss/pile_cc", "lower"), ("core_v1", "higher"), ("arc_accuracy", "higher")],
)
def test_a_metric_says_which_direction_is_better(metric: str, direction: str) -> None:
    assert known_direction(metric) == direction


@pytest.mark.parametrize("metric", ["", "elo", "lossless_ratio", "core"])
def test_a_metric_that_does_not_say_is_left_alone(metric: str) -> None:
    assert known_direction(metric) is None
