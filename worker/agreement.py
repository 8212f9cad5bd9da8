"""Agreement of a leaderboard with reference sets, measured again whenever either changes; its history is kept."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import NotFoundError
from proxy.fingerprints import fingerprint
from worker.external import count_tried, update_external_agreements
from worker.leaderboards import (
    RNG_SEED,
    describe_protocol,
    describe_suite,
    list_rankings,
    lock_suite,
    newest_leaderboard,
)
from worker.protocols import find_protocol
from worker.references import label_rows, reference_sets
from worker.store.models import Agreement, Leaderboard, Protocol, Reference, Suite
from worker.suites import find_suite


def update_agreements(session: Session, protocol_id: str, suite_id: str) -> list[Agreement]:
    """New snapshots, one a reference set, where leaderboard or references changed since the newest one.

    The suite is locked: a reference and a leaderboard that arrive at once are compared by whichever comes second.
    """
    lock_suite(session, suite_id)
    leaderboard = newest_leaderboard(session, protocol_id, suite_id)
    if leaderboard is None:
        return []
    made = [_update(session, leaderboard, name) for name in reference_sets(session)]
    return [row for row in made if row is not None]


def references_changed(session: Session, reference_sets: Collection[str] = ()) -> None:
    """References of these sets arrived: every leaderboard is compared again, in the order in which suites are locked,
    and then every set of external scores."""
    for protocol, suite in sorted(list_rankings(session), key=lambda pair: (pair[1].id, pair[0].id)):
        update_agreements(session, protocol.id, suite.id)
    update_external_agreements(session, changed_references=reference_sets)


def _update(session: Session, leaderboard: Leaderboard, reference_set: str) -> Agreement | None:
    query = select(Reference).where(Reference.reference_set == reference_set).order_by(Reference.request_key)
    rows = session.scalars(query).all()
    points = _points(leaderboard, rows)
    evidence = fingerprint([leaderboard.evidence, [row.request_key for row in rows]])
    newest = _newest(session, leaderboard.protocol_id, leaderboard.suite_id, reference_set)
    if not points or (newest is not None and newest.evidence == evidence):
        return None
    row = Agreement(
        protocol_id=leaderboard.protocol_id,
        suite_id=leaderboard.suite_id,
        reference_set=reference_set,
        evidence=evidence,
        body=_body(session, leaderboard, rows[0], points),
    )
    session.add(row)
    session.flush()
    return row


def _points(leaderboard: Leaderboard, rows: Sequence[Reference]) -> list[dict[str, Any]]:
    """Recipes that have both a rank and a reference, best proxy first."""
    labels = label_rows(rows)
    return [
        {
            "recipe": entry["recipe"]["name"],
            "recipe_id": entry["recipe"]["id"],
            "proxy": entry["score"],
            "reference": label.best_value,
            "label": str(label.label),
        }
        for entry in leaderboard.body["entries"]
        if entry["rank"] is not None
        and (label := labels.get(entry["recipe"]["id"])) is not None
        and label.best_value is not None
    ]


def _body(
    session: Session, leaderboard: Leaderboard, sample: Reference, points: list[dict[str, Any]]
) -> dict[str, Any]:
    from proxy.ranking.agreement import measure_agreement

    figures = measure_agreement(
        np.array([point["proxy"] for point in points]),
        np.array([point["reference"] for point in points]),
        "lower" if sample.direction == "lower" else "higher",
        np.random.default_rng(RNG_SEED),
    )
    return {
        "protocol": describe_protocol(session.get_one(Protocol, leaderboard.protocol_id)),
        "suite": describe_suite(session.get_one(Suite, leaderboard.suite_id)),
        "leaderboard": leaderboard.id,
        "reference_set": sample.reference_set,
        "metric": sample.metric,
        "direction": sample.direction,
        "unit": sample.unit,
        **asdict(figures),
        "points": points,
        "protocols_tried": count_tried(session, sample.reference_set, protocol_id=leaderboard.protocol_id),
    }


def _newest(session: Session, protocol_id: str, suite_id: str, reference_set: str | None) -> Agreement | None:
    query = select(Agreement).where(Agreement.protocol_id == protocol_id, Agreement.suite_id == suite_id)
    if reference_set is not None:
        query = query.where(Agreement.reference_set == reference_set)
    return session.scalars(query.order_by(Agreement.created_at.desc(), Agreement.id).limit(1)).first()


def read_agreement(
    session: Session, protocol: str | None = None, suite: str | None = None, reference_set: str | None = None
) -> dict[str, Any]:
    """The newest snapshot as people read it. NotFoundError while there is nothing to compare."""
    protocol_id = find_protocol(session, protocol).id if protocol is not None else None
    suite_id = find_suite(session, suite).id if suite is not None else None
    leaderboard = newest_leaderboard(session, protocol_id, suite_id)
    row = leaderboard and _newest(session, leaderboard.protocol_id, leaderboard.suite_id, reference_set)
    if not row:
        raise NotFoundError(
            f"no recipe has both a rank (protocol {protocol or 'any'}, suite {suite or 'any'}) and a reference "
            f"(set {reference_set or 'any'}) yet"
        )
    return {"id": row.id, "created_at": row.created_at.isoformat(), **row.body}
