"""Axes, bars, and labels that do not cover each other."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.charts import Box, Scale, around, bar_scale, fences, make_scale, place_bar
from api.dashboard.scatter import CHARACTER_WIDTH, NARROW, WIDE, Frame, Label, draw_scatter, rank_places
from tests.api.dashboard import samples

finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))


@given(st.lists(finite, min_size=1, max_size=30))
def test_every_value_lies_inside_its_scale(values: list[float]) -> None:
    scale = make_scale(values, 0.0, 100.0)
    assert all(0.0 <= scale(value) <= 100.0 for value in values)


@given(finite, st.floats(1e-4, 1e5), st.integers(2, 8))
def test_ticks_are_round_inside_and_evenly_spaced(low: float, span: float, count: int) -> None:
    ticks = Scale(low=low, high=low + span, start=0.0, end=1000.0).ticks(count)
    gaps = [b.at - a.at for a, b in itertools.pairwise(ticks)]
    assert 0 < len(ticks) <= 3 * count
    assert all(-0.1 <= tick.at <= 1000.1 for tick in ticks)
    assert max(gaps, default=0) - min(gaps, default=0) < 0.1
    assert len({tick.label for tick in ticks}) == len(ticks)


def test_ticks_say_what_the_step_needs() -> None:
    labels = [tick.label for tick in Scale(low=-0.011, high=0.021, start=0, end=100).ticks(3)]
    assert labels == ["−0.01", "0.00", "0.01", "0.02"]


def test_a_far_out_recipe_does_not_squeeze_the_others() -> None:
    spans = [(value - 0.01, value + 0.01, value) for value in (1.90, 1.91, 1.92, 1.93, 1.94, 9.0)]
    scale = bar_scale(spans)
    assert scale is not None
    bars = [place_bar(scale, span) for span in spans]
    assert [bar.beyond for bar in bars] == [0, 0, 0, 0, 0, 1]
    assert bars[4].at - bars[0].at > 50
    assert all(0 <= bar.low <= bar.at <= bar.high <= 100 for bar in bars)
    assert place_bar(scale, (None, None, 0.1)).beyond == -1


def test_a_score_without_an_interval_is_still_a_visible_line() -> None:
    scale = bar_scale([(None, None, 1.9)])
    assert scale is not None
    bar = place_bar(scale, (None, None, 1.9))
    assert bar.low == bar.high == bar.at
    assert bar.width > 0
    assert bar_scale([]) is None


def test_fences_need_four_values_that_differ() -> None:
    assert fences([1.0, 2.0, 900.0]) == (-math.inf, math.inf)
    assert fences([1.0, 1.0, 1.0, 1.0, 5.0]) == (-math.inf, math.inf)
    assert fences([1.0, 2.0, 3.0, 4.0])[1] < 20


def box_of(label: Label) -> Box:
    width = CHARACTER_WIDTH * len(label.text)
    left = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
    return Box(left=left, top=label.y - 9, right=left + width, bottom=label.y + 2)


@pytest.mark.parametrize("frame", [WIDE, NARROW], ids=lambda frame: frame.name)
@pytest.mark.parametrize("ranks", [False, True])
def test_no_label_covers_another_or_a_point_or_leaves_the_drawing(frame: Frame, ranks: bool) -> None:
    scatter = draw_scatter(samples.agreement_body()["points"], frame, "lower", ranks=ranks)
    assert scatter is not None
    labels = [box_of(mark.label) for mark in scatter.marks if mark.label]
    marks = [around(mark.x, mark.y, 4.0) for mark in scatter.marks]
    assert len(labels) >= 10
    assert not any(one.overlaps(other) for one, other in itertools.combinations(labels, 2))
    assert not any(label.overlaps(mark) for label in labels for mark in marks)
    assert all(frame.area.contains(box) for box in labels)
    assert (scatter.diagonal is not None) == ranks


def test_a_far_out_point_stands_at_the_edge_and_says_its_values() -> None:
    scatter = draw_scatter(samples.agreement_body()["points"], WIDE, "lower")
    assert scatter is not None
    garbage = next(mark for mark in scatter.marks if mark.recipe == "garbage-40")
    assert scatter.has_marks_beyond
    assert garbage.shape == "beyond"
    assert garbage.label is not None
    assert "(2.34, " in garbage.label.text


def test_crowded_points_are_numbered_instead_of_named() -> None:
    points = [
        {
            "recipe": f"a-rather-long-name-{i}",
            "proxy": 1 + (i % 5) * 1e-3,
            "reference": 1 + (i // 5) * 1e-3,
            "label": "tuned",
        }
        for i in range(25)
    ]
    scatter = draw_scatter(points, NARROW, "lower")
    assert scatter is not None
    texts = [mark.label.text for mark in scatter.marks if mark.label]
    assert any(text.isdigit() for text in texts)
    numbers = {str(mark.number) for mark in scatter.marks if mark.label and mark.label.text.isdigit()}
    assert numbers == {text for text in texts if text.isdigit()}


def test_rank_one_is_the_best_on_both_axes() -> None:
    points = [{"recipe": name, "proxy": p, "reference": r} for name, p, r in (("a", 1, 9), ("b", 2, 7), ("c", 2, 8))]
    assert rank_places(points, "higher") == [(1, 1), (2.5, 3), (2.5, 2)]
    assert rank_places(points, "lower") == [(1, 3), (2.5, 1), (2.5, 2)]
    assert draw_scatter([], WIDE, "lower") is None


def test_better_is_up_only_where_higher_values_are() -> None:
    points = [{"recipe": "a", "proxy": 1.0, "reference": 0.5, "label": None}]
    higher, ranks = draw_scatter(points, WIDE, "higher"), draw_scatter(points, WIDE, "higher", ranks=True)
    assert higher is not None
    assert ranks is not None
    assert higher.is_higher_better
    assert not ranks.is_higher_better
