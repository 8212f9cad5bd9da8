"""Whether a protocol's anchors, the recipes that it was made with, pass the gates under it. If they do not, its
rankings are of something else than what recipes are worth, and it is refused.

No bound is above that of a rate search: a protocol that one made is not refused for the runs it was made of.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.ranking.gates import PROGRESS

SHARE_OF_PAIRS = 0.9  # of (anchor, set) pairs
DECISIVE = ("learned nothing", "numerical floor")  # beside what breaks a run


@dataclass(frozen=True, kw_only=True)
class AnchorRuns:
    """One anchor under a protocol and suite. `failed`: names of gates that a run failed; `is_broken`: it is unranked
    for one. `progress`: φ by set, one mapping a run."""

    recipe: str
    failed: tuple[str, ...]
    is_broken: bool
    progress: Sequence[Mapping[str, float | None]]


def refuse(anchors: Sequence[AnchorRuns]) -> str | None:
    """Why nothing is ranked, in a sentence; None where the anchors pass, or nothing is known of them."""
    broken = [f"{anchor.recipe} ({', '.join(anchor.failed)})" for anchor in anchors if anchor.is_broken]
    if broken:
        return f"The protocol's anchors break under it: {'; '.join(broken)}."
    for gate in DECISIVE:
        failing = [anchor.recipe for anchor in anchors if gate in anchor.failed]
        if failing:
            return f"The protocol's anchors fail the gate {gate!r} under it: {', '.join(failing)}."
    pairs = [value for anchor in anchors for value in _mean_progress(anchor)]
    reached = sum(value >= PROGRESS for value in pairs)
    if not pairs or reached >= SHARE_OF_PAIRS * len(pairs):
        return None
    return (
        f"φ ≥ {PROGRESS:g} on {reached} of {len(pairs)} (anchor, set) pairs, and {SHARE_OF_PAIRS:.0%} are needed: "
        "under this protocol proxies learn too little to be ranked."
    )


def _mean_progress(anchor: AnchorRuns) -> list[float]:
    """Of each set over the runs; sets where φ is unknown are left out."""
    values: dict[str, list[float]] = {}
    for run in anchor.progress:
        for name, value in run.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return [math.fsum(found) / len(found) for found in values.values()]
