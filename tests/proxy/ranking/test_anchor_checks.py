"""A protocol whose anchors fail is refused, and one of whose anchors little is known is not."""

from collections.abc import Sequence

import pytest

from proxy.ranking.anchor_checks import SHARE_OF_PAIRS, AnchorRuns, refuse
from proxy.ranking.rate_search import Thresholds


def anchor(
    name: str, progress: Sequence[float | None] = (0.8, 0.8), failed: tuple[str, ...] = (), *, is_broken: bool = False
) -> AnchorRuns:
    """Two seeds on one set."""
    runs = [{"prose": value} for value in progress]
    return AnchorRuns(recipe=name, failed=failed, is_broken=is_broken, progress=runs)


def test_a_rate_search_and_the_refusal_ask_for_the_same() -> None:
    assert Thresholds().share_of_pairs == SHARE_OF_PAIRS


@pytest.mark.parametrize("low", [0, 1])
def test_nine_pairs_of_ten_are_enough(low: int) -> None:
    anchors = [anchor(f"a{index}", (0.2, 0.2) if index < low else (0.8, 0.8)) for index in range(10)]
    assert refuse(anchors) is None


def test_fewer_are_refused_with_numbers() -> None:
    anchors = [anchor(f"a{index}", (0.2, 0.2) if index < 2 else (0.8, 0.8)) for index in range(10)]
    assert "on 8 of 10 (anchor, set) pairs" in (refuse(anchors) or "")


def test_a_pair_is_the_mean_of_its_seeds() -> None:
    assert refuse([anchor("a", (0.4, 0.7))]) is None
    assert refuse([anchor("a", (0.4, 0.5))]) is not None


def test_an_anchor_that_broke_or_stands_still_is_named() -> None:
    assert "b (diverged)" in (refuse([anchor("a"), anchor("b", failed=("diverged",), is_broken=True)]) or "")
    assert "numerical floor" in (refuse([anchor("a"), anchor("b", failed=("numerical floor",))]) or "")
    assert refuse([anchor("a", failed=("progress", "epochs"))]) is None  # the worst set of one seed decides nothing


def test_what_is_not_known_refuses_nothing() -> None:
    assert refuse([]) is None
    assert refuse([anchor("a", (None, None))]) is None
