"""The ranking table and its answer."""

from typing import Any

import pytest

from api.dashboard import formats
from api.dashboard.agreement import metric_words, view_agreement, view_figures
from api.dashboard.ranking import view_ranking
from api.dashboard.selection import Selection
from tests.api.dashboard import samples


def names(body: dict[str, Any], **selected: str) -> list[str]:
    return [row.entry["recipe"]["name"] for row in view_ranking(body, Selection(**selected)).rows]


def test_the_answer_names_every_recipe_that_could_be_the_best() -> None:
    view = view_ranking(samples.leaderboard_body(), Selection())
    assert view.answer == "3 of 12 recipes could be the best: prose-heavy, balanced, long-documents."
    assert view.contenders == ("prose-heavy", "balanced", "long-documents")


def test_a_refused_ranking_says_why_and_shows_scores_without_ranks() -> None:
    body = samples.leaderboard_body(with_broken=False)
    claims = dict.fromkeys(("rank", "rank_low", "rank_high", "p_best")) | {"letters": ""}
    body |= {"refused": "The anchors fail.", "entries": [entry | claims for entry in body["entries"]]}
    view = view_ranking(body, Selection())
    assert view.answer == "The anchors fail."
    assert {row.rank for row in view.rows} == {formats.MISSING}
    assert all(row.bar is not None and row.is_broken for row in view.rows)


def one_body(*rows: tuple[Any, ...]) -> dict[str, Any]:
    return samples.leaderboard_body() | {"entries": [samples.entry(row) for row in rows]}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (one_body(), "No recipe could be ranked."),
        (one_body(("a", 1.9, 0.01, 1, 1, 1, 1.0, "a")), "One recipe is ranked. A ranking begins with the second."),
        (
            one_body(("a", 1.9, 0.01, 1, 1, 1, 1.0, "a"), ("b", 2.9, 0.01, 2, 2, 2, 0.0, "b")),
            "a is the best of 2 recipes, at 95 % confidence for all claims together.",
        ),
        (
            one_body(*((f"r{i}", 1.9, 0.01, i + 1, 1, 8, 0.1, "a") for i in range(8))),
            "8 of 8 recipes could be the best: r0, r1, r2, r3, r4 and 3 more.",
        ),
        (
            one_body(("a", 1.9, 0.01, 1, None, None, None, ""), ("b", 2.9, 0.01, 2, None, None, None, "")),
            "2 recipes are ranked; without intervals none can be told from another.",
        ),
    ],
)
def test_the_answer_claims_no_more_than_the_intervals_allow(body: dict[str, Any], answer: str) -> None:
    assert view_ranking(body, Selection()).answer == answer


def test_broken_recipes_come_last_in_every_order() -> None:
    for column in ("rank", "recipe", "score", "p_best", "seeds"):
        for order in (column, f"-{column}"):
            assert names(samples.leaderboard_body(), sort=order)[-1] == "hot-start"


def test_orders_follow_the_selection_and_unknown_ones_the_rank() -> None:
    body = samples.leaderboard_body(with_broken=False)
    assert names(body, sort="recipe") == sorted(names(body))
    assert names(body, sort="-rank") == names(body)[::-1]
    assert names(body, sort="score") == names(body) == names(body, sort="nonsense")
    assert names(body, sort="p_best")[0] == "prose-heavy"


def test_finding_keeps_the_ranks_and_the_scale_of_all() -> None:
    body = samples.leaderboard_body()
    everything, found = view_ranking(body, Selection()), view_ranking(body, Selection(find="Python HEAVY"))
    assert [row.entry["recipe"]["name"] for row in found.rows] == ["python-heavy"]
    assert found.rows[0].bar == everything.rows[7].bar
    assert (found.rows[0].rank, found.total) == ("6–9", 13)
    assert found.answer == everything.answer


def test_one_seed_without_intervals_is_shown_without_them() -> None:
    entry = samples.entry(samples.RANKED[0]) | {"score_low": None, "score_high": None, "p_best": None}
    row = view_ranking(samples.leaderboard_body() | {"entries": [entry]}, Selection()).rows[0]
    assert (row.score, row.half_width) == ("1.914", "")
    assert row.bar is not None


def test_each_sets_best_score_is_marked_once() -> None:
    view = view_ranking(samples.leaderboard_body(), Selection())
    assert [column.name for column in view.sets] == sorted(samples.SETS)
    assert all(sum(column.best) == 1 for column in view.sets)
    assert view.sets[0].cells[-1] == "–"


def test_only_gates_that_occur_are_explained() -> None:
    body = samples.leaderboard_body()
    assert "progress" in view_ranking(body, Selection()).gate_meanings
    body = samples.leaderboard_body() | {"entries": [samples.entry(samples.RANKED[0]) | {"gates": None}]}
    assert view_ranking(body, Selection()).gate_meanings == {}


def test_links_turn_an_order_round_and_keep_everything_else() -> None:
    selection = Selection(protocol="p@1", find="a b")
    assert selection.sort_url("rank") == "?protocol=p%401&sort=-rank&find=a+b"
    assert Selection(sort="-rank").sort_url("rank") == "?"
    assert Selection(sort="score").sort_url("score") == "?sort=-score"
    assert Selection(sort="score").sort_url("rank") == "?"
    assert [Selection(sort="-score").order(column) for column in ("score", "rank")] == ["descending", "none"]
    assert Selection().order("rank") == "ascending"


def test_agreement_shows_its_figures_beside_chance() -> None:
    figures = {figure.words: figure for figure in view_agreement(samples.agreement_body()).figures}
    assert figures["Spearman ρ"].interval == "[0.74, 0.99]"
    assert figures["Decision accuracy"].value == "89 %"
    assert figures["Decision accuracy"].chance_at == 50
    assert figures["Regret@1"].chance == "0.0521"
    assert figures["Regret@1"].bar is None


def test_too_few_recipes_have_values_without_intervals() -> None:
    view = view_agreement(samples.agreement_body(count=3))
    assert view.n == 3
    assert {figure.interval for figure in view.figures if figure.bar} == {"–"}


def test_undefined_figures_are_left_out_and_no_points_draw_nothing() -> None:
    assert view_figures({"spearman": None}) == ()
    assert view_agreement({"points": []}).scatters == ()


def test_a_unit_that_repeats_the_metric_is_not_said_twice() -> None:
    assert metric_words({"metric": "bits_per_byte", "unit": "bits/byte"}) == "bits per byte"
    assert metric_words({"metric": "loss", "unit": "nats"}) == "loss, nats"
    assert metric_words({}) == "reference"
