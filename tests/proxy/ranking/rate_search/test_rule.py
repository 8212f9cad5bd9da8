"""The rule on hand-made ladders: a verdict a test, and what must not change it."""

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.ranking.rate_search import Finding, Gate, Ladder, Outcome, Thresholds, Verdict, search_rate
from tests.proxy.ranking.rate_search.ladders import ANCHORS, BEST, RATES, SEED_DEVIATION, ladder_of, loss_at

few = settings(max_examples=25, deadline=None)


def gate(finding: Finding, rate: float, name: str) -> Gate:
    row = next(row for row in finding.rates if row.rate == rate)
    return next(one for one in row.gates if one.name == name)


def verdicts(finding: Finding, rate: float) -> dict[str, Verdict]:
    row = next(row for row in finding.rates if row.rate == rate)
    return {one.name: one.verdict for one in row.gates}


def with_progress(*by_rate: float) -> Ladder:
    """φ of every pair at each rate, ascending."""
    return ladder_of(lambda _a, rate, _s: {"progress": {"prose": by_rate[RATES.index(rate)]}})


def test_the_lowest_passing_rate_is_chosen() -> None:
    finding = search_rate(ladder_of())
    assert (finding.outcome, finding.rate) == (Outcome.CHOSEN, 1e-4)
    assert finding.optimum == pytest.approx(BEST, rel=0.02)
    assert [row.rate for row in finding.rates if row.is_low_enough] == [1e-4, 3e-4]
    assert set(verdicts(finding, 1e-4).values()) == {Verdict.PASSED}
    assert finding.failing == ()
    assert (finding.need, finding.seeds_needed) == (None, None)


def test_every_anchors_noise_is_kept_with_the_chosen_rate() -> None:
    finding = search_rate(ladder_of(seeds=8))
    degrees = sum(degrees for _, degrees in finding.noise.values())
    variance = sum(variance * degrees for variance, degrees in finding.noise.values()) / degrees
    assert set(finding.noise) == set(ANCHORS)
    assert degrees == pytest.approx(3 * 7)
    assert math.sqrt(variance) == pytest.approx(SEED_DEVIATION, rel=0.4)


def test_a_rate_that_learned_too_little_is_passed_over() -> None:
    finding = search_rate(with_progress(0.2, 0.85, 0.9, 0.9))
    assert finding.rate == 3e-4
    assert gate(finding, 1e-4, "progress").value == 0
    assert verdicts(finding, 1e-4)["reliability"] == Verdict.NOT_LOOKED_AT


def test_nine_pairs_in_ten_must_have_learned() -> None:
    def weak(anchors: int) -> Ladder:
        def change(anchor: str, rate: float, _: int) -> dict[str, Any]:
            is_weak = rate == 1e-4 and ANCHORS.index(anchor) < anchors
            return {"progress": {f"set-{k}": 0.4 if is_weak and k == 0 else 0.85 for k in range(5)}}

        return ladder_of(change)

    assert gate(search_rate(weak(2)), 1e-4, "progress").value == pytest.approx(18 / 20)
    assert search_rate(weak(2)).rate == 1e-4
    assert search_rate(weak(3)).rate == 3e-4


def test_progress_that_nobody_knows_does_not_pass() -> None:
    finding = search_rate(ladder_of(lambda *_: {"progress": {"prose": None}}))
    assert finding.outcome == Outcome.NOTHING_PASSES
    assert finding.failing == ("progress",)
    assert finding.need is None
    assert "too far" in finding.conclusion


def test_a_ranking_that_shuffled_text_would_give_does_not_pass() -> None:
    finding = search_rate(ladder_of(lambda _a, rate, _s: {"shuffled_cost": {"prose": 0.1 if rate < 2e-4 else 0.3}}))
    assert finding.rate == 3e-4
    assert gate(finding, 1e-4, "shuffled tokens").verdict == Verdict.FAILED


