"""What the ladders show, as figures: where a small rate keeps the order, and where it does not.

Every bound is the end of a 95 % t interval of the mean over random sets of recipes that speaks against the claim;
comparisons are paired, as both sides rank the same sets. A large rate is 1/2, which is about the best at 64 steps;
the small one is a sixteenth of it.

Axes: K sets of recipes, W widths, E rates, T budgets.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from tests.benchmarks.figures import Row, at_least, at_most, for_information
from tests.benchmarks.theory.ladders import RATES_E, STEPS_T, WIDTHS_W, Ladder
from tests.benchmarks.theory.model import Array

LARGE, SMALL, TINY = 0.5, 1 / 32, 1 / 1024
SHORT, MIDDLE, LONG, LONGEST = 1024, 16384, 65536, 262144
NARROW, WIDE = WIDTHS_W[0], WIDTHS_W[-1]
TRAVEL_STEPS = 64  # at the rate 1: the travel S = 64 is reached at every rate of the ladder by some budget
FACTORS = (8, 2, 1, 1 / 4, 1 / 16, 1 / 64)  # of the common optimum

Ladders = Mapping[str, Ladder]


def interval(values_K: Array) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % t interval over sets of recipes."""
    reach = stats.t.ppf(0.975, len(values_K) - 1) * values_K.std(ddof=1) / np.sqrt(len(values_K))
    return float(values_K.mean()), float(values_K.mean() - reach), float(values_K.mean() + reach)


def spearman_at(ladder: Ladder, width: int, rate: float, steps: int) -> Array:
    """Of each set of recipes: [K]."""
    found_K: Array = ladder.spearman_KWET[:, *_cell(width, rate, steps)]
    return found_K


def relative_to_optimum(ladder: Ladder, width: int, steps: int, factor: float) -> Array:
    """Spearman of each set (K) at `factor` times the rate that suits its recipes best together; NaN off the ladder."""
    width_index, _, budget = _cell(width, RATES_E[0], steps)
    at_K = ladder.common_KWT[:, width_index, budget].astype(int) + round(np.log2(factor))
    on_ladder_K = (at_K >= 0) & (at_K < len(RATES_E))
    found_K = ladder.spearman_KWET[np.arange(len(at_K)), width_index, at_K.clip(0, len(RATES_E) - 1), budget]
    return np.where(on_ladder_K, found_K, np.nan)


def own_optima_octaves(ladder: Ladder, width: int, steps: int) -> Array:
    """log2 of the ratio of the highest and the lowest best rate in each set (K)."""
    width_index, _, budget = _cell(width, RATES_E[0], steps)
    octaves_K: Array = np.ptp(ladder.own_KWTR[:, width_index, budget], axis=-1).astype(np.float64)
    return octaves_K


def kept_and_broken(ladders: Ladders) -> list[Row]:
    """The claim, where it holds."""
    rows = []
    for kind, ladder in ladders.items():
        small_K, large_K = (spearman_at(ladder, WIDE, rate, MIDDLE) for rate in (SMALL, LARGE))
        rows.append(at_least(_words("Spearman at the rate 1/32", kind, WIDE, MIDDLE), interval(small_K)[1], 0.9))
        gained = interval(small_K - large_K)
        words = _words("Spearman at 1/32 less that at 1/2", kind, WIDE, MIDDLE)
        if kind == "targets only":
            rows.append(at_most(words, gained[2], 0.03))
        else:
            rows.append(at_least(words, gained[1], 0.03))
        accuracy_K = ladder.accuracy_KWET[:, *_cell(WIDE, LARGE, MIDDLE)]
        rows.append(
            for_information(_words("pairs in the right order at 1/2, mean", kind, WIDE, MIDDLE), accuracy_K.mean())
        )
        accuracy_K = ladder.accuracy_KWET[:, *_cell(WIDE, SMALL, MIDDLE)]
        rows.append(for_information(_words("the same at 1/32", kind, WIDE, MIDDLE), accuracy_K.mean()))
    return rows


def at_equal_steps(ladders: Ladders) -> list[Row]:
    """Reduction below the budget's own common optimum, which also takes travel away."""
    rows = []
    for kind, ladder in ladders.items():
        best_K, quarter_K = (relative_to_optimum(ladder, WIDE, SHORT, factor) for factor in (1, 1 / 4))
        rows.append(_informed(_words("Spearman at η*/4 less that at η*", kind, WIDE, SHORT), quarter_K - best_K))
    return rows


def own_optima(ladders: Ladders) -> list[Row]:
    """How far apart the recipes' own best rates are, and whether that tells what a large rate costs."""
    octaves = {kind: own_optima_octaves(ladder, WIDE, MIDDLE) for kind, ladder in ladders.items()}
    rows = [
        for_information(_words("octaves between 16 recipes' best rates, mean", kind, WIDE, MIDDLE), octaves_K.mean())
        for kind, octaves_K in octaves.items()
    ]
    all_octaves = np.concatenate(list(octaves.values()))
    gained = np.concatenate(
        [spearman_at(one, WIDE, SMALL, MIDDLE) - spearman_at(one, WIDE, LARGE, MIDDLE) for one in ladders.values()]
    )
    for words, is_chosen in (("at most 1 octave", all_octaves <= 1), ("more than 1 octave", all_octaves > 1)):
        figure = f"Spearman at 1/32 less that at 1/2, {is_chosen.sum()} sets whose best rates span {words}"
        rows.append(_informed(figure, gained[is_chosen]))
    return rows


