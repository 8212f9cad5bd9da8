"""What a search costs before it starts: the runs that are not there yet, and the time they would take here."""

from statistics import median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.protocols import Protocol as ProtocolSpec
from proxy.protocols import fingerprint_run
from proxy.seeds import seeds_from
from worker.rate_searches.controls import SEEDS
from worker.rate_searches.ladders import Plan
from worker.store.models import Protocol, Run
from worker.store.states import State

RECENT_RUNS = 20
LOOKED_AT = 200  # finished runs, newest first: those of other architectures say nothing about this one's speed


def estimate(session: Session, plan: Plan) -> dict[str, Any]:
    """Runs, tokens, FLOPs and device seconds (None where nothing like it has been trained here). Runs that have
    finished are not trained again. The control counts once, at the rate where most of it is there: where the first rate
    that would be chosen fails it, it is trained at the next one too."""
    ladder = {name for spec in plan.specs for name in _runs(plan, spec, plan.seeds)}
    control = max((_finished(session, _runs(plan, spec, SEEDS)) for spec in plan.control_specs), default=0)
    runs = len(ladder) + SEEDS * len(plan.anchors)
    missing = runs - _finished(session, ladder) - control
    spec = plan.specs[0]
    speed = speed_of(session, spec)
    tokens = missing * spec.token_budget
    return {
        "runs": runs,
        "runs_to_train": missing,
        "tokens": tokens,
        "training_flops": missing * spec.training_flops(),
        "tokens_per_second": speed,
        "device_seconds": None if speed is None else tokens / speed,
    }


def _runs(plan: Plan, spec: ProtocolSpec, seeds: int) -> set[str]:
    """Fingerprints of all anchors' runs under a protocol."""
    return {
        fingerprint_run(
            recipe_fingerprint=anchor.fingerprint, protocol=spec, learning_rate=spec.learning_rate, seed=seed
        )
        for anchor in plan.anchors
        for seed in seeds_from(plan.first_seed, seeds)
    }


def _finished(session: Session, wanted: set[str]) -> int:
    there = select(Run.fingerprint).where(Run.fingerprint.in_(wanted), Run.state == State.FINISHED)
    return len(session.scalars(there).all())


def speed_of(session: Session, spec: ProtocolSpec) -> float | None:
    """Tokens a second of a run of this architecture and batch lately; None if there was none."""
    recent = (
        select(Run.result, Protocol.spec)
        .join(Protocol, Protocol.id == Run.protocol_id)
        .where(Run.state == State.FINISHED)
        .order_by(Run.finished_at.desc())
        .limit(LOOKED_AT)
    )
    alike = [
        result["tokens_per_second"]
        for result, other in session.execute(recent)
        if result and result.get("tokens_per_second") and _is_as_fast(ProtocolSpec.model_validate(other), spec)
    ]
    return median(alike[:RECENT_RUNS]) if alike else None


def _is_as_fast(one: ProtocolSpec, other: ProtocolSpec) -> bool:
    return (one.architecture, one.batch_sequences, one.precision, one.device_class) == (
        other.architecture,
        other.batch_sequences,
        other.precision,
        other.device_class,
    )