def test_what_was_not_measured_stops_nobody_and_is_told() -> None:
    unknown: dict[str, Any] = {"shuffled_cost": {}, "rescore_difference": None, "update_ulps": None}
    finding = search_rate(ladder_of(lambda *_: unknown))
    assert finding.rate == 1e-4
    assert verdicts(finding, 1e-4)["shuffled tokens"] == Verdict.NOT_MEASURED
    assert any("shuffled tokens, numerical floor, bf16 re-score" in remark for remark in finding.remarks)


def test_noise_as_large_as_the_differences_fails_reliability_and_says_how_many_seeds_would_do() -> None:
    jitter = random.Random(1)
    ladder = ladder_of(
        lambda anchor, rate, _: {"score": loss_at(anchor, rate) + jitter.gauss(0, 0.05)}, rates=(1e-4, 3e-4, 1e-3, 3e-3)
    )
    finding = search_rate(ladder)
    assert finding.outcome == Outcome.NOTHING_PASSES
    assert finding.failing == ("reliability",)
    assert finding.need is None  # more steps are not what is lacking
    assert finding.seeds_needed is not None
    assert finding.seeds_needed > 3
    assert f"With {finding.seeds_needed} seeds" in finding.conclusion
    assert "take anchors" not in finding.conclusion


def test_a_resolved_pair_that_turns_at_the_next_higher_passing_rate_fails() -> None:
    """At 1e-4 the anchors stand in the opposite order of 3e-4, both far beyond noise."""

    def change(anchor: str, rate: float, seed: int) -> dict[str, Any]:
        turned = loss_at(ANCHORS[3 - ANCHORS.index(anchor)], rate)
        return {"score": turned + 1e-3 * (seed - 1) * (1 + ANCHORS.index(anchor) % 2)} if rate == 1e-4 else {}

    finding = search_rate(ladder_of(change))
    assert finding.rate == 3e-4
    assert gate(finding, 1e-4, "reversals").value == 6  # every pair of four
    assert "other way at 0.0003" in gate(finding, 1e-4, "reversals").message


def test_a_reversal_against_a_rate_that_does_not_pass_counts_for_nothing() -> None:
    def change(anchor: str, rate: float, seed: int) -> dict[str, Any]:
        turned = loss_at(ANCHORS[3 - ANCHORS.index(anchor)], rate) + 1e-3 * (seed - 1) * (1 + ANCHORS.index(anchor) % 2)
        return {"score": turned, "progress": {"prose": 0.1}} if rate == 3e-4 else {}

    finding = search_rate(ladder_of(change))
    assert finding.rate == 1e-4
    assert "0.001" in gate(finding, 1e-4, "reversals").message


def test_updates_near_the_rounding_of_the_weights_do_not_pass() -> None:
    finding = search_rate(
        ladder_of(lambda anchor, rate, _: {"update_ulps": 31.0 if (anchor, rate) == ("code", 1e-4) else 33.0})
    )
    assert finding.rate == 3e-4
    assert gate(finding, 1e-4, "numerical floor").value == 31


def test_logits_that_move_a_score_like_a_tenth_of_the_noise_do_not_pass() -> None:
    finding = search_rate(ladder_of(lambda _a, rate, _s: {"rescore_difference": 1e-3 if rate == 1e-4 else 1e-5}))
    assert finding.rate == 3e-4
    moved = gate(finding, 1e-4, "bf16 re-score").value
    assert moved == pytest.approx(1e-3 / SEED_DEVIATION, rel=0.6)


def test_a_rate_at_which_a_run_diverged_does_not_pass() -> None:
    finding = search_rate(ladder_of(lambda a, rate, s: {"score": None} if (a, rate, s) == ("code", 3e-3, 1) else {}))
    assert gate(finding, 3e-3, "diverged").value == 1
    assert finding.rates[-1].score is None
    assert finding.rates[-1].ranks is None
    assert finding.optimum == 1e-3  # nothing can be interpolated towards an infinite loss
    assert finding.rate == 1e-4


