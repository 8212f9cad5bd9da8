"""`foretaste rate-search`: the cost first, then the runs, then the rate or what keeps every rate from passing."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from api.client import Resource
from api.connection import JsonOption, KeyOption, UrlOption, connect, console, errors, print_json
from api.following import follow, make_verbs, name_place
from api.rate_searches.picture import draw_search, require_picture
from proxy.seeds import require_first_seed

ADDRESS = "/v1/rate-searches"


def rate_search(
    protocol: Annotated[str, typer.Argument(help="Protocol whose rate is searched: name, name@version or id.")],
    anchors: Annotated[list[str], typer.Argument(help="At least 3 different recipes.")],
    suite: Annotated[str, typer.Option(help="Suite: name, name@version or id.")],
    rate: Annotated[list[float] | None, typer.Option(help="Of the ladder; repeatable, at least 3.")] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 3,
    first_seed: Annotated[int, typer.Option(help="The others follow it.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget of a run; default: the protocol's.")] = None,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would cost.")] = False,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Wait and show progress.")] = True,
    picture: Annotated[Path | None, typer.Option(help="Draw the report: .png, .svg or .pdf.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Find a protocol's reduced learning rate from proxies alone, and store it as the protocol's next version."""
    require_first_seed(first_seed, "--first-seed")
    if picture is not None:
        require_picture(picture)
    body: dict[str, Any] = {"protocol": protocol, "suite": suite, "anchors": anchors, "rates": rate or []}
    body |= {"seeds": seeds, "first_seed": first_seed}
    if steps is not None:
        body["steps"] = steps
    with connect(url, key) as client:
        cost = client.post(f"{ADDRESS}:estimate", body)
        if not as_json:
            console.print(describe_cost(cost))
        if estimate:
            if as_json:
                print_json(cost)
            return
        search = client.post(ADDRESS, body)
        if watch:
            search = follow(client, ADDRESS, search, "rate search", describe_progress, is_quiet=as_json)
    print_json(search) if as_json else _tell(search)
    if picture is not None and search["report"] is not None:
        draw_search(search, picture)
    if search["state"] == "failed":
        raise typer.Exit(1)


def describe_cost(cost: Resource) -> str:
    """What is to be trained, in one line."""
    there = cost["runs"] - cost["runs_to_train"]
    seconds = cost["device_seconds"]
    time_ = "time unknown until one has run here" if seconds is None else f"about {seconds:,.0f} device-seconds"
    return (
        f"{cost['runs']} runs, {there} of them finished already; {cost['runs_to_train']} to train: "
        f"{cost['tokens']:,} tokens, {cost['training_flops']:.3g} FLOPs, {time_}"
    )


def describe_progress(search: Resource) -> str:
    """Runs that have ended and that train."""
    now = search["progress"]
    return f"{now['ended']} of {now['runs']} runs ended, {now['running']} train"


def _tell(search: Resource) -> None:
    console.print(f"rate search {search['id']}: {search['state']}")
    if search["error"]:
        errors.print(search["error"], style="red", markup=False)
    if search["report"] is None:
        return
    console.print(_table(search["report"]))
    console.print(search["conclusion"], markup=False)
    for remark in search["report"]["remarks"]:
        console.print(remark, markup=False)
    if search["found"]:
        found = search["found"]
        console.print(f"Stored as {found['name']}@{found['version']}.")


def _table(report: dict[str, Any]) -> Table:
    table = Table(title="Lowest rate first", title_justify="left")
    for name in ("Rate", "Σ rates", "Bits per byte", "φ (median)", "Reliability"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Gates", overflow="fold")
    for row in report["rates"]:
        failed = [f"✗ {gate['name']}" for gate in row["gates"] if gate["verdict"] == "failed"]
        table.add_row(
            f"{row['rate']:.3g}",
            f"{row['travel']:.3g}",
            _number(row["score"]),
            _number(row["progress_median"]),
            _number(row["reliability"]),
            ", ".join(failed) or "✓",
            style="bold" if row["rate"] == report["rate"] else None,
        )
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _describe_row(search: Resource) -> str:
    return f"{name_place(search)}  {search['outcome'] or ''}".rstrip()


rate_searches = make_verbs(
    ADDRESS, "Searches that `rate-search` began.", row=_describe_row, progress=describe_progress, tell=_tell
)
