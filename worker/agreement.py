"""Agreement of a leaderboard with reference sets, measured again whenever either changes; its history is kept."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from proxy.fingerprints import fingerprint
from worker.external import read_snapshot, update_external_agreements
from worker.leaderboards import (
    RNG_SEED,
    describe_protocol,
    describe_suite,
    list_rankings,
    lock_suite,
    newest_leaderboard,
)
from worker.protocols import find_protocol
from worker.references import label_rows, points_of, reference_metrics, rows_of
from worker.settings import Settings
from worker.store.models import Agreement, Leaderboard, Protocol, Recipe, Reference, Suite
from worker.suites import find_suite

if TYPE_CHECKING:
    from proxy.ranking.agreement import AgreementFigures

logger = logging.getLogger(__name__)


def update_agreements(session: Session, settings: Settings, protocol_id: str, suite_id: str) -> list[Agreement]:
    """New snapshots, one a reference set, where leaderboard or references changed since the newest one.

    The suite is locked: a reference and a leaderboard that arrive at once are compared by whichever comes second.
    """
    lock_suite(session, suite_id)
    leaderboard = newest_leaderboard(session, protocol_id, suite_id)
    if leaderboard is None:
        return []
    made = [_update(session, settings, leaderboard, *pair) for pair in reference_metrics(session)]
    return [row for row in made if row is not None]


def references_changed(session: Session, settings: Settings, reference_sets: Collection[str] = ()) -> None:
    """References of these sets arrived: every leaderboard is compared again, in the order in which suites are locked,
    and then every set of external scores."""
    for protocol, suite in sorted(list_rankings(session), key=lambda pair: (pair[1].id, pair[0].id)):
        update_agreements(session, settings, protocol.id, suite.id)
    update_external_agreements(session, changed_references=reference_sets)


def _update(
    session: Session, settings: Settings, leaderboard: Leaderboard, reference_set: str, metric: str
) -> Agreement | None:
    rows = rows_of(session, reference_set, metric)
    evidence = fingerprint([leaderboard.evidence, [row.request_key for row in rows]])
    newest = _newest(session, leaderboard, reference_set, metric)
    if newest is not None and newest.evidence == evidence:
        return None
    points = compared_points(session, leaderboard, rows)
    if not points:
        return None
    row = Agreement(
        protocol_id=leaderboard.protocol_id,
        suite_id=leaderboard.suite_id,
        reference_set=reference_set,
        metric=metric,
        evidence=evidence,
        body=_body(session, settings, leaderboard, rows, points),
    )
    session.add(row)
    session.flush()
    return row


def compared_points(session: Session, leaderboard: Leaderboard, rows: Sequence[Reference]) -> list[dict[str, Any]]:
    """Recipes that have both a rank and a reference, best proxy first, with their seed errors and tags."""
    from proxy.ranking.reference_noise import errors_of_best

    labels = label_rows(rows)
    errors = errors_of_best(points_of(rows), labels)
    tags = _tags(session, [entry["recipe"]["id"] for entry in leaderboard.body["entries"]])
    return [
        {
            "recipe": entry["recipe"]["name"],
            "recipe_id": entry["recipe"]["id"],
            "proxy": entry["score"],
            "reference": label.best_value,
            "label": str(label.label),
            "proxy_error": entry.get("seed_error"),
            "reference_error": errors.get(entry["recipe"]["id"]),
            "axis": tags.get(entry["recipe"]["id"], {}).get("axis"),
            "kind": tags.get(entry["recipe"]["id"], {}).get("kind"),
        }
        for entry in leaderboard.body["entries"]
        if entry["rank"] is not None
        and (label := labels.get(entry["recipe"]["id"])) is not None
        and label.best_value is not None
    ]


def _tags(session: Session, recipe_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    rows = session.execute(select(Recipe.id, Recipe.spec).where(Recipe.id.in_(recipe_ids)))
    return {recipe_id: spec.get("tags", {}) for recipe_id, spec in rows}


def _body(
    session: Session,
    settings: Settings,
    leaderboard: Leaderboard,
    rows: Sequence[Reference],
    points: list[dict[str, Any]],
) -> dict[str, Any]:
    from proxy.ranking.agreement import measure_agreement, resamples_for
    from proxy.ranking.conclusion import conclude
    from proxy.ranking.tuning import Label

    sample = rows[0]
    direction: Literal["lower", "higher"] = "lower" if sample.direction == "lower" else "higher"
    rng = np.random.default_rng(RNG_SEED)
    proxy, reference = [point["proxy"] for point in points], [point["reference"] for point in points]
    figures = measure_agreement(proxy, reference, direction, rng, resamples_for(len(points)))
    return {
        "protocol": describe_protocol(session.get_one(Protocol, leaderboard.protocol_id)),
        "suite": describe_suite(session.get_one(Suite, leaderboard.suite_id)),
        "leaderboard": leaderboard.id,
        "reference_set": sample.reference_set,
        "metric": sample.metric,
        "direction": sample.direction,
        "unit": sample.unit,
        **asdict(figures),
        "conclusion": conclude(figures, [Label(point["label"]) for point in points]),
        **_taken_apart(points, direction),
        "alarm": _alarm(figures, settings.agreement_alarm),
        "points": points,
        "references": len(rows),
    }


def _taken_apart(points: Sequence[Mapping[str, Any]], direction: Literal["lower", "higher"]) -> dict[str, Any]:
    """By axis, without easy recipes, and what seed noise alone allows."""
    from proxy.ranking.breakdown import ComparedRecipe, break_down

    names = ("proxy", "reference", "proxy_error", "reference_error", "axis", "kind")
    compared = [ComparedRecipe(**{name: point[name] for name in names}) for point in points]
    return asdict(break_down(compared, direction, np.random.default_rng(RNG_SEED)))


def _alarm(figures: "AgreementFigures", threshold: float) -> str | None:
    """A sentence where the interval reaches below what the operator can live with."""
    if not figures.is_evidence or figures.spearman_low is None or figures.spearman_low >= threshold:
        return None
    words = f"Spearman may be as low as {figures.spearman_low:.2f} (95 %), below the alarm's {threshold:.2f}."
    logger.warning("agreement alarm: %s", words)
    return words


def _newest(
    session: Session, leaderboard: Leaderboard, reference_set: str | None, metric: str | None
) -> Agreement | None:
    query = select(Agreement).where(
        Agreement.protocol_id == leaderboard.protocol_id, Agreement.suite_id == leaderboard.suite_id
    )
    if reference_set is not None:
        query = query.where(Agreement.reference_set == reference_set)
    if metric is not None:
        query = query.where(Agreement.metric == metric)
    return session.scalars(query.order_by(Agreement.created_at.desc(), Agreement.id).limit(1)).first()


def find_agreement(
    session: Session, leaderboard: Leaderboard, reference_set: str | None, metric: str | None
) -> dict[str, Any] | None:
    """What the newest comparison of this ranking with a set and metric says; without them, with any, and None if there
    is none. InvalidInputError for a set or metric in which no recipe of the ranking has a reference."""
    row = _newest(session, leaderboard, reference_set, metric)
    if row is None:
        for name, asked in (("reference_set", reference_set), ("metric", metric)):
            if asked is not None:
                raise InvalidInputError.at(name, asked, "no recipe of this ranking has a reference there")
    return None if row is None else row.body


def list_history(
    session: Session,
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
    proxy_set: str | None = None,
) -> Sequence[Agreement]:
    """Every comparison ever made, the newest first: of one version where a version is named, else of all."""
    query = select(Agreement)
    if protocol is not None:
        query = query.where(Agreement.protocol_id == find_protocol(session, protocol).id)
    if suite is not None:
        query = query.where(Agreement.suite_id == find_suite(session, suite).id)
    if reference_set is not None:
        query = query.where(Agreement.reference_set == reference_set)
    if metric is not None:
        query = query.where(Agreement.metric == metric)
    if proxy_set is not None:
        query = query.where(Agreement.proxy_set == proxy_set)
    return session.scalars(query.order_by(Agreement.created_at.desc(), Agreement.id)).all()


def read_agreement(
    session: Session,
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
) -> dict[str, Any]:
    """The newest snapshot as people read it. NotFoundError while there is nothing to compare."""
    protocol_id = find_protocol(session, protocol).id if protocol is not None else None
    suite_id = find_suite(session, suite).id if suite is not None else None
    leaderboard = newest_leaderboard(session, protocol_id, suite_id)
    row = leaderboard and _newest(session, leaderboard, reference_set, metric)
    if not row:
        raise NotFoundError(
            f"no recipe has both a rank (protocol {protocol or 'any'}, suite {suite or 'any'}) and a reference "
            f"(set {reference_set or 'any'}, metric {metric or 'any'}) yet"
        )
    return read_snapshot(session, row)