def test_an_optimum_at_the_edge_chooses_nothing() -> None:
    low = search_rate(ladder_of(rates=(2e-3, 3e-3, 6e-3)))
    high = search_rate(ladder_of(rates=(1e-5, 1e-4, 3e-4)))
    assert (low.outcome, high.outcome) == (Outcome.AT_THE_EDGE, Outcome.AT_THE_EDGE)
    assert (low.rate, high.rate) == (None, None)
    assert "add lower rates" in low.conclusion
    assert "add higher rates" in high.conclusion
    assert "optimum" in high.failing


def test_a_ladder_without_a_rate_under_a_third_of_the_optimum_says_so() -> None:
    finding = search_rate(ladder_of(rates=(6e-4, 1.2e-3, 2.4e-3)))
    assert finding.outcome == Outcome.NONE_LOW_ENOUGH
    assert finding.rate is None
    assert "add lower rates" in finding.conclusion


def test_where_no_rate_is_low_enough_the_budget_at_a_third_of_the_optimum_is_named() -> None:
    reached = {6e-4: 0.75, 1.1e-3: 0.85, 2.4e-3: 0.75}
    ladder = ladder_of(lambda _a, rate, _s: {"progress": {"prose": reached[rate]}}, rates=tuple(reached))
    finding = search_rate(ladder)
    assert finding.outcome == Outcome.NONE_LOW_ENOUGH
    assert finding.optimum is not None
    assert finding.need is not None
    [budget] = finding.need.budgets
    assert budget.rate == pytest.approx(finding.optimum / 3)
    travel = ladder.travel(math.sqrt(6e-4 * 1.1e-3))  # φ = .8 lies midway, on the scale of log S
    assert finding.need.travel == pytest.approx(travel)
    assert budget.steps == math.ceil(ladder.steps * travel / ladder.travel(budget.rate))
    assert f"{budget.steps:,} steps at {budget.rate:.3g} (instead of 1,000;" in finding.conclusion


def test_where_the_lowest_rate_passes_a_lower_one_needs_no_more_sum_of_rates_than_it() -> None:
    ladder = ladder_of(rates=(6e-4, 1.2e-3, 2.4e-3))
    finding = search_rate(ladder)
    assert finding.need is not None
    assert (finding.need.gate, finding.need.travel) == ("progress", ladder.travel(6e-4))
    assert finding.failing == ()


def test_a_third_of_the_optimum_as_somebody_writes_it_is_low_enough() -> None:
    """The vertex is 1.2e-3 but for rounding, and so is three times 4e-4."""

    def change(anchor: str, rate: float, seed: int) -> dict[str, Any]:
        return {"score": loss_at(anchor, rate) + 1e-3 * (seed - 1) * (ANCHORS.index(anchor) - 1.5)}

    finding = search_rate(ladder_of(change, rates=(4e-4, 1.2e-3, 3.6e-3)))
    assert finding.optimum == pytest.approx(1.2e-3, rel=1e-9)
    assert finding.rate == 4e-4


def test_if_nothing_passes_the_budget_that_would_is_named_with_its_time() -> None:
    """φ .7 at 3e-4 and .9 at 1e-3: .8 lies half-way in log S, and equal S means equal φ."""
    ladder = replace(with_progress(0.0, 0.7, 0.9, 0.95), tokens_per_second=50_000.0)
    finding = search_rate(ladder)
    assert finding.outcome == Outcome.NOTHING_PASSES
    assert finding.failing == ("progress",)
    assert finding.need is not None
    assert finding.need.travel == pytest.approx(math.sqrt(3e-4 * 1e-3) * 980)
    assert [row.progress_reached for row in finding.rates] == pytest.approx([0.0, 0.7, 0.9, 0.95])
    assert not finding.need.is_extrapolated
    first, second = finding.need.budgets
    assert (first.rate, first.steps) == (3e-4, math.ceil(1000 * math.sqrt(1e-3 / 3e-4)))
    assert (second.rate, second.steps) == (1e-4, math.ceil(1000 * math.sqrt(3e-4 * 1e-3) / 1e-4))
    assert first.tokens == first.steps * 1024
    assert first.seconds == pytest.approx(first.tokens / 50_000)
    assert f"{first.steps:,} steps at 0.0003" in finding.conclusion


