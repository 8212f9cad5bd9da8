"""Faults planted in real, tiny trainings: each must be caught by the gates, and a healthy run by none.

A run that learned nothing; shuffled text; a leak; a divergence; weights kept in bf16. 0.15M proxies on the text
of the installed packages, laboratory.py.

`python -m tests.benchmarks.study.planted` prints the rows.
"""

from collections.abc import Callable, Iterator, Sequence
from unittest.mock import patch

from proxy.lm.trainer import Lesson, Trainer
from proxy.ranking.rate_search import Ladder, LadderRun, search_rate
from tests.benchmarks.figures import Row, at_least, at_most, for_information
from tests.benchmarks.study.laboratory import (
    BATCH_SEQUENCES,
    CONTEXT,
    STANDARD_RATE,
    STEPS,
    Laboratory,
    Trained,
    open_laboratory,
)
from worker.cohorts.floor import update_ulps_of
from worker.rate_searches.evidence import shuffled_costs
from worker.store.states import State

STANDING_STILL, BARELY, REDUCED, EXPLODING = 1e-8, 3e-5, 1e-3, 1.0
ANCHORS = ("prose", "python", "both")
LADDER = (BARELY, REDUCED, STANDARD_RATE)
SEEDS = 2


class CoarseTrainer(Trainer):
    """Keeps its weights in bf16: they are rounded after every step."""

    def train(self, lessons: Sequence[Lesson], most_steps: int, must_pause: Callable[[], bool] = lambda: False) -> None:
        for _ in range(most_steps):
            super().train(lessons, 1, must_pause)
            for lesson in lessons:
                weights_P = self.state_of(lesson.seat).weights_P
                weights_P.copy_(weights_P.bfloat16())


def measure() -> list[Row]:
    """Every case after the healthy one."""
    with open_laboratory() as laboratory:
        cases = (healthy, learned_nothing, diverged, leaking, in_bf16, shuffled)
        return [row for case in cases for row in case(laboratory)]


def healthy(laboratory: Laboratory) -> Iterator[Row]:
    """Caught by nothing."""
    (run,) = laboratory.train(laboratory.cohort("both"))
    yield at_most(f"a healthy run: gates failed ({_named(run)})", float(len(run.failed)), 0)
    yield for_information("a healthy run: φ on its worst set", run.gates["progress"]["value"])
    yield for_information("a healthy run: median update in ulp", run.gates["numerical floor"]["value"])


def learned_nothing(laboratory: Laboratory) -> Iterator[Row]:
    """A rate at which it stands still; and one at which the published gate passes although word counts decide."""
    still, barely = laboratory.train(laboratory.cohort("both"), (STANDING_STILL, BARELY))
    yield _caught("a run that stands still", still, "learned nothing")
    yield _caught("a run that stands still", still, "numerical floor")
    yield _caught("a run that has barely learned", barely, "progress")
    yield for_information("… passes the published gate with a loss drop of", barely.gates["learned nothing"]["value"])


def diverged(laboratory: Laboratory) -> Iterator[Row]:
    """Its loss is none, or ends above its start: either way it is not ranked."""
    (run,) = laboratory.train(laboratory.cohort("both"), (EXPLODING,))
    is_broken = run.outcome.state == State.FAILED or "diverged" in run.failed
    told = run.outcome.error or f"final loss {run.result.final_loss:.3g} after {run.result.initial_loss:.3g}"
    yield at_least(f"a divergence is caught ({told})", float(is_broken), 1)


def leaking(laboratory: Laboratory) -> Iterator[Row]:
    """Held-out documents under a new first line; the score is better, and the recipe unranked."""
    (leaky,), (clean,) = (laboratory.train(laboratory.cohort(name)) for name in ("leaking", "prose"))
    yield _caught("a leak", leaky, "leak")
    yield at_least("a leak: the recipe is not ranked", float(leaky.gates["leak"]["is_fatal"]), 1)
    yield for_information("a leak: share of the set's documents", leaky.gates["leak"]["value"])
    yield for_information(
        "a leak: bits per byte on the set less those of the clean recipe",
        leaky.sets["prose"].bits_per_byte - clean.sets["prose"].bits_per_byte,
    )


