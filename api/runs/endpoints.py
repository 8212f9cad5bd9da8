"""Single trainings."""

import csv
import io
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from api.dependencies import Reading, SettingsOf
from api.runs.schemas import CURVE_COLUMNS, CurveOut, RunOut, show_rows, show_run
from proxy.exports import tar_bytes, tar_chunks
from worker.evaluations import get_run, scores_of_runs
from worker.exports import export_files

router = APIRouter(prefix="/runs", tags=["runs"])


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
    headers = {"Vary": "Accept"}
    if format == "csv" or (format is None and request.headers.get("accept", "").startswith("text/csv")):
        return Response(_as_csv(rows), media_type="text/csv; charset=utf-8", headers=headers)
    return JSONResponse(CurveOut(rows=rows).model_dump(mode="json"), headers=headers)


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


def _as_csv(rows: list[list[float | None]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([CURVE_COLUMNS, *rows])
    return out.getvalue()
