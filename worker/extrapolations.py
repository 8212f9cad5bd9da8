"""Recipes with proxies at several sizes and budgets: what a loss law foretells at the references' scale, beside the
ranking at one scale, and which of the two has earned trust."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from proxy.protocols import Protocol as ProtocolSpec
from worker.leaderboards import (
    RNG_SEED,
    describe_protocol,
    describe_suite,
    find_leaderboard,
    list_rankings,
    newest_leaderboard,
)
from worker.lookup import unique_names
from worker.protocols import find_protocol
from worker.references import label_rows, reference_metrics, rows_of
from worker.store.models import Leaderboard, Protocol, Reference, Suite
from worker.suites import find_suite

if TYPE_CHECKING:
    from proxy.ranking.law_points import LawPoint, Scale

LARGEST = 1e18  # parameters or tokens


@dataclass(frozen=True, kw_only=True)
class Question:
    """None: the newest suite that was ranked, every protocol of the reduction of `like` or of the newest ranking, the
    first reference set that has these recipes, and its references' scale."""

    suite: str | None = None
    protocols: tuple[str, ...] = ()
    like: str | None = None
    reference_set: str | None = None
    metric: str | None = None
    parameters: float | None = None
    tokens: float | None = None
    exponents: Literal["shared", "own"] = "shared"


def read_extrapolation(session: Session, question: Question) -> dict[str, Any]:
    """NotFoundError while nothing is ranked; InvalidInputError for two protocols at one scale or a missing target."""
    from proxy.ranking.extrapolation import RecipeProxies, extrapolate

    suite = _suite(session, question)
    boards = _boards(session, suite, question)
    points = _points(boards)
    rows = _reference_rows(session, question, points)
    target = _target(question, rows)
    labels = label_rows(rows)
    shown = {entry["recipe"]["id"]: entry["recipe"]["name"] for _, board in boards for entry in board.body["entries"]}
    names = unique_names(shown.items())
    proxies = [
        RecipeProxies(
            recipe=names[recipe_id],
            points=own,
            reference=labels[recipe_id].best_value if recipe_id in labels else None,
        )
        for recipe_id, own in points.items()
    ]
    direction: Literal["lower", "higher"] = "higher" if rows and rows[0].direction == "higher" else "lower"
    measured = extrapolate(proxies, target, direction, np.random.default_rng(RNG_SEED), question.exponents)
    return {
        "suite": describe_suite(suite),
        "protocols": [describe_protocol(protocol) for protocol, _ in boards],
        "reference_set": rows[0].reference_set if rows else None,
        "metric": rows[0].metric if rows else None,
        **asdict(measured),
    }


def _suite(session: Session, question: Question) -> Suite:
    if question.suite is not None:
        return find_suite(session, question.suite)
    return session.get_one(Suite, find_leaderboard(session).suite_id)


def _boards(session: Session, suite: Suite, question: Question) -> list[tuple[Protocol, Leaderboard]]:
    """The newest ranking of each chosen protocol, smallest scale first."""
    if question.protocols:
        protocols = [find_protocol(session, name) for name in question.protocols]
    else:
        ranked = [protocol for protocol, other in list_rankings(session) if other.id == suite.id]
        newest = {one.name: one for one in sorted(ranked, key=lambda one: one.version)}
        like = [find_protocol(session, question.like)] if question.like else ranked
        family = like[0].spec["reduction"] if like else None
        protocols = [one for one in newest.values() if one.spec["reduction"] == family]
    boards = [(protocol, newest_leaderboard(session, protocol.id, suite.id)) for protocol in protocols]
    found = [(protocol, board) for protocol, board in boards if board is not None]
    if not found:
        raise NotFoundError(f"nothing is ranked yet on suite {suite.name}@{suite.version} under these protocols")
    _refuse_shared_scales([protocol for protocol, _ in found])
    return sorted(found, key=lambda pair: _scale(pair[0]).compute)


def _refuse_shared_scales(protocols: Sequence[Protocol]) -> None:
    seen: dict[tuple[float, float], Protocol] = {}
    for protocol in protocols:
        scale = _scale(protocol)
        other = seen.setdefault((scale.parameters, scale.tokens), protocol)
        if other.id != protocol.id:
            names = [f"{one.name}@{one.version}" for one in (other, protocol)]
            message = "have the same size and budget; choose the protocols of one family with `protocol`"
            raise InvalidInputError.at("protocol", names, message)


def _scale(protocol: Protocol) -> "Scale":
    from proxy.ranking.law_points import Scale

    spec = ProtocolSpec.model_validate(protocol.spec)
    return Scale(parameters=spec.architecture.parameters, tokens=spec.token_budget)


def _points(boards: Sequence[tuple[Protocol, Leaderboard]]) -> "dict[str, list[LawPoint]]":
    """By recipe, its mean score at each scale with its seed error."""
    from proxy.ranking.law_points import LawPoint

    points: dict[str, list[LawPoint]] = defaultdict(list)
    for protocol, board in boards:
        scale = _scale(protocol)
        for entry in board.body["entries"]:
            if entry["rank"] is not None:
                point = LawPoint(
                    parameters=scale.parameters,
                    tokens=scale.tokens,
                    loss=entry["score"],
                    standard_error=entry.get("seed_error"),
                )
                points[entry["recipe"]["id"]].append(point)
    return dict(points)


def _reference_rows(session: Session, question: Question, points: Mapping[str, object]) -> Sequence[Reference]:
    """Of the named set, or of the first that knows one of these recipes; none where there is no such set."""
    for name, metric in reference_metrics(session):
        if question.reference_set in (None, name) and question.metric in (None, metric):
            rows = rows_of(session, name, metric)
            if any(row.recipe_id in points for row in rows):
                return rows
    for name in ("reference_set", "metric"):
        if (asked := getattr(question, name)) is not None:
            raise InvalidInputError.at(name, asked, "has no reference of these recipes")
    return []


def _target(question: Question, rows: Sequence[Reference]) -> "Scale":
    """As asked, else the references' own scale where they share one."""
    from proxy.ranking.law_points import Scale

    values: dict[str, float] = {}
    for name in ("parameters", "tokens"):
        asked = getattr(question, name)
        known = {float(getattr(row, name)) for row in rows}
        if asked is None and len(known) != 1:
            message = f"is needed: the references have {len(known)} different numbers of {name}"
            raise InvalidInputError.at(name, None, message)
        values[name] = asked if asked is not None else known.pop()
        if not (math.isfinite(values[name]) and 0 < values[name] <= LARGEST):
            raise InvalidInputError.at(name, values[name], f"must be above 0 and at most {LARGEST:g}")
    return Scale(**values)
