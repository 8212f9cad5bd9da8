"""Proxy scores from elsewhere against reference sets: a team's past, or a published study, replayed.

A set of external scores stands where a leaderboard does for our own protocols. Each of its agreements is a snapshot
too, measured again when either side changes.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from proxy.errors import NotFoundError
from proxy.fingerprints import fingerprint
from proxy.ranking.agreement import Direction
from proxy.ranking.tuning import TuningLabel, label_sweeps
from worker.lookup import unknown
from worker.references import recipe_key, reference_metrics, rows_of, sweep_point
from worker.store.models import Agreement, ExternalScore, Protocol, Reference

SNAPSHOT_LOCK = 0x0F02E7A61D  # one writer of these snapshots at a time, or the newest might have seen less


def proxy_sets(session: Session) -> Sequence[str]:
    """Names of all sets of external scores."""
    return session.scalars(select(ExternalScore.proxy_set).distinct().order_by(ExternalScore.proxy_set)).all()


def list_scores(session: Session, proxy_set: str | None = None) -> Sequence[ExternalScore]:
    """Oldest first. InvalidInputError for an unknown set."""
    query = select(ExternalScore).order_by(ExternalScore.created_at, ExternalScore.id)
    if proxy_set is not None:
        names = proxy_sets(session)
        if proxy_set not in names:
            raise unknown("/proxy_set", proxy_set, "set of external scores", names)
        query = query.where(ExternalScore.proxy_set == proxy_set)
    return session.scalars(query).all()


def update_external_agreements(
    session: Session, changed_proxies: Collection[str] = (), changed_references: Collection[str] = ()
) -> list[Agreement]:
    """New snapshots of every pair of sets of which one changed."""
    names = proxy_sets(session)
    if not names:
        return []
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SNAPSHOT_LOCK})
    made = [
        _update(session, proxy_set, reference_set, metric)
        for proxy_set in names
        for reference_set, metric in reference_metrics(session)
        if proxy_set in changed_proxies or reference_set in changed_references
    ]
    return [row for row in made if row is not None]


def _update(session: Session, proxy_set: str, reference_set: str, metric: str) -> Agreement | None:
    proxies = session.scalars(
        select(ExternalScore).where(ExternalScore.proxy_set == proxy_set).order_by(ExternalScore.request_key)
    ).all()
    references = rows_of(session, reference_set, metric)
    evidence = fingerprint([[row.request_key for row in proxies], [row.request_key for row in references]])
    newest = _newest(session, proxy_set, reference_set, metric)
    if newest is not None and newest.evidence == evidence:
        return None
    body = _body(session, proxies, references)
    if not body["n"]:
        return None
    row = Agreement(proxy_set=proxy_set, reference_set=reference_set, metric=metric, evidence=evidence, body=body)
    session.add(row)
    session.flush()
    return row


def _body(session: Session, proxies: Sequence[ExternalScore], references: Sequence[Reference]) -> dict[str, Any]:
    from proxy.results.comparison import compare_scores

    rows: list[ExternalScore | Reference] = [*proxies, *references]
    names = _name_recipes(rows)
    axes = {names[recipe_key(row)]: row.axis for row in rows if row.axis}
    comparison = compare_scores(
        {name: label.best_value for name, label in _label(proxies, names).items() if label.best_value is not None},
        _label(references, names),
        _direction(references[0]),
        _direction(proxies[0]),
        axes,
    )
    first = references[0]
    return {
        "proxy_set": proxies[0].proxy_set,
        "proxy_metric": proxies[0].metric,
        "proxy_direction": proxies[0].direction,
        "reference_set": first.reference_set,
        "metric": first.metric,
        "direction": first.direction,
        "unit": first.unit,
        **comparison.as_json(),
        "references": len(references),
    }


def _label(rows: Sequence[ExternalScore | Reference], names: dict[str, str]) -> dict[str, TuningLabel]:
    """By shown name: what came before a recipe was registered, and after, is one recipe's."""
    points = [replace(sweep_point(row), recipe=names[recipe_key(row)]) for row in rows]
    return label_sweeps(points, _direction(rows[0]))


def _name_recipes(rows: Sequence[ExternalScore | Reference]) -> dict[str, str]:
    """A name a recipe, which both sides share: by it the registered and the unregistered meet. Two registered recipes
    of one name keep apart by their ids."""
    found = {recipe_key(row): row.recipe_name for row in rows}
    registered = Counter(name for key, name in found.items() if not key.startswith("name:"))
    return {key: f"{name} ({key})" if registered[name] > 1 else name for key, name in found.items()}


def _direction(row: ExternalScore | Reference) -> Direction:
    return "lower" if row.direction == "lower" else "higher"


def read_snapshot(session: Session, row: Agreement) -> dict[str, Any]:
    """A stored comparison as people read it, with how many were tried against the same references by now."""
    head = {"id": row.id, "created_at": row.created_at.isoformat()}
    return {**head, **row.body, "protocols_tried": count_tried(session, row.reference_set)}


def count_tried(session: Session, reference_set: str) -> int:
    """How many protocols and external sets were compared with this set: the best of many flatters. Versions that train
    alike count once."""
    alike = (
        select(Protocol.cohort_key, Protocol.learning_rate)
        .join(Agreement, Agreement.protocol_id == Protocol.id)
        .where(Agreement.reference_set == reference_set)
        .distinct()
    )
    external = select(func.count(Agreement.proxy_set.distinct())).where(Agreement.reference_set == reference_set)
    return len(session.execute(alike).all()) + (session.scalar(external) or 0)


def _newest(session: Session, proxy_set: str, reference_set: str | None, metric: str | None) -> Agreement | None:
    query = select(Agreement).where(Agreement.proxy_set == proxy_set)
    if reference_set is not None:
        query = query.where(Agreement.reference_set == reference_set)
    if metric is not None:
        query = query.where(Agreement.metric == metric)
    return session.scalars(query.order_by(Agreement.created_at.desc(), Agreement.id).limit(1)).first()


def read_external_agreement(
    session: Session, proxy_set: str, reference_set: str | None = None, metric: str | None = None
) -> dict[str, Any]:
    """The newest snapshot as people read it. InvalidInputError for an unknown set, NotFoundError where nothing is
    common."""
    names = proxy_sets(session)
    if proxy_set not in names:
        raise unknown("/proxy_set", proxy_set, "set of external scores", names)
    row = _newest(session, proxy_set, reference_set, metric)
    if row is None:
        raise NotFoundError(f"no recipe has both a score in {proxy_set} and a reference (set {reference_set or 'any'})")
    return read_snapshot(session, row)
