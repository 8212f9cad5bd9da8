"""The page of a study: how far it is, and the tables of what is there by now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.dashboard.formats import moment
from api.dashboard.rate_panels import RateLadder
from api.dashboard.study_ladder import shown_rows, view_study
from api.studies.schemas import show
from api.studies.watching import describe_progress
from api.studies.words import edge_words, known_differences, largest, perfect_words, repeated_rows, search_remarks
from proxy.errors import NotFoundError
from worker.studies import get_study, list_studies

NEWEST = 20

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SuiteView:
    """One suite of the report. `has_rows`: some rate has recipes to compare; a drawing needs two such rates. `axes` are
    those with at least two recipes at some rate; `edge` is empty where every best rate lies inside its grid. `remarks`
    are beside the search's conclusion; `repeated` are rows of recipes that repeat, in no other table; `chance` are the
    figures of most recipes, which hold what chance gives; `differences` are between two rates on the same recipes;
    `perfect` says what the references' noise leaves to any proxy."""

    body: Body
    has_rows: bool
    drawing: RateLadder | None
    axes: tuple[str, ...]
    weighed: tuple[Body, ...]
    ways: tuple[str, ...]
    edge: str
    remarks: tuple[str, ...]
    repeated: tuple[Body, ...]
    chance: Body | None
    differences: tuple[Body, ...]
    perfect: str


@dataclass(frozen=True, kw_only=True)
class StudyPage:
    """One study (the newest if none was asked for) as its JSON says it, its report, and links to others."""

    body: Body | None
    report: Body | None
    suites: tuple[SuiteView, ...]
    progress: str
    others: tuple[tuple[str, str], ...]
    problem: str = ""


def read_study_page(session: Session, study: str) -> StudyPage:
    """`problem` is set where there is no such study."""
    from worker.studies.reports import report_of_row

    rows = list_studies(session)
    others = tuple((row.id, f"{row.name}, {row.state}, of {moment(row.created_at)}") for row in rows[:NEWEST])
    empty = StudyPage(body=None, report=None, suites=(), progress="", others=others)
    if not study and not rows:
        return empty
    try:
        row = get_study(session, study or rows[0].id)
    except NotFoundError as error:
        return StudyPage(**{**vars(empty), "problem": str(error)})
    body = show(session, row).model_dump(mode="json")
    report = report_of_row(session, row)
    return StudyPage(
        body=body,
        report=report,
        suites=tuple(_view(report, suite) for suite in report["suites"]),
        progress=describe_progress(body).strip(),
        others=others,
    )


def _view(report: Body, suite: Body) -> SuiteView:
    rows: Sequence[Body] = suite["table"]["rows"]
    weighed = tuple(row for row in suite["weighing"] if row["sets"])
    return SuiteView(
        body=suite,
        has_rows=bool(shown_rows(suite)),
        drawing=view_study(suite),
        axes=tuple(sorted({axis for row in rows for axis in row["parts"]["by_axis"]})),
        weighed=weighed,
        ways=tuple(dict.fromkeys(way for row in weighed for way in row["weighings"])),
        edge=edge_words(suite),
        remarks=tuple(search_remarks(report, suite)),
        repeated=tuple(repeated_rows(suite)),
        chance=largest(suite),
        differences=tuple(known_differences(suite)),
        perfect=perfect_words(suite["table"]),
    )
