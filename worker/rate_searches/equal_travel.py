"""A ladder at equal Σ rates: what each rate scored where it had travelled as far as a lower rate did in its whole run.

A run in its middle is one checkpoint, so a whole run counts here by its last checkpoint alone and not by the mean of
its last ones. What was trained before anybody asked for scores on the way has none, and is not trained again.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from worker.cohorts.messages import NEAR_SHARE, CheckpointScore, MiddleScore, SetResult
from worker.set_results import set_results
from worker.store.models import RateSearch, Run, RunScore

if TYPE_CHECKING:
    from proxy.ranking.rate_search import Ladder, LadderRun

    Found = Sequence[tuple[Run, LadderRun]]

Level = dict[str, Any]


def with_rates(
    session: Session, search: RateSearch, ladder: "Ladder", found: "Found", levels: Sequence[Level]
) -> list[Level]:
    """Each level, the Σ rates of the ladder's rates in ascending order, with `rates`, the rows of those whose runs all
    have a score there, and `missing`, why each other one that came so far has none."""
    known = {(one.anchor, one.rate, one.seed): _Run(session, search, run, one) for run, one in found}
    filled = []
    for lowest, level in zip(ladder.rates, levels, strict=True):
        rows, missing = [], {}
        for rate in (rate for rate in ladder.rates if rate >= lowest):
            runs = [known[one.anchor, one.rate, one.seed] for one in ladder.runs_at(rate)]
            row = _row(runs, lowest / rate, ladder)
            if isinstance(row, str):
                missing[f"{rate:.6g}"] = row
            else:
                rows.append(row)
        filled.append({**level, "rates": rows, "missing": missing})
    return filled


class _Run:
    """One run of the ladder with its scored steps: by step, the share of Σ rates and the score there."""

    def __init__(self, session: Session, search: RateSearch, run: Run, one: "LadderRun") -> None:
        self.one = one
        score = session.get(RunScore, (run.id, search.suite_id))
        self.has_score = score is not None and one.score is not None
        measured = (run.result or {}).get("suites", {}).get(search.suite_id, {})
        middles = [MiddleScore.model_validate(part) for part in measured.get("middles", ())]
        ends = [CheckpointScore.model_validate(part) for part in (score.checkpoints if score else None) or ()]
        self.at: dict[int, tuple[float, CheckpointScore]] = {part.step: (part.share, part) for part in middles}
        self.at |= {part.step: (1.0, part) for part in ends if part.step == search.steps}
        self.sets = set_results(session, run, search.suite_id) if self.at else {}

    def ladder_run(self, step: int) -> "LadderRun":
        """As if it had been scored by this step alone."""
        scored = self.at[step][1]
        progress = {name: _progress(self.sets[name], bits) for name, bits in scored.sets.items() if name in self.sets}
        return replace(self.one, score=scored.score, progress=progress)


def _row(runs: Sequence[_Run], share: float, ladder: "Ladder") -> dict[str, Any] | str:
    """At the step that is nearest to the share of the whole Σ rates, of those that all runs know; or why there is none.
    `is_end`: a run of so many steps would have ended there."""
    from proxy.ranking.rate_search import Thresholds, row_at

    if not all(run.has_score for run in runs):
        return "a run diverged or has no score"
    near = [{step for step, (at, _) in run.at.items() if abs(at - share) <= NEAR_SHARE * share} for run in runs]
    steps = set.intersection(*near)
    if not steps:
        without = sum(not part for part in near)
        return f"{without or len(runs)} of {len(runs)} runs were not scored there"
    step = min(steps, key=lambda step: abs(runs[0].at[step][0] - share))
    row = row_at([run.ladder_run(step) for run in runs], Thresholds().level)
    is_end = step == ladder.steps or all(run.at[step][1].is_budget for run in runs)
    travel = runs[0].at[step][0] * ladder.travel(row.rate)
    return {**asdict(row), "step": step, "travel": travel, "is_end": is_end}


def _progress(whole: SetResult, bits_per_byte: float) -> float | None:
    """φ of a set that was measured at the end, where it scored so many bits per byte."""
    nats = bits_per_byte * math.log(2) * whole.text_bytes / whole.tokens
    return whole.model_copy(update={"nats_per_token": nats}).progress
