"""Work that goes on by itself, watched from a terminal until it has ended: one bar, with words of how far it is."""

import time
from collections.abc import Callable

from rich.progress import BarColumn, Progress, TextColumn

from api.client import Client, Resource
from api.connection import console, errors

POLL_SECONDS = 1.0
OPEN = ("queued", "running")


def follow(
    client: Client, address: str, work: Resource, title: str, words: Callable[[Resource], str], *, is_quiet: bool
) -> Resource:
    """Until it has ended; one that failed is returned, not raised. `address` without the id; `words` say how far it is.
    `is_quiet` leaves standard output to what is printed later."""
    columns = (TextColumn(title), BarColumn(bar_width=24), TextColumn("{task.fields[detail]}"))
    with Progress(*columns, console=errors if is_quiet else console, transient=True, refresh_per_second=2) as bar:
        task = bar.add_task("", total=None, detail="")
        while work["state"] in OPEN:
            now = work["progress"]
            bar.update(task, total=now["runs"] or None, completed=now["ended"], detail=words(work))
            time.sleep(POLL_SECONDS)
            work = client.get(f"{address}/{work['id']}")
    return work


def name_place(work: Resource) -> str:
    """Protocol and suite, with their versions."""
    protocol, suite = work["protocol"], work["suite"]
    return f"{protocol['name']}@{protocol['version']} on {suite['name']}@{suite['version']}"