def in_bf16(laboratory: Laboratory) -> Iterator[Row]:
    """Stored in fp32 like all weights; their own bits give them away."""
    with patch("proxy.lm.cohort.Trainer", CoarseTrainer):
        (run,) = laboratory.train(laboratory.cohort("both"), (REDUCED,))
    (fine,) = laboratory.train(laboratory.cohort("both"), (REDUCED,))
    yield _caught("weights kept in bf16", run, "numerical floor")
    yield at_most("weights kept in bf16: bits behind the leading one", float(run.result.weight_bits or 0), 7)
    yield at_least("weights kept in fp32: median update in ulp", fine.gates["numerical floor"]["value"], 32)
    yield for_information("weights kept in bf16: median update in ulp", run.gates["numerical floor"]["value"])
    yield for_information("weights kept in bf16: what it costs in bits per byte", (run.score or 0) - (fine.score or 0))


def shuffled(laboratory: Laboratory) -> Iterator[Row]:
    """A run on shuffled text, and the search's own gate: where little was learned, shuffling must be found to cost too
    little, and where enough was, to cost enough."""
    ordered = {name: laboratory.train(laboratory.cohort(name, seeds=SEEDS), LADDER) for name in ANCHORS}
    control = {name: laboratory.train(laboratory.cohort(name, shuffled=True), LADDER) for name in ANCHORS}
    for name in ANCHORS:
        trained = next(run for run in control[name] if run.run.learning_rate == STANDARD_RATE)
        yield _caught(f"shuffled text, {name}, fully trained", trained, "progress")
    finding = search_rate(_ladder(ordered, control))
    for row, must_pass in zip(finding.rates, (False, True, True), strict=True):
        gate = next(gate for gate in row.gates if gate.name == "shuffled tokens")
        what = "passes" if must_pass else "fails"
        figure = f"what shuffling costs at {row.rate:g} {what} the gate ({gate.message})"
        yield at_least(figure, float((gate.verdict == "passed") is must_pass), 1)
    yield from _seed_noise(ordered)


def _seed_noise(ordered: dict[str, list[Trained]]) -> Iterator[Row]:
    """How far a control of one seed may err: a seed's deviation on the scale that the cost is read on."""
    spread = [
        abs(one.sets[part].progress - other.sets[part].progress)  # type: ignore[operator]  # both were measured
        for runs in ordered.values()
        for one, other in zip(runs[::SEEDS], runs[1::SEEDS], strict=True)
        for part in one.sets
        if one.run.learning_rate == REDUCED
    ]
    yield for_information("difference of two seeds in φ at the reduced rate, the largest", max(spread))


def _ladder(ordered: dict[str, list[Trained]], control: dict[str, list[Trained]]) -> Ladder:
    costs = {
        (name, run.run.learning_rate): run.sets for name, runs in control.items() for run in runs if run.run.seed == 0
    }
    runs = [
        LadderRun(
            anchor=name,
            rate=run.run.learning_rate,
            seed=run.run.seed,
            score=run.score,
            progress={part: found.progress for part, found in run.sets.items()},
            shuffled_cost=shuffled_costs(run.sets, costs[name, run.run.learning_rate]) if run.run.seed == 0 else {},
            update_ulps=update_ulps_of(run.outcome.result or {}),
        )
        for name, trained in ordered.items()
        for run in trained
    ]
    return Ladder(runs=tuple(runs), steps=STEPS, travel_steps=float(STEPS), batch_tokens=BATCH_SEQUENCES * CONTEXT)


def _caught(case: str, run: Trained, gate: str) -> Row:
    found = run.gates[gate]
    return at_least(f"{case} is caught by {gate!r} ({found['message']})", float(not found["passed"]), 1)


def _named(run: Trained) -> str:
    return ", ".join(run.failed) or "none"


if __name__ == "__main__":
    for row in measure():
        print(row["holds"], row["value"], row["must"], row["figure"], sep="\t", flush=True)
