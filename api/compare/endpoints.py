"""The decision card: which of two recipes, and how sure."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.dependencies import Reading, SettingsOf
from worker.comparisons import Question, compare_recipes

router = APIRouter(prefix="/compare", tags=["compare"])


@router.get("")
def show(
    session: Reading,
    settings: SettingsOf,
    a: Annotated[str, Query(description="name, fingerprint or id of a recipe")],
    b: Annotated[str, Query(description="the recipe to compare it with")],
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
    tolerance: Annotated[
        float | None, Query(ge=0, allow_inf_nan=False, description="regret one can live with, in the reference's unit")
    ] = None,
    seed_limit: Annotated[int, Query(ge=2, le=100, description="most seeds a recipe that one would pay for")] = 5,
) -> dict[str, Any]:
    """A minus B with its intervals on the suite and on each set, P(A better) at proxy scale and at target scale (or why
    that is refused), expected and worst-case regret, what the runs cost, and a verdict. `refused`: why the leaderboard
    ranks nothing under this protocol, or null."""
    question = Question(
        a=a,
        b=b,
        protocol=protocol,
        suite=suite,
        reference_set=reference_set,
        metric=metric,
        tolerance=tolerance,
        seed_limit=seed_limit,
    )
    return compare_recipes(session, settings, question)
