"""A study that was posted, watched until it has ended. It goes on when nobody watches."""

from collections.abc import Callable

from api.client import ProblemError, Resource
from api.studies.service import CONFLICT, StudyService

KINDS = (("proxies", "proxy evaluations"), ("sweeps", "sweeps"), ("more_seeds", "evaluations of more seeds"))
OPEN = ("queued", "running")


def follow(service: StudyService, study: Resource, say: Callable[[str], None], poll_seconds: float = 10.0) -> Resource:
    """The study once it has ended; says whenever something has. ProblemError if it failed or was cancelled."""
    said = ""
    while True:
        if (line := describe_progress(study)) != said:
            say(line)
            said = line
        if study["state"] not in OPEN:
            break
        service.sleep(poll_seconds)
        study = service.get(f"/v1/studies/{study['id']}")
    if study["state"] != "finished":
        detail = f"study {study['name']} {study['state']}: {study['error'] or 'by somebody'}; run it again to go on"
        raise ProblemError({"title": "Work failed", "detail": detail}, CONFLICT)
    return study


def describe_progress(study: Resource) -> str:
    """How far it is, in a line."""
    now = study["progress"]
    parts = [f"{now[kind]['ended']} of {now[kind]['evaluations']} {words}" for kind, words in KINDS]
    waiting = now["recipes_waiting_for_more_seeds"]
    failed = sum(now[kind]["failed"] for kind, _ in KINDS)
    return (
        f"  ended: {', '.join(parts)}"
        + (f"; {waiting} recipes wait for their sweep" if waiting else "")
        + (f"; {failed} failed" if failed else "")
    )
