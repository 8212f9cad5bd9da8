"""A study from its definition to its report. Everything is content-addressed: run again, it finds what is there."""

from collections.abc import Callable
from pathlib import Path

from api.studies.cost import describe, estimate, measure_speed
from api.studies.markdown import describe_row, edge_words
from api.studies.registration import register
from api.studies.report import read_report, settings_of, write_report
from api.studies.service import study_service
from api.studies.training import Training
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
        measure_speed(service, definition, registered, say)
        say("Cost:")
        for line in describe(estimate(service, definition, registered), service.lanes):
            say(line)
        if not agrees():
            return
        training = Training(service=service, definition=definition, registered=registered, say=say)
        training.submit()
        say(training.describe())
        training.follow(poll_seconds)
        say("All has ended.")
    if url is None or out is not None:
        _tell(definition, folder, out, say)


def _tell(definition: StudyDefinition, folder: Path, out: Path | None, say: Callable[[str], None]) -> None:
    """What to know of the result at once, and where the rest lies."""
    report = read_report(definition, settings_of(folder))
    for suite in report["suites"]:
        say(f"{suite['suite']}:")
        for row in suite["table"]["rows"]:
            say(f"  {describe_row(row, suite)}")
        say(f"  {suite['search']['conclusion']}")
        if words := edge_words(suite):
            say(f"  {words}")
    for path in write_report(report, out or folder / "report"):
        say(f"Written: {path}")
