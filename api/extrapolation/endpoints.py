"""A loss law over several scales, and whether to believe it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from api.dependencies import Reading
from worker.extrapolations import Question, read_extrapolation

router = APIRouter(prefix="/extrapolation", tags=["extrapolation"])


@router.get("")
def show(
    session: Reading,
    suite: str | None = None,
    protocol: Annotated[list[str] | None, Query(description="protocols of one family; default: one reduction")] = None,
    reference_set: str | None = None,
    metric: str | None = None,
    parameters: Annotated[float | None, Query(gt=0, description="of the target; default: the references'")] = None,
    tokens: Annotated[float | None, Query(gt=0, description="of the target; default: the references'")] = None,
    exponents: Annotated[Literal["shared", "own"], Query(description="one law's exponents for all recipes")] = "shared",
) -> dict[str, Any]:
    """Predicted target loss of each recipe beside the single-scale ranking, the out-of-sample agreement of both with
    the references, and which of them to trust here."""
    question = Question(
        suite=suite,
        protocols=tuple(protocol or ()),
        reference_set=reference_set,
        metric=metric,
        parameters=parameters,
        tokens=tokens,
        exponents=exponents,
    )
    return read_extrapolation(session, question)
