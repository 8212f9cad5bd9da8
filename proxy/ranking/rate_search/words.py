"""A finding in sentences."""

from collections.abc import Sequence

from proxy.ranking.rate_search.budgets import Need
from proxy.ranking.rate_search.findings import AnchorOptimum, Outcome, RateRow
from proxy.ranking.rate_search.gates import Gate, Verdict
from proxy.ranking.rate_search.ladder import Ladder, Thresholds
from proxy.ranking.rates import RateOptimum


def conclude(  # noqa: PLR0913 - all that the sentences speak of
    outcome: Outcome,
    optimum: RateOptimum | None,
    rate: float | None,
    ladder: Ladder,
    candidates: Sequence[RateRow],
    failing: Sequence[str],
    need: Need | None,
    seeds: int | None,
    limits: Thresholds,
) -> str:
    """Which rate, or why none, and what would change that."""
    if optimum is None:
        return "At every rate of the ladder a run diverged: take lower rates."
    if rate is not None:
        return (
            f"{rate:.3g} is the lowest rate that passes every gate; the optimum is η* = {optimum.rate:.3g}, "
            f"{optimum.rate / rate:.3g} times as high."
        )
    if outcome == Outcome.AT_THE_EDGE:
        beyond = "lower" if optimum.rate == ladder.rates[0] else "higher"
        return f"The best rate, {optimum.rate:.3g}, is at the edge of the ladder: add {beyond} rates."
    if outcome == Outcome.NONE_LOW_ENOUGH:
        most = optimum.rate * limits.highest_share_of_optimum
        return f"No rate of the ladder is at most {most:.3g}, a third of η* = {optimum.rate:.3g}: add lower rates."
    said = f"No rate up to {candidates[-1].rate:.3g} passes; what fails there: {', '.join(failing)}."
    return said + _what_would_pass(failing, need, seeds, ladder)


def _what_would_pass(failing: Sequence[str], need: Need | None, seeds: int | None, ladder: Ladder) -> str:
    if need is not None:
        cheapest = need.budgets[0]
        time = "" if cheapest.seconds is None else f", about {cheapest.seconds:,.0f} seconds a run here"
        hedge = " if φ grows on as it did at the end of the ladder" if need.is_extrapolated else ""
        return (
            f" {cheapest.steps:,} steps at {cheapest.rate:.3g} (instead of {ladder.steps:,}; S = {need.travel:.3g}) "
            f"would pass it{hedge}{time}."
        )
    if "progress" in failing:
        return " The ladder is too far from passing it to say what budget would."
    if seeds is not None:
        return f" With {seeds} seeds instead of {len(ladder.seeds)} reliability is expected to pass."
    return ""


def describe_remarks(
    agree: bool | None, own: Sequence[AnchorOptimum], rows: Sequence[RateRow], limits: Thresholds
) -> tuple[str, ...]:
    """What a reader must know beside the conclusion."""
    found = []
    if agree:
        found.append(
            f"The anchors' own optima lie within a factor of {limits.agreeing_factor:g}: tuning, and hence a reduced "
            "rate, matters little for recipes of this kind."
        )
    edge = [one.anchor for one in own if not one.is_interior]
    if edge:
        found.append(f"The own optimum of {', '.join(edge)} is not inside the ladder, so that it is not known.")
    names = [gate.name for gate in _deciding(rows) if gate.verdict == Verdict.NOT_MEASURED]
    if names:
        found.append(f"Not measured at the rate that passes: {', '.join(names)}.")
    return tuple(found)


def _deciding(rows: Sequence[RateRow]) -> Sequence[Gate]:
    """The gates of the lowest rate that passes and is low enough: what was not measured elsewhere changes nothing."""
    return next((row.gates for row in rows if row.passes and row.is_low_enough), ())
