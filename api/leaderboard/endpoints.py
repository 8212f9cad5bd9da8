"""The ranking, as JSON or CSV."""

import csv
import io
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from api.dependencies import Reading, SettingsOf
from proxy.fingerprints import fingerprint
from worker.leaderboards import read_leaderboard
from worker.sensitivities import read_sensitivity

router = APIRouter(prefix="/leaderboard", tags=["leaderboard"])

COLUMNS = ("rank", "rank_low", "rank_high", "recipe", "fingerprint", "score", "score_low", "score_high", "p_best")


@router.get("")
def show(
    request: Request,
    session: Reading,
    protocol: str | None = None,
    suite: str | None = None,
    format: Literal["json", "csv"] | None = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The newest snapshot under a protocol and suite (default: the newest of all). Recipes that broke have rank null.

    Ask for CSV by `?format=csv` or `Accept: text/csv`. The ETag names the content.
    """
    body = read_leaderboard(session, protocol, suite)
    wants_csv = format == "csv" or (format is None and request.headers.get("accept", "").startswith("text/csv"))
    etag = f'"{fingerprint(body)}-{"csv" if wants_csv else "json"}"'
    headers = {"ETag": etag, "Vary": "Accept"}
    if _names(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    if wants_csv:
        return Response(_as_csv(body), media_type="text/csv; charset=utf-8", headers=headers)
    return JSONResponse(body, headers=headers)


@router.get("/sensitivity")
def show_sensitivity(
    session: Reading,
    settings: SettingsOf,
    protocol: str | None = None,
    suite: str | None = None,
    factor: Annotated[float, Query(ge=1, le=1000, description="nearby weights: each share within this factor")] = 2.0,
) -> dict[str, Any]:
    """How the ranking moves with the weights of the suite's sets: each left out or doubled, what each recipe can lose
    under other weights, and the set that decides."""
    return read_sensitivity(session, settings, protocol, suite, factor)


def _names(if_none_match: str | None, etag: str) -> bool:
    """RFC 9110: `*`, or a list of tags, each perhaps marked as weak by a proxy that compressed the answer."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in tags or etag in tags


def _as_csv(body: dict[str, Any]) -> str:
    """One row a recipe; gates that failed by name, separated by semicolons."""
    sets = sorted({name for entry in body["entries"] for name in entry["sets"]})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, "letters", "seeds", "failed_gates", *(f"bits_per_byte {name}" for name in sets)])
    for entry in body["entries"]:
        named = {**entry, "recipe": entry["recipe"]["name"], "fingerprint": entry["recipe"]["fingerprint"]}
        failed = ";".join(gate["name"] for gate in entry["gates"] if not gate["passed"])
        values = [named[name] for name in COLUMNS] + [entry["letters"], entry["seeds"], failed]
        writer.writerow([*values, *(entry["sets"].get(name) for name in sets)])
    return out.getvalue()
