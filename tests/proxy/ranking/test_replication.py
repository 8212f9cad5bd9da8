"""The race for seeds: what is known, who runs next, and when it ends."""

import itertools
import math
from collections.abc import Collection, Sequence

import numpy as np
import pytest

from proxy.errors import InvalidInputError
from proxy.ranking.evidence import AnchorNoise, BoolArray, Evidence, Float64Array
from proxy.ranking.looks import Look, imply
from proxy.ranking.replication import NextRun, Race, RaceState, RaceStatus, continue_race
from proxy.ranking.standings import Goal, parse_goal, place
from tests.benchmarks.study.races import (
    draw_field,
    even_runs,
    even_runs_unpaid,
    makes_false_claim,
    pairs_of_goal,
    run_race,
)
from tests.proxy.ranking.builders import from_scores

ANCHORS = AnchorNoise(variance=1e-4, degrees_of_freedom=20)
TOP_2 = Race(goal=Goal(best=2))
NAN = math.nan


def go_on(
    evidence: Evidence,
    race: Race = TOP_2,
    *,
    batch: int = 100,
    runs_left: int = 1000,
    failed: Collection[str] = (),
    looks: Sequence[Look] = (),
) -> RaceStatus:
    return continue_race(evidence, race, batch=batch, runs_left=runs_left, failed=failed, looks=looks)


def noisy(recipes: int, seeds: int, *, apart: float) -> Float64Array:
    rng = np.random.default_rng(4)
    return 1.5 + apart * np.arange(recipes)[:, None] + 0.01 * rng.standard_normal((recipes, seeds))


def names(*numbers: int) -> tuple[str, ...]:
    return tuple(f"recipe-{number}" for number in numbers)


def test_recipes_far_apart_are_placed_and_the_race_ends() -> None:
    status = go_on(from_scores(noisy(5, 2, apart=1)))
    assert status.state is RaceState.RESOLVED
    assert (status.best, status.rest, status.undecided) == (names(0, 1), names(2, 3, 4), ())
    assert status.next_runs == ()
    assert status.resolved_pairs == 10
    assert status.unresolved_pairs == ()


def test_only_those_that_could_change_the_answer_run_again() -> None:
    table = np.array([[1.0, 1.01], [2.0, 2.01], [2.01, 1.99], [3.0, 3.01], [4.0, 4.0]])
    status = go_on(from_scores(table))
    assert status.state is RaceState.RACING
    assert (status.best, status.undecided, status.rest) == (names(0), names(1, 2), names(3, 4))
    assert set(status.next_runs) == {NextRun(recipe=name, seed=2) for name in names(1, 2)}
    assert status.unresolved_pairs == (names(1, 2),)


def test_an_order_of_all_pairs_goes_on_where_the_best_are_known() -> None:
    table = np.array([[1.0, 1.01], [2.0, 2.01], [3.01, 2.99], [3.0, 3.01]])
    assert go_on(from_scores(table)).state is RaceState.RESOLVED
    status = go_on(from_scores(table), Race(goal=parse_goal("pairs")))
    assert (status.best, status.rest, status.undecided) == ((), (), names(2, 3))
    assert {run.recipe for run in status.next_runs} == set(names(2, 3))


def test_one_seed_places_nobody_even_where_noise_is_known() -> None:
    """It shows nothing of the recipe's own noise."""
    status = go_on(from_scores([[1.0], [2.0], [3.0]], anchors=ANCHORS))
    assert status.undecided == names(0, 1, 2)
    assert status.error_spent == 0


def test_anchors_let_two_seeds_place_more() -> None:
    table = [[1.0, 1.01], [1.1, 1.09], [1.2, 1.21]]
    assert go_on(from_scores(table)).state is RaceState.RACING
    assert go_on(from_scores(table, anchors=ANCHORS)).state is RaceState.RESOLVED


def test_runs_that_come_later_change_nothing_that_a_look_found() -> None:
    """Or every new run would be one more look, which nobody paid for."""
    table = np.full((6, 3), NAN)
    table[:, :2] = noisy(6, 2, apart=0.05)
    before = go_on(from_scores(table))
    table[2, 2] = 1.0  # one of those at the edge, before the others of its batch
    after = go_on(from_scores(table))
    assert before.state is after.state is RaceState.RACING
    assert 0 < before.resolved_pairs == after.resolved_pairs
    assert after.error_spent == before.error_spent == pytest.approx(0.05 / 7)
    assert set(after.next_runs) == {run for run in before.next_runs if run.recipe != "recipe-2"}


