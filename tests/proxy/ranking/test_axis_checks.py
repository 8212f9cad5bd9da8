import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.axis_checks import COIN_BRIER, check_axes
from proxy.ranking.targets import Calibrant, Candidate, predict_at_target


def kinds(*, shift_of_filter: float = 0.0, n: int = 30, slope_of_filter: float = 1.0) -> list[Calibrant]:
    rng = np.random.default_rng(0)
    found = []
    for place in range(n):
        axis = ("mixture", "dedup", "filter")[place % 3]
        proxy = float(rng.uniform(3, 3.5))
        slope, shift = (slope_of_filter, shift_of_filter) if axis == "filter" else (1.0, 0.0)
        reference = slope * proxy + shift + 0.03 * rng.standard_normal()
        found.append(Calibrant(recipe=f"r{place}", proxy=proxy, reference=float(reference), axis=axis))
    return found


def test_each_axis_is_asked_about_every_pair_that_holds_one_of_its_recipes() -> None:
    found = check_axes(kinds(), "lower")
    assert [check.axis for check in found] == ["dedup", "filter", "mixture"]
    for check in found:
        assert check.recipes == 10
        assert check.answered_pairs + check.refused_pairs == 10 * 9 / 2 + 10 * 20
        assert check.sign_accuracy is not None
        assert check.sign_accuracy > 0.85
        assert check.brier is not None
        assert check.brier < COIN_BRIER / 2


def test_an_axis_that_breaks_the_calibration_shows() -> None:
    found = {check.axis: check for check in check_axes(kinds(slope_of_filter=-1.0, shift_of_filter=6.5), "lower")}
    brier = found["filter"].brier
    assert brier is not None
    assert brier > COIN_BRIER


def test_figures_are_those_of_one_prediction_a_pair() -> None:
    calibrants = kinds(n=18)
    held = [entry for entry in calibrants if entry.axis == "filter"]
    others = [entry for entry in calibrants if entry.axis != "filter"]
    squares, hits, refused = [], [], 0
    for place, a in enumerate(held):
        for b in [*others, *held[place + 1 :]]:
            first, second = (
                Candidate(recipe=f"new-{entry.recipe}", proxy=entry.proxy, seed_variance=0.0) for entry in (a, b)
            )
            p = predict_at_target(others, first, second, "lower").p_better
            if p is None:
                refused += 1
            else:
                squares.append((p - (a.reference < b.reference)) ** 2)
                hits.append((p > 0.5) == (a.reference < b.reference))
    check = next(check for check in check_axes(calibrants, "lower") if check.axis == "filter")
    assert (check.answered_pairs, check.refused_pairs) == (len(squares), refused)
    assert check.brier == pytest.approx(np.mean(squares))
    assert check.sign_accuracy == pytest.approx(np.mean(hits))


def test_ties_count_half_and_match_only_ties() -> None:
    others = [Calibrant(recipe=f"o{i}", proxy=float(i), reference=float(i + (-1) ** i), axis="known") for i in range(6)]

    def squares(first: float, second: float) -> tuple[float, float]:
        """Sums over all pairs, with two new recipes of equal proxy scores: between them the chance is ½."""
        new = [
            Calibrant(recipe=f"t{i}", proxy=2.5, reference=value, axis="new") for i, value in enumerate((first, second))
        ]
        check = next(check for check in check_axes([*others, *new], "lower") if check.axis == "new")
        assert check.answered_pairs == 13
        assert check.brier is not None
        assert check.sign_accuracy is not None
        return check.brier * 13, check.sign_accuracy * 13

    tied, apart = squares(2.5, 2.5), squares(2.5, 2.6)  # the same order against every other recipe
    assert apart[0] - tied[0] == pytest.approx(0.25)
    assert tied[1] - apart[1] == pytest.approx(1)


def test_pairs_where_only_an_outlier_has_been_are_refused() -> None:
    calibrants = [entry for entry in kinds() if entry.axis != "filter"]
    far = Calibrant(recipe="far", proxy=4.0, reference=9.0, axis="mixture")
    held = [Calibrant(recipe=f"h{i}", proxy=3.9, reference=3.9, axis="held") for i in range(2)]
    check = next(check for check in check_axes([*calibrants, far, *held], "lower") if check.axis == "held")
    assert (check.answered_pairs, check.refused_pairs) == (0, 43)


def test_an_axis_without_which_too_few_are_left_is_told() -> None:
    calibrants = kinds(n=7)  # 3, 2 and 2
    found = {check.axis: check for check in check_axes(calibrants, "lower")}
    assert found["mixture"].refusal is not None
    assert "Only 4 recipes" in found["mixture"].refusal
    assert found["mixture"].brier is found["mixture"].sign_accuracy is None
    assert "Only 4" not in (found["dedup"].refusal or "")


def test_an_axis_wholly_outside_the_others_range_is_told() -> None:
    far = [Calibrant(recipe=f"f{i}", proxy=9.0 + i, reference=float(i), axis="far") for i in range(2)]
    check = next(check for check in check_axes([*kinds(), *far], "lower") if check.axis == "far")
    assert check.refusal is not None
    assert check.answered_pairs == 0
    assert check.refused_pairs == 61


def test_one_axis_or_none_cannot_be_held_out() -> None:
    same = [Calibrant(recipe=entry.recipe, proxy=entry.proxy, reference=entry.reference) for entry in kinds()]
    assert check_axes(same, "lower") == []
    assert check_axes([], "lower") == []


def test_a_score_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidInputError, match="/calibrants/30/proxy"):
        check_axes([*kinds(), Calibrant(recipe="bad", proxy=float("nan"), reference=1.0)], "lower")
