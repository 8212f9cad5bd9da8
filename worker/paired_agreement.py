"""Two protocols' newest rankings under one suite against the same references, over the recipes that both rank."""

from dataclasses import asdict
from typing import Any, Literal

from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError, NotFoundError
from worker.agreement import compared_points, find_agreement
from worker.leaderboards import RNG_SEED, describe_protocol, describe_suite, find_leaderboard, newest_leaderboard
from worker.protocols import find_protocol
from worker.references import rows_of
from worker.store.models import Leaderboard, Protocol, Suite


def read_paired_agreement(
    session: Session,
    protocol: str,
    against: str,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
) -> dict[str, Any]:
    """Figures of both over the recipes that both rank and that have a reference, and Spearman of `protocol` less that
    of `against` with its paired interval.

    Without a suite, that of the newest ranking under `protocol`; without a set or metric, those of its newest
    comparison. InvalidInputError where both are one protocol, NotFoundError while one has no ranking or no recipe is
    there in all three.
    """
    from proxy.ranking.paired_agreement import pair_agreements

    first = find_leaderboard(session, protocol, suite)
    second = _other_ranking(session, first, against)
    known = find_agreement(session, first, reference_set, metric)
    if known is None:
        raise NotFoundError(f"no recipe of the ranking under {_name(session, first)} has a reference yet")
    reference_set, metric = known["reference_set"], known["metric"]
    points = _shared_points(session, first, second, reference_set, metric)
    if not points:
        raise NotFoundError(
            f"no recipe has a rank under both {_name(session, first)} and {_name(session, second)} and a reference "
            f"(set {reference_set}, metric {metric}) yet"
        )
    direction: Literal["lower", "higher"] = "lower" if known["direction"] == "lower" else "higher"
    paired = pair_agreements(
        ([point["proxy"] for point in points], [point["against"] for point in points]),
        [point["reference"] for point in points],
        direction,
        (_name(session, first), _name(session, second)),
        RNG_SEED,
    )
    return {
        "protocol": describe_protocol(session.get_one(Protocol, first.protocol_id)),
        "against": describe_protocol(session.get_one(Protocol, second.protocol_id)),
        "suite": describe_suite(session.get_one(Suite, first.suite_id)),
        "leaderboards": [first.id, second.id],
        "reference_set": reference_set,
        "metric": metric,
        "direction": direction,
        "unit": known["unit"],
        **asdict(paired),
        "points": points,
    }


def _other_ranking(session: Session, first: Leaderboard, against: str) -> Leaderboard:
    """The newest under the other protocol and the same suite: scores on two suites have no order in common."""
    other = find_protocol(session, against, "/against")
    if other.id == first.protocol_id:
        raise InvalidInputError.at("/against", against, "is the protocol itself; name another, or another version")
    board = newest_leaderboard(session, other.id, first.suite_id)
    if board is None:
        suite = session.get_one(Suite, first.suite_id)
        raise NotFoundError(f"nothing is ranked yet under protocol {against} and suite {suite.name}@{suite.version}")
    return board


def _shared_points(
    session: Session, first: Leaderboard, second: Leaderboard, reference_set: str, metric: str
) -> list[dict[str, Any]]:
    """In the order of the first ranking."""
    rows = rows_of(session, reference_set, metric)
    others = {point["recipe_id"]: point["proxy"] for point in compared_points(session, second, rows)}
    names = ("recipe", "recipe_id", "proxy", "reference", "label", "axis", "kind")
    return [
        {**{name: point[name] for name in names}, "against": others[point["recipe_id"]]}
        for point in compared_points(session, first, rows)
        if point["recipe_id"] in others
    ]


def _name(session: Session, board: Leaderboard) -> str:
    row = session.get_one(Protocol, board.protocol_id)
    return f"{row.name}@{row.version}"
