"""The page at `/`. The address holds the whole selection, so every view can be linked to."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from api.dashboard.pages import read_page
from api.dashboard.races import read_race_page
from api.dashboard.rendering import STATIC, render_page, render_race, render_search, render_study
from api.dashboard.searches import read_search_page
from api.dashboard.selection import Selection
from api.dashboard.studies import read_study_page
from api.dependencies import Reading, SettingsOf
from worker.store.models import utc_now

# Everything comes from this service, and nothing is inline: a recipe's name can never become a script.
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
Text = Annotated[str, Query(max_length=200)]

router = APIRouter(include_in_schema=False)

__all__ = ["STATIC", "router"]


@router.get("/", response_class=HTMLResponse)
def show_page(
    request: Request,
    session: Reading,
    settings: SettingsOf,
    protocol: Text = "",
    suite: Text = "",
    reference_set: Text = "",
    sort: Text = "",
    find: Text = "",
    view: Text = "",
    a: Text = "",
    b: Text = "",
    weights: Text = "",
    flips: Text = "",
    scales: Text = "",
    parameters: Text = "",
    tokens: Text = "",
) -> HTMLResponse:
    """The leaderboard page; 404 with the same page around it if the selection names what does not exist."""
    selection = Selection(
        protocol=protocol,
        suite=suite,
        reference_set=reference_set,
        sort=sort,
        find=find,
        view=view,
        a=a,
        b=b,
        weights=weights,
        flips=flips,
        scales=scales,
        parameters=parameters,
        tokens=tokens,
    )
    page = read_page(session, settings, selection, str(request.base_url).rstrip("/"), utc_now())
    return HTMLResponse(render_page(page), status_code=404 if page.problem else 200, headers=PAGE_HEADERS)


@router.get("/rate-search", response_class=HTMLResponse)
def show_search(session: Reading, id: Text = "") -> HTMLResponse:
    """The page of a rate search, the newest if none is named; 404 with the same page around it for an unknown one."""
    page = read_search_page(session, id)
    return HTMLResponse(render_search(page), status_code=404 if page.problem else 200, headers=PAGE_HEADERS)


@router.get("/replication", response_class=HTMLResponse)
def show_race(session: Reading, id: Text = "") -> HTMLResponse:
    """The page of a replication, the newest if none is named; 404 with the same page around it for an unknown one."""
    page = read_race_page(session, id)
    return HTMLResponse(render_race(page), status_code=404 if page.problem else 200, headers=PAGE_HEADERS)


@router.get("/study", response_class=HTMLResponse)
def show_study(session: Reading, id: Text = "") -> HTMLResponse:
    """The page of a study, the newest if none is named; 404 with the same page around it for an unknown one."""
    page = read_study_page(session, id)
    return HTMLResponse(render_study(page), status_code=404 if page.problem else 200, headers=PAGE_HEADERS)