def test_fewest_seeds_come_first_then_the_nearest_to_the_edge() -> None:
    first = go_on(from_scores([[1.0], [1.3], [1.38], [1.6], [2.0]]), batch=3)
    assert {run.recipe for run in first.next_runs[:2]} == set(names(1, 2))
    assert first.next_runs[2].recipe == "recipe-3"
    assert {run.seed for run in first.next_runs} == {1}
    uneven = from_scores([[1.0, NAN], [1.004, 1.0], [1.002, 1.01]])
    assert go_on(uneven, batch=1).next_runs == (NextRun(recipe="recipe-0", seed=1),)


def test_a_batch_stops_at_the_next_look() -> None:
    table = 1.5 + 0.01 * np.random.default_rng(0).standard_normal((4, 4))
    status = go_on(from_scores(table))
    assert sorted((run.recipe, run.seed) for run in status.next_runs) == [
        (name, seed) for name in names(0, 1, 2, 3) for seed in (4, 5)
    ]
    assert len(go_on(from_scores(table), batch=3).next_runs) == 3


def test_a_recipe_gets_the_seeds_that_others_have_before_new_ones() -> None:
    table = np.full((4, 6), NAN)
    table[:3, :2] = [[1.0, 1.01], [1.01, 1.0], [1.0, 1.005]]
    table[3, 5] = 1.0
    status = go_on(from_scores(table), batch=1)
    assert status.next_runs == (NextRun(recipe="recipe-3", seed=0),)


@pytest.mark.parametrize("runs_left", [0, 1])
def test_a_budget_that_does_not_reach_the_next_look_is_not_spent(runs_left: int) -> None:
    evidence = from_scores([[1.0, 1.01], [2.0, 2.01], [2.01, 1.99], [3.0, 3.01]])
    assert len(go_on(evidence, runs_left=2).next_runs) == 2
    status = go_on(evidence, runs_left=runs_left)
    assert status.state is RaceState.BUDGET_SPENT
    assert status.next_runs == ()
    assert (status.best, status.undecided) == (names(0), names(1, 2))


def test_the_most_seeds_end_the_race_and_all_of_the_error_rate_is_spent() -> None:
    table = 1.5 + 0.01 * np.random.default_rng(0).standard_normal((4, 8))
    status = go_on(from_scores(table), Race(goal=Goal(best=1), most_seeds=8))
    assert status.state is RaceState.SEEDS_SPENT
    assert status.error_spent == pytest.approx(0.05)
    assert go_on(from_scores(table[:, :2]), Race(goal=Goal(best=1), most_seeds=8)).error_spent == pytest.approx(
        0.05 / 5
    )


def test_seeds_that_change_nothing_end_the_race() -> None:
    status = go_on(from_scores([[1.1, 1.1], [1.2, 1.2], [1.3, 1.3]]))
    assert status.state is RaceState.NO_NOISE
    assert status.next_runs == ()


def test_recipes_that_failed_take_no_part_with_or_without_evidence() -> None:
    evidence = from_scores(noisy(5, 1, apart=0))
    status = go_on(evidence, failed={"recipe-3", "never-scored"})
    assert status.failed == ("never-scored", "recipe-3")
    assert status.recipes == status.undecided == names(0, 1, 2, 4)
    assert "recipe-3" not in {run.recipe for run in status.next_runs}


def test_seeds_that_only_failed_recipes_have_change_nothing() -> None:
    table = np.full((5, 4), NAN)
    table[:4, :3], table[4] = noisy(4, 3, apart=0.037), 1.0
    with_them, without = go_on(from_scores(table), failed={"recipe-4"}), go_on(from_scores(table[:4]))
    assert with_them.best == without.best
    assert 0 < with_them.resolved_pairs <= without.resolved_pairs
    assert {run.seed for run in with_them.next_runs} == {3}


