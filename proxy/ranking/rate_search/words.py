"""A finding in sentences."""

from collections.abc import Iterator, Sequence

from proxy.ranking.rate_search.budgets import Need
from proxy.ranking.rate_search.findings import AnchorOptimum, Outcome, RateRow
from proxy.ranking.rate_search.gates import Verdict
from proxy.ranking.rate_search.ladder import Ladder, Thresholds
from proxy.ranking.rates import RateOptimum

SHUFFLED, RELIABILITY = "shuffled tokens", "reliability"
ADVICE = {
    SHUFFLED: "What shuffling costs grows with Σ rates, as φ does: take more steps; nobody knows how many.",
    RELIABILITY: "The anchors hardly differ beside seeds: take anchors that differ as your recipes do, or more seeds.",
    "diverged": "No budget makes up for runs that diverge: see why they did, or take other anchors.",
    "reversals": "No budget is known that undoes a reversal: more seeds show whether it is one.",
    "numerical floor": "More steps do not help updates that round away: take a higher rate, or weights with more bits.",
    "bf16 re-score": "No budget changes it: score with logits in fp32, and trust no difference that small.",
}


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
        chosen = next(row for row in candidates if row.rate == rate)
        measured = " that was measured" if unmeasured_gates(chosen) else ""
        return (
            f"{rate:.3g} is the lowest rate that passes every gate{measured}; the optimum is η* = {optimum.rate:.3g}, "
            f"{optimum.rate / rate:.3g} times as high."
        )
    if outcome == Outcome.AT_THE_EDGE:
        beyond = "lower" if optimum.rate == ladder.rates[0] else "higher"
        return f"The best rate, {optimum.rate:.3g}, is at the edge of the ladder: add {beyond} rates."
    if outcome == Outcome.NONE_LOW_ENOUGH:
        most = optimum.rate * limits.highest_share_of_optimum
        said = f"No rate of the ladder is at most {most:.3g}, a third of η* = {optimum.rate:.3g}: add lower rates."
        return said if need is None else f"{said} {_budget(need, ladder)}"
    said = f"No rate up to {candidates[-1].rate:.3g} passes; what fails there: {', '.join(failing)}."
    return " ".join([said, *_what_would_pass(candidates[-1], failing, need, seeds, ladder)])


def _what_would_pass(
    row: RateRow, failing: Sequence[str], need: Need | None, seeds: int | None, ladder: Ladder
) -> Iterator[str]:
    """A sentence a gate that fails at the `row`, where anything is known that would change it."""
    is_without_noise = row.reliability is None  # its gate says so, and other anchors would not change it
    is_settled = {SHUFFLED: need is not None, RELIABILITY: seeds is not None or is_without_noise}
    if need is not None:
        yield _budget(need, ladder)
    elif "progress" in failing:
        yield "The ladder is too far from passing progress to say what budget would."
    if RELIABILITY in failing and seeds is not None:
        yield f"With {seeds} seeds instead of {len(ladder.seeds)} reliability is expected to pass."
    yield from (ADVICE[gate] for gate in failing if gate in ADVICE and not is_settled.get(gate))


def _budget(need: Need, ladder: Ladder) -> str:
    cheapest = need.budgets[0]
    time = "" if cheapest.seconds is None else f", about {cheapest.seconds:,.0f} seconds a run here"
    grows = "φ grows" if need.gate == "progress" else "what shuffling costs grows"
    hedge = f" if {grows} on as it did at the end of the ladder" if need.is_extrapolated else ""
    return (
        f"{cheapest.steps:,} steps at {cheapest.rate:.3g} (instead of {ladder.steps:,}; S = {need.travel:.3g}) "
        f"would pass {need.gate}{hedge}{time}."
    )


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
    # Of the lowest rate that passes and is low enough: what was not measured elsewhere changes nothing.
    deciding = next((row for row in rows if row.passes and row.is_low_enough), None)
    if deciding is not None and (names := unmeasured_gates(deciding)):
        found.append(f"Not measured at the rate that passes: {', '.join(names)}.")
    return tuple(found)


def unmeasured_gates(row: RateRow) -> list[str]:
    """Names of the gates that stopped nobody because nothing was measured."""
    return [gate.name for gate in row.gates if gate.verdict == Verdict.NOT_MEASURED]
