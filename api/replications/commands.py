"""`foretaste evaluate --resolve`: the cost, then seeds where they resolve most, then what is known and how surely."""

from typing import Annotated, Any

import typer
from rich.table import Table

from api.client import Resource
from api.connection import JsonOption, KeyOption, UrlOption, connect, console, errors, print_json
from api.dashboard.formats import duration
from api.following import follow, make_verbs, name_place

ADDRESS = "/v1/replications"
PLACES = {"best": "✓ among the best", "rest": "✗ not among them", "open": "? open", "ordered": "ordered"}


def evaluate(
    resolve: Annotated[str, typer.Option(help="top-<number>, best, or pairs: the order of all.")],
    recipes: Annotated[
        list[str] | None, typer.Argument(help="At least 2; default: all that the newest ranking has.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Training time that may be spent: 2h, 90m, 1h30m. Scoring comes on top.")
    ] = None,
    max_runs: Annotated[int | None, typer.Option(help="Most runs to train.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Protocol; default: the newest ranking's.")] = None,
    suite: Annotated[str | None, typer.Option(help="Suite; default: the newest ranking's.")] = None,
    error_rate: Annotated[float, typer.Option(help="Chance that anything that is said is wrong.")] = 0.05,
    most_seeds: Annotated[int, typer.Option(help="Of one recipe.")] = 16,
    estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would cost.")] = False,
    watch: Annotated[bool, typer.Option("--watch/--no-watch", help="Wait and show progress.")] = True,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
) -> None:
    """Train recipes under more and more seeds until the best of them are known, at a stated error rate."""
    asked = {"budget": budget, "max_runs": max_runs, "protocol": protocol, "suite": suite}
    body: dict[str, Any] = {"resolve": resolve, "recipes": recipes or [], "error_rate": error_rate}
    body |= {"most_seeds": most_seeds, **{name: value for name, value in asked.items() if value is not None}}
    with connect(url, key) as client:
        cost = client.post(f"{ADDRESS}:estimate", body)
        if not as_json:
            console.print(describe_cost(cost))
        if estimate:
            if as_json:
                print_json(cost)
            return
        race = client.post(ADDRESS, body)
        if watch:
            race = follow(client, ADDRESS, race, "replication", describe_progress, is_quiet=as_json)
    print_json(race) if as_json else _tell(race)
    if race["state"] == "failed":
        raise typer.Exit(1)


def describe_cost(cost: Resource) -> str:
    """What is to be trained, of which race, and what the budget comes to."""
    first, to_train = cost["runs_until_first_look"], cost["runs_to_train_until_first_look"]
    there = first - to_train
    words = (
        f"{cost['recipes']} recipes under {name_place(cost)}: {_name_race(cost['replication'])}\n"
        f"The first look is at {first} runs, {there} of them finished already. "
    )
    seconds, paid = cost["seconds_per_run"], cost["budget_runs"]
    if paid is None:
        return words + "What a run takes is known once one has run here: the budget is converted to runs then."
    each = "" if seconds is None else f" of about {seconds:.3g} s of training (scoring and compilation come on top)"
    return (
        words
        + f"The budget pays for {paid} run{'' if paid == 1 else 's'}{each}; all seeds would be {cost['most_runs']}."
    )


def _name_race(known: str | None) -> str:
    return "a new race, with an error rate of its own" if known is None else f"replication {known} again"


def describe_progress(race: Resource) -> str:
    """Runs until the next look, and what is open and left."""
    now = race["progress"]
    left = "" if now["runs_left"] is None else f", {now['runs_left']} left in the budget"
    seconds = now["device_seconds_until_look"]
    time_ = "" if seconds is None else f", about {duration(seconds)} of training on one device to go"
    still = sum(one["place"] == "open" for one in race["recipes"])
    return f"look at {now['look']} seeds: {now['ended']} of {now['runs']} runs ended{time_}; {still} recipes open{left}"


def _tell(race: Resource) -> None:
    console.print(f"replication {race['id']}: {race['state']}")
    if race["error"]:
        errors.print(race["error"], style="red", markup=False)
    if race["looks"] or any(one["reason"] for one in race["recipes"]):
        console.print(_table(race))
    if race["conclusion"]:
        console.print(race["conclusion"], markup=False)


def _table(race: Resource) -> Table:
    table = Table(title=f"{race['runs_used']} runs trained for {race['resolve']}", title_justify="left")
    for name in ("Recipe", "Place"):
        table.add_column(name, overflow="fold")
    for name in ("Seeds", "Bits per byte", "Better than"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in race["recipes"]:
        place = f"failed: {one['reason']}" if one["reason"] else PLACES[one["place"]]
        score = "–" if one["score"] is None else f"{one['score']:.4f}"
        style = "bold" if one["place"] == "best" else None
        table.add_row(one["recipe"]["name"], place, str(one["seeds"]), score, str(len(one["better_than"])), style=style)
    return table


def _describe_row(race: Resource) -> str:
    return f"{race['resolve']}  {name_place(race)}  {race['outcome'] or ''}".rstrip()


replications = make_verbs(
    ADDRESS, "Races that `evaluate` began.", row=_describe_row, progress=describe_progress, tell=_tell
)
