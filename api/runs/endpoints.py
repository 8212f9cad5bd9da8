"""Single trainings."""

from fastapi import APIRouter

from api.dependencies import Reading
from api.runs.schemas import CurveOut, RunOut, show_run
from worker.evaluations import get_run, scores_of_runs

router = APIRouter(prefix="/runs", tags=["runs"])


@router.get("/{run_id}")
def show_one(run_id: str, session: Reading) -> RunOut:
    """One run with its scores on every suite."""
    run = get_run(session, run_id)
    return show_run(run, scores_of_runs(session, [run.id]).get(run.id, []))


@router.get("/{run_id}/curve")
def show_curve(run_id: str, session: Reading) -> CurveOut:
    """Its training curve; no rows until it has ended."""
    return CurveOut(rows=(get_run(session, run_id).result or {}).get("curve", []))