def test_the_budget_that_is_named_passes_when_travel_is_the_clock() -> None:
    """φ as a function of S alone: the ladder of the named budget chooses the rate it was named for."""

    def clocked(steps: int) -> Ladder:
        def change(_a: str, rate: float, _s: int) -> dict[str, Any]:
            return {"progress": {"prose": 0.9 + 0.5 * math.log10(rate * steps / 1.0)}}

        return ladder_of(change, steps=steps, travel_steps=float(steps))

    need = search_rate(clocked(500)).need
    assert need is not None
    assert search_rate(clocked(need.budgets[0].steps)).rate == need.budgets[0].rate
    assert search_rate(clocked(need.budgets[0].steps - 2)).rate is None
    assert search_rate(clocked(need.budgets[1].steps)).rate == need.budgets[1].rate


def test_a_budget_beyond_the_ladder_is_marked_as_such() -> None:
    finding = search_rate(with_progress(0.0, 0.2, 0.45, 0.3))
    assert finding.need is not None
    assert finding.need.is_extrapolated
    assert "if φ grows on" in finding.conclusion
    assert search_rate(with_progress(0.0, 0.01, 0.02, 0.02)).need is None


def test_anchors_whose_optima_agree_make_tuning_matter_little() -> None:
    agreeing = search_rate(ladder_of())
    assert agreeing.anchors_agree is True
    assert any("matters little" in remark for remark in agreeing.remarks)

    def apart(anchor: str, rate: float, _: int) -> dict[str, Any]:
        own = {"clean": 3e-4, "noisy": 1e-3}.get(anchor, 6e-4)
        return {"score": 3 + 0.05 * ANCHORS.index(anchor) + 0.1 * math.log(rate / own) ** 2}

    finding = search_rate(ladder_of(apart))
    assert finding.anchors_agree is False
    assert not any("matters little" in remark for remark in finding.remarks)
    own = {one.anchor: one.rate for one in finding.anchors}
    assert own["clean"] == pytest.approx(3e-4, rel=0.1)
    assert own["noisy"] == pytest.approx(1e-3, rel=0.1)


def test_an_anchor_whose_own_optimum_is_at_the_edge_leaves_agreement_unknown() -> None:
    finding = search_rate(
        ladder_of(lambda anchor, rate, _: {"score": 3 - 20 * rate} if anchor == "code" else {}, rates=RATES)
    )
    assert finding.anchors_agree is None
    assert any("code" in remark for remark in finding.remarks)


def test_where_every_rate_diverged_lower_ones_are_asked_for() -> None:
    finding = search_rate(ladder_of(lambda *_: {"score": None}))
    assert (finding.outcome, finding.rate, finding.optimum) == (Outcome.NOTHING_PASSES, None, None)
    assert "lower rates" in finding.conclusion


def test_anchors_that_differ_no_more_than_their_seeds_fail_reliability() -> None:
    jitter = random.Random(0)
    finding = search_rate(
        ladder_of(lambda _a, rate, _s: {"score": loss_at("code", rate) + jitter.gauss(0, 1e-3)}, seeds=4)
    )
    assert finding.rate is None
    assert finding.failing == ("reliability",)
    assert "take anchors that differ as your recipes do" in finding.conclusion


def test_seeds_that_change_nothing_are_not_taken_for_anchors_that_are_alike() -> None:
    finding = search_rate(ladder_of(lambda anchor, rate, _s: {"score": loss_at(anchor, rate)}))
    assert finding.failing == ("reliability",)
    assert "take anchors" not in finding.conclusion


