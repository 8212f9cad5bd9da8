"""Work that goes on by itself: watched from a terminal until it has ended (one bar, with words of how far it is), and
listed, shown and cancelled by its id."""

import time
from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

import typer
from rich.progress import BarColumn, Progress, TextColumn

from api.client import Client, Resource
from api.connection import JsonOption, KeyOption, UrlOption, connect, console, errors, print_json

POLL_SECONDS = 1.0
OPEN = ("queued", "running")

IdArgument = Annotated[str, typer.Argument(metavar="ID")]
Words = Callable[[Resource], str]


def follow(client: Client, address: str, work: Resource, title: str, words: Words, *, is_quiet: bool) -> Resource:
    """Until it has ended; one that failed is returned, not raised. `address` without the id; `words` say how far it is.
    `is_quiet` leaves standard output to what is printed later."""
    shown = errors if is_quiet else console
    if work["state"] in OPEN:  # said first: who stops watching stops nothing
        cancel = f"foretaste {address.rpartition('/')[2]} cancel {work['id']}"
        shown.print(f"{title} {work['id']}; to stop it: {cancel}", markup=False, soft_wrap=True)
    columns = (TextColumn(title), BarColumn(bar_width=24), TextColumn("{task.fields[detail]}"))
    with Progress(*columns, console=shown, transient=True, refresh_per_second=2) as bar:
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


def make_verbs(
    address: str, about: str, *, row: Words, progress: Words, tell: Callable[[Resource], None]
) -> typer.Typer:
    """`list`, `show` and `cancel` of the work at an address: `row` describes one in the list, `progress` one that is
    open, and `tell` prints what it has come to."""
    verbs = typer.Typer(no_args_is_help=True, help=about)

    @verbs.command("list")
    def show_all(url: UrlOption = None) -> None:
        """List all, newest first."""
        with connect(url, None) as client:
            for work in client.items(address):
                console.print(f"{work['id']}  {work['state']}  {row(work)}", markup=False, soft_wrap=True)

    @verbs.command("show")
    def show_one(work_id: IdArgument, as_json: JsonOption = False, url: UrlOption = None) -> None:
        """Show how far one is, or what it has come to."""
        with connect(url, None) as client:
            work = client.get(_address_of(address, work_id))
        if as_json:
            print_json(work)
            return
        tell(work)
        if work["state"] in OPEN:
            console.print(progress(work), markup=False)

    @verbs.command("cancel")
    def cancel(work_id: IdArgument, url: UrlOption = None, key: KeyOption = None) -> None:
        """Cancel one, with what was queued for it alone. What is trained stays, and sent again it goes on."""
        with connect(url, key) as client:
            work = client.request("DELETE", _address_of(address, work_id)).json()
        console.print(f"{work['id']}: {work['state']}")

    return verbs


def _address_of(address: str, work_id: str) -> str:
    return f"{address}/{quote(work_id, safe='')}"
