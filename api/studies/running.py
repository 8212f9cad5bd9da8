"""A study from its definition to its report: registered, posted and watched. Everything is content-addressed: run
again, it finds what is there."""

from collections.abc import Callable
from pathlib import Path

from api.studies.cost import describe, measure_speed
from api.studies.markdown import describe_row
from api.studies.registration import register, request_of
from api.studies.report import Report, fetch_report, read_report, settings_of, write_report
from api.studies.service import study_service
from api.studies.watching import follow
from api.studies.words import edge_words, search_remarks
from proxy.studies import StudyDefinition


def run_study(  # noqa: PLR0913 - what a command takes
    definition: StudyDefinition,
    *,
    corpora: Path | None,
    folder: Path,
    out: Path | None,
    url: str | None,
    key: str | None,
    agrees: Callable[[], bool],
    say: Callable[[str], None],
    poll_seconds: float = 10.0,
) -> None:
    """`agrees` is asked once the cost is known; where it does not, nothing is queued."""
    with study_service(url, key, folder) as service:
        if service.stack is not None:
            say(f"Service: {service.stack.url}, data in {folder}")
        registered = register(service, definition, corpora=corpora, folder=folder, say=say)
        body = request_of(definition, registered)
        cost = service.post("/v1/studies:estimate", body)
        if measure_speed(service, definition, registered, cost, say):
            cost = service.post("/v1/studies:estimate", body)
        say("Cost:")
        for line in describe(cost, service.lanes):
            say(line)
        if not agrees():
            return
        study = follow(service, service.post("/v1/studies", body), say, poll_seconds)
        say("All has ended.")
        if url is not None:
            report = fetch_report(service.get, study["id"], url)
    if url is None:
        report = read_report(definition, settings_of(folder))
    _tell(report, out or folder / "report", say)


def _tell(report: Report, out: Path, say: Callable[[str], None]) -> None:
    """What to know of the result at once, and where the rest lies."""
    for suite in report["suites"]:
        say(f"{suite['suite']}:")
        for row in suite["table"]["rows"]:
            say(f"  {describe_row(row, suite)}")
        say(f"  {suite['search']['conclusion']}")
        for remark in search_remarks(report, suite):
            say(f"  {remark}")
        if words := edge_words(suite):
            say(f"  {words}")
    for path in write_report(report, out):
        say(f"Written: {path}")