def test_thresholds_can_be_changed_and_are_kept() -> None:
    strict = Thresholds(progress=0.87)
    finding = search_rate(ladder_of(), strict)
    assert finding.rate == 3e-4
    assert finding.thresholds == strict


@few
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_runs_does_not_matter(draw: random.Random) -> None:
    ladder = ladder_of()
    runs = list(ladder.runs)
    draw.shuffle(runs)
    assert search_rate(replace(ladder, runs=tuple(runs))) == search_rate(ladder)


@few
@given(st.floats(0.01, 100))
def test_the_unit_of_the_scores_does_not_matter(scale: float) -> None:
    ladder = ladder_of()
    scaled = tuple(
        replace(run, score=(run.score or 0) * scale, rescore_difference=(run.rescore_difference or 0) * scale)
        for run in ladder.runs
    )
    one, other = search_rate(ladder), search_rate(replace(ladder, runs=scaled))
    assert (one.rate, one.outcome, one.anchors_agree) == (other.rate, other.outcome, other.anchors_agree)
    assert other.optimum == pytest.approx(one.optimum)
    for before, after in zip(one.rates, other.rates, strict=True):
        assert after.reliability == pytest.approx(before.reliability)
        assert [gate.verdict for gate in after.gates] == [gate.verdict for gate in before.gates]


@few
@given(st.floats(0.1, 10))
def test_rates_in_another_unit_move_the_choice_with_them(scale: float) -> None:
    """Travel is rates × steps: scaling all rates and dividing the steps leaves every gate as it is."""
    ladder = with_progress(0.2, 0.85, 0.9, 0.9)
    scaled = tuple(replace(run, rate=run.rate * scale) for run in ladder.runs)
    found = search_rate(replace(ladder, runs=scaled, travel_steps=ladder.travel_steps / scale))
    assert found.rate == pytest.approx(3e-4 * scale)


@few
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0, 1))
@example([0.0, 0.0, 1e-38, 0.0], 0.0)
def test_more_progress_never_raises_the_chosen_rate(by_rate: list[float], more: float) -> None:
    before = search_rate(with_progress(*by_rate)).rate
    after = search_rate(with_progress(*(value + more for value in by_rate))).rate
    if before is not None:
        assert after is not None
        assert after <= before


def test_where_shuffling_costs_too_little_the_budget_is_read_off_two_rates() -> None:
    """.05 at S = .098 and .15 at three times that: .25 is reached at three times that again."""
    cost = {1e-4: 0.05, 3e-4: 0.15}

    def little(_: str, rate: float, __: int) -> dict[str, Any]:
        return {"shuffled_cost": {"prose": cost[rate]} if rate in cost else {}}

    finding = search_rate(ladder_of(little))
    assert (finding.rate, finding.failing) == (None, ("shuffled tokens",))
    assert finding.need is not None
    assert (finding.need.gate, finding.need.is_extrapolated) == ("shuffled tokens", True)
    assert [budget.steps for budget in finding.need.budgets] == [3000, 9000]
    told = finding.conclusion
    assert "3,000 steps at 0.0003 (instead of 1,000; S = 0.882) would pass shuffled tokens if what shuffling" in told


@pytest.mark.parametrize(
    ("change", "gate", "words"),
    [
        ({"update_ulps": 3.0}, "numerical floor", "take a higher rate"),
        ({"rescore_difference": 0.5}, "bf16 re-score", "score with logits in fp32"),
        ({"shuffled_cost": {"prose": 0.1}}, "shuffled tokens", "nobody knows how many"),
    ],
)
def test_each_gate_without_a_known_budget_says_what_might_help(change: dict[str, Any], gate: str, words: str) -> None:
    finding = search_rate(ladder_of(lambda *_: change))
    assert (finding.failing, finding.need) == ((gate,), None)
    assert words in finding.conclusion
