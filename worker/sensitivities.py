"""How a ranking hangs on the weights of its suite's sets."""

from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from proxy.errors import NotFoundError
from proxy.suites import Suite as SuiteSpec
from worker.leaderboards import (
    describe_protocol,
    describe_suite,
    find_leaderboard,
    gather_digest,
)
from worker.lookup import unique_names
from worker.recipe_results import results_with_losses
from worker.settings import Settings
from worker.store.models import Protocol, Suite


def read_sensitivity(
    session: Session, settings: Settings, protocol: str | None = None, suite: str | None = None, factor: float = 2.0
) -> dict[str, Any]:
    """Of the newest ranking under a protocol and suite, or any; recipes by name. NotFoundError while nothing is."""
    from proxy.ranking.sensitivity import measure_sensitivity
    from proxy.ranking.set_noise import estimate_set_noise, mean_set_scores

    ranking = find_leaderboard(session, protocol, suite)
    protocol_row = session.get_one(Protocol, ranking.protocol_id)
    suite_row = session.get_one(Suite, ranking.suite_id)
    found = results_with_losses(session, settings, protocol_row, suite_row)
    results = [part for part in found if not part.is_broken()]
    if not results:
        raise NotFoundError("every recipe of this ranking broke; there is no order to vary")
    evidence = gather_digest(settings, protocol_row, suite_row, results)
    shares = SuiteSpec.model_validate(suite_row.spec).shares()
    measured = measure_sensitivity(
        mean_set_scores(evidence),
        list(unique_names((part.recipe.id, part.recipe.name) for part in results).values()),
        {part.name: shares[part.name] for part in evidence.sets},
        noise=estimate_set_noise(evidence),
        factor=factor,
    )
    return {
        "protocol": describe_protocol(protocol_row),
        "suite": describe_suite(suite_row),
        **asdict(measured),
    }