def limits(ladders: Ladders) -> list[Row]:
    """Where the claim stops holding: too little travel, too narrow."""
    rows = []
    for kind in ("targets, noise, coverage", "targets, scale"):
        ladder = ladders[kind]
        tiny_K, enough_K = (spearman_at(ladder, WIDE, TINY, steps) for steps in (SHORT, LONGEST))
        rows.append(at_most(_words("Spearman at 1/1024, travel S = 1", kind, WIDE, SHORT), interval(tiny_K)[2], 0.75))
        rows.append(at_least(_words("the same rate, S = 256", kind, WIDE, LONGEST), interval(enough_K)[1], 0.9))
    for kind in ("targets only", "targets, noise"):
        tiny_K = spearman_at(ladders[kind], WIDE, TINY, SHORT)
        rows.append(for_information(_words("Spearman at 1/1024, travel S = 1, mean", kind, WIDE, SHORT), tiny_K.mean()))
    for kind, ladder in ladders.items():
        rows += [*_of_progress(kind, ladder), *_of_width(kind, ladder)]
    return rows


def equal_travel(ladders: Ladders) -> list[Row]:
    """At the same S, the smaller rate and not the shorter run."""
    rows = []
    for kind, ladder in ladders.items():
        slow_K = spearman_at(ladder, WIDE, TRAVEL_STEPS / LONG, LONG)
        fast_K = spearman_at(ladder, WIDE, 1.0, TRAVEL_STEPS)
        words = _words("Spearman at 1/1024 less that at 1, both at S = 64", kind, WIDE, LONG)
        gained = interval(slow_K - fast_K)
        rows.append(
            for_information(words + ", mean", gained[0]) if kind == "targets only" else at_least(words, gained[1], 0)
        )
    return rows


def table_of_optima(ladders: Ladders) -> str:
    """Spearman at multiples of the common optimum, at equal steps: mean and interval, as Markdown."""
    words = {8: "8 η*", 2: "2 η*", 1: "η*", 1 / 4: "η*/4", 1 / 16: "η*/16", 1 / 64: "η*/64"}
    lines = ["| recipes differ in | steps | " + " | ".join(words[factor] for factor in FACTORS) + " |"]
    lines.append("|" + " --- |" * (2 + len(FACTORS)))
    for kind, ladder in ladders.items():
        for steps in (SHORT, MIDDLE, LONGEST):
            shown = (_shown(relative_to_optimum(ladder, WIDE, steps, factor)) for factor in FACTORS)
            lines.append(f"| {kind} | {steps:,} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _of_width(kind: str, ladder: Ladder) -> list[Row]:
    """At the rate 1/1024 of the longest budget."""
    narrow_K, wide_K = (spearman_at(ladder, width, TINY, LONGEST) for width in (NARROW, WIDE))
    words = _words(f"Spearman at 1/1024 less that at width {WIDE}", kind, NARROW, LONGEST)
    if "coverage" in kind:
        return [at_most(words, interval(narrow_K - wide_K)[2], -0.1)]
    return [_informed(words, narrow_K - wide_K)]


def _of_progress(kind: str, ladder: Ladder) -> list[Row]:
    """Lowest mean Spearman of the cells of small rates (all budgets, the widest proxy) that learned so much."""
    is_small_E = RATES_E <= SMALL
    progress_ET, spearman_ET = (
        values_KWET[:, -1, is_small_E].mean(axis=0) for values_KWET in (ladder.progress_KWET, ladder.spearman_KWET)
    )
    half, most = (float(spearman_ET[progress_ET >= share].min()) for share in (0.5, 0.9))
    words = "lowest Spearman at rates up to 1/32 where the share learned is at least"
    return [for_information(f"{words} .5: {kind}", half), at_least(f"{words} .9: {kind}", most, 0.9)]


def _informed(figure: str, values_K: Array) -> Row:
    mean, low, high = interval(values_K)
    return for_information(f"{figure}, mean (95 % interval {low:.3f} to {high:.3f})", mean)


def _shown(values_K: Array) -> str:
    found_K = values_K[~np.isnan(values_K)]
    if len(found_K) < 0.9 * len(values_K):
        return "off the ladder"
    mean, low, high = interval(found_K)
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _words(figure: str, kind: str, width: int, steps: int) -> str:
    return f"{figure}: {kind}, width {width}, {steps:,} steps"


def _cell(width: int, rate: float, steps: int) -> tuple[int, int, int]:
    return WIDTHS_W.index(width), int(np.flatnonzero(rate == RATES_E)[0]), int(np.flatnonzero(steps == STEPS_T)[0])
