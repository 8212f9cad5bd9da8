"""Single trainings."""

import csv
import io
from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from api.dependencies import Reading, SettingsOf
from api.runs.schemas import (
    CURVE_COLUMNS,
    SCORE_COLUMNS,
    CurveOut,
    RunOut,
    ScoresOut,
    show_rows,
    show_run,
    show_score_rows,
)
from proxy.exports import tar_bytes, tar_chunks
from worker.evaluation_runs import get_run, scores_of_runs
from worker.exports import export_files

router = APIRouter(prefix="/runs", tags=["runs"])

VARIES = {"Vary": "Accept"}


@router.get("/{run_id}")
def show_one(run_id: str, session: Reading) -> RunOut:
    """One run with its scores on every suite."""
    run = get_run(session, run_id)
    return show_run(run, scores_of_runs(session, [run.id]).get(run.id, []))


@router.get("/{run_id}/curve", response_model=CurveOut)
def show_curve(
    run_id: str, request: Request, session: Reading, format: Literal["json", "csv"] | None = None
) -> Response:
    """Its training curve; no rows until it has ended. CSV by `?format=csv` or `Accept: text/csv`."""
    rows = show_rows(get_run(session, run_id))
    if _wants_csv(request, format):
        return _as_csv(CURVE_COLUMNS, rows)
    return JSONResponse(CurveOut(rows=rows).model_dump(mode="json"), headers=VARIES)


@router.get("/{run_id}/scores", response_model=ScoresOut)
def show_scores(
    run_id: str, request: Request, session: Reading, format: Literal["json", "csv"] | None = None
) -> Response:
    """Its scores on every suite and set, and those of each scored checkpoint. CSV by `?format=csv` or
    `Accept: text/csv`."""
    run = get_run(session, run_id)
    rows = show_score_rows(scores_of_runs(session, [run.id]).get(run.id, []))
    if _wants_csv(request, format):
        return _as_csv(SCORE_COLUMNS, rows)
    return JSONResponse(ScoresOut(rows=rows).model_dump(mode="json"), headers=VARIES)


@router.get("/{run_id}/export", response_class=StreamingResponse)
def export(run_id: str, session: Reading, settings: SettingsOf) -> StreamingResponse:
    """A finished run as a Hugging Face checkpoint, in a tar archive: model.safetensors, config.json,
    generation_config.json, tokenizer.json, tokenizer_config.json. `transformers` computes the same logits with it."""
    files = export_files(session, settings, run_id)
    headers = {
        "Content-Length": str(tar_bytes(files)),
        "Content-Disposition": f'attachment; filename="{run_id}.tar"',
    }
    return StreamingResponse(tar_chunks(files), media_type="application/x-tar", headers=headers)


def _wants_csv(request: Request, format: str | None) -> bool:
    return format == "csv" or (format is None and request.headers.get("accept", "").startswith("text/csv"))


def _as_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Response:
    """Truth values as JSON has them."""
    out = io.StringIO()
    shown = ([str(cell).lower() if isinstance(cell, bool) else cell for cell in row] for row in rows)
    csv.writer(out, lineterminator="\n").writerows([columns, *shown])
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=VARIES)