@pytest.mark.parametrize(("goal", "left"), [(Goal(best=2), 2), (Goal(best=2), 1), (Goal(best=None), 1)])
def test_where_failures_leave_no_more_than_were_looked_for_nobody_is_singled_out(goal: Goal, left: int) -> None:
    """The others did not lose: they failed."""
    status = go_on(from_scores(noisy(5, 2, apart=1)), Race(goal=goal), failed=names(*range(left, 5)))
    assert (status.state, status.next_runs, status.looks) == (RaceState.FAILURES, (), ())
    assert (status.best, status.rest, status.undecided) == ((), (), names(*range(left)))


def racing_table(seed: int) -> Float64Array:
    """Seven recipes of which two seeds place some and not all."""
    rng = np.random.default_rng(seed)
    return 1.5 + np.cumsum(0.02 * rng.random(7))[:, None] + 0.01 * rng.standard_normal((7, 8))


def race_on(
    table: Float64Array, taken: RaceStatus | None, held_RT: BoolArray, failed: Collection[str] = ()
) -> RaceStatus:
    """What is asked for is trained, until one more look is taken or the race has ended."""
    while True:
        looks = () if taken is None else taken.looks
        evidence = from_scores(np.where(held_RT, table, NAN))
        status = go_on(evidence, Race(goal=Goal(best=2), most_seeds=8), failed=failed, looks=looks)
        if len(status.looks) > len(looks) or status.state is not RaceState.RACING:
            return status
        for run in status.next_runs:
            held_RT[int(run.recipe.removeprefix("recipe-")), run.seed] = True


def pairs(status: RaceStatus) -> set[tuple[str, str]]:
    return {(status.recipes[one], status.recipes[other]) for one, other in np.argwhere(status.is_better_RR)}


@pytest.mark.parametrize("seed", range(12))
def test_a_recipe_that_fails_drops_out_and_takes_back_nothing_that_was_known_of_others(seed: int) -> None:
    """Looks are not taken again with the noise of those that are left; back again, it knows what it knew."""
    table = racing_table(seed)
    held_RT = np.zeros(table.shape, dtype=np.bool_)
    held_RT[:, 0] = True
    status = race_on(table, race_on(table, None, held_RT), held_RT)
    lost = (status.undecided or status.best)[0]
    evidence = from_scores(np.where(held_RT, table, NAN))
    race = Race(goal=Goal(best=2), most_seeds=8)
    without = go_on(evidence, race, failed={lost}, looks=status.looks)
    kept = {pair for pair in pairs(status) if lost not in pair}
    assert pairs(without) >= kept
    assert set(without.best) >= set(status.best) - {lost}
    assert without.looks[: len(status.looks)] == status.looks
    assert without.error_spent >= status.error_spent
    back = go_on(evidence, race, looks=race_on(table, without, held_RT, failed={lost}).looks)
    assert pairs(back) >= pairs(status)


def test_a_race_that_goes_on_from_its_looks_finds_what_one_that_takes_them_all_again_does() -> None:
    for seed in range(6):
        table = racing_table(seed)
        held_RT = np.zeros(table.shape, dtype=np.bool_)
        held_RT[:, 0] = True
        status = None
        while status is None or status.state is RaceState.RACING:
            status = race_on(table, status, held_RT)
        again = go_on(from_scores(np.where(held_RT, table, NAN)), Race(goal=Goal(best=2), most_seeds=8))
        assert (again.looks, again.state, again.best) == (status.looks, status.state, status.best)


def test_looks_of_another_race_are_refused() -> None:
    status = go_on(from_scores(noisy(5, 2, apart=1)))
    with pytest.raises(InvalidInputError) as refused:
        go_on(from_scores(noisy(5, 2, apart=1)), looks=status.looks * 2)
    assert refused.value.problems[0].pointer == "/looks"


def test_recipes_that_failed_still_count_in_the_bounds() -> None:
    table = noisy(4, 3, apart=0.037)
    alone = go_on(from_scores(table))
    beside = go_on(from_scores(table), failed=[f"lost-{index}" for index in range(3000)])
    assert beside.resolved_pairs < alone.resolved_pairs


def test_places_are_exactly_those_of_every_order_that_agrees_with_what_is_known() -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        known_RR = imply(np.triu(rng.random((5, 5)) < 0.35, 1))
        orders = [order for order in itertools.permutations(range(5)) if agrees(order, known_RR)]
        for best in range(1, 5):
            standing = place(known_RR, Goal(best=best))
            always = set.intersection(*(set(order[:best]) for order in orders))
            never = set.intersection(*(set(order[best:]) for order in orders))
            assert set(np.flatnonzero(standing.is_best_R)) == always
            assert set(np.flatnonzero(standing.is_rest_R)) == never


def agrees(order: tuple[int, ...], known_RR: BoolArray) -> bool:
    return not any(known_RR[later, earlier] for earlier, later in itertools.combinations(order, 2))


@pytest.mark.parametrize(("text", "best"), [("best", 1), ("top-1", 1), ("top-12", 12), ("pairs", None)])
def test_goals_are_read(text: str, best: int | None) -> None:
    assert parse_goal(text) == Goal(best=best)


@pytest.mark.parametrize("text", ["", "top-0", "top-", "top-1.5", "top--1", "worst", "top-9999999", " best", "top-٣"])
def test_other_goals_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInputError, match="goal") as refused:
        parse_goal(text)
    assert refused.value.problems[0].pointer == "/resolve"


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [({"error_rate": 0.0}, "/error_rate"), ({"error_rate": NAN}, "/error_rate"), ({"most_seeds": 1}, "/most_seeds")],
)
def test_a_race_that_cannot_be_run_is_refused(settings: dict[str, float], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        Race(goal=Goal(best=1), **settings)  # type: ignore[arg-type]
    assert refused.value.problems[0].pointer == pointer
    with pytest.raises(InvalidInputError):
        Race(goal=Goal(best=0))


def test_impossible_questions_are_refused_with_the_field() -> None:
    evidence = from_scores([[1.0], [1.1]])
    for pointer, ask in {
        "/resolve": lambda: go_on(evidence),
        "/batch": lambda: go_on(evidence, Race(goal=Goal(best=1)), batch=0),
        "/runs_left": lambda: go_on(evidence, Race(goal=Goal(best=1)), runs_left=-1),
        "/recipes": lambda: go_on(evidence, Race(goal=Goal(best=1)), failed=names(0, 1)),
    }.items():
        with pytest.raises(InvalidInputError) as refused:
            ask()
        assert refused.value.problems[0].pointer == pointer


def test_a_race_never_asks_for_a_run_twice_nor_for_more_seeds_than_allowed() -> None:
    table = 1.5 + 0.01 * np.random.default_rng(7).standard_normal((5, 12))
    held_RT = np.zeros((5, 12), dtype=np.bool_)
    held_RT[:, 0] = True
    race = Race(goal=Goal(best=2), most_seeds=6)
    for _ in range(30):
        status = go_on(from_scores(np.where(held_RT, table, NAN)), race, batch=3)
        if status.state is not RaceState.RACING:
            break
        for run in status.next_runs:
            place = (int(run.recipe.removeprefix("recipe-")), run.seed)
            assert not held_RT[place]
            held_RT[place] = True
    assert status.state in (RaceState.RESOLVED, RaceState.SEEDS_SPENT)
    assert held_RT.sum(axis=1).max() <= 6


@pytest.mark.parametrize("log_sd", [0.0, 0.5])
def test_equal_recipes_are_seldom_told_apart_at_any_look(log_sd: float) -> None:
    rng = np.random.default_rng(11)
    race = Race(goal=Goal(best=1), most_seeds=6)
    fields = (draw_field(np.zeros(6), 6, rng, log_sd=log_sd) for _ in range(100))
    wrong = sum(makes_false_claim(field, run_race(field, race, 6).claimed_RR) for field in fields)
    assert wrong <= 12  # P(more | 5 %) = .001


def test_a_race_needs_at_most_three_fifths_of_what_an_even_spread_needs() -> None:
    rng = np.random.default_rng(12)
    race = Race(goal=Goal(best=3), most_seeds=32)
    adaptive, even, unpaid = 0, 0, 0
    for _ in range(8):
        field = draw_field(2.0 * np.arange(23), 32, rng)
        outcome = run_race(field, race, 8)
        pairs = pairs_of_goal(outcome.known_RR)
        adaptive, even = adaptive + outcome.runs, even + even_runs(field, race, pairs)
        unpaid += even_runs_unpaid(field, race, pairs)
        assert outcome.state is RaceState.RESOLVED
    assert adaptive <= 0.6 * unpaid <= 0.6 * even
