"""What people ask of a ranking: read it, compare two recipes, weigh its sets, extrapolate, agree with references.

Top-level commands of the command line. Each is one HTTP request, or two tables read without any service.
"""

from pathlib import Path
from typing import Annotated

import typer

from api.cards import decision_card, extrapolation_table, flips_table, sensitivity_table
from api.connection import JsonOption, UrlOption, connect, console, print_json
from api.offline import as_body, compare_files
from api.tables import agreement_table, leaderboard_table, paired_agreement_table
from proxy.ranking.agreement import Direction


def leaderboard(
    protocol: str | None = None, suite: str | None = None, as_json: JsonOption = False, url: UrlOption = None
) -> None:
    """Show the ranking of all evaluated recipes."""
    with connect(url, None) as client:
        body = client.get("/v1/leaderboard", protocol=protocol, suite=suite)
    print_json(body) if as_json else console.print(leaderboard_table(body))


def compare(
    a: Annotated[str, typer.Argument(help="Recipe: name, fingerprint or id.")],
    b: Annotated[str, typer.Argument(help="The recipe to compare it with.")],
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
    tolerance: Annotated[float | None, typer.Option(min=0, help="Regret one can live with, reference units.")] = None,
    seed_limit: Annotated[int, typer.Option(min=2, help="Most seeds a recipe that one would pay for.")] = 5,
    as_json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Which of two recipes, and how sure: differences, target scale, cost, verdict."""
    question = {
        "a": a,
        "b": b,
        "protocol": protocol,
        "suite": suite,
        "reference_set": reference_set,
        "metric": metric,
        "tolerance": tolerance,
        "seed_limit": seed_limit,
    }
    with connect(url, None) as client:
        body = client.get("/v1/compare", **question)
    print_json(body) if as_json else console.print(decision_card(body))


def flips(
    first: Annotated[
        str | None, typer.Argument(help="Recipe: name, fingerprint or id; without any, all pairs.")
    ] = None,
    second: Annotated[str | None, typer.Argument(help="The recipe to compare it with.")] = None,
    protocol: str | None = None,
    suite: str | None = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Show whether an order holds over the learning rates that were tried, or flips between two of them."""
    with connect(url, None) as client:
        body = client.get("/v1/flips", protocol=protocol, suite=suite, first=first, second=second)
    print_json(body) if as_json else console.print(flips_table(body))


def sensitivity(
    protocol: str | None = None,
    suite: str | None = None,
    factor: Annotated[float, typer.Option(min=1, help="Nearby weights: each share within this factor.")] = 2.0,
    as_json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Show how the ranking hangs on the weights of the suite's sets."""
    with connect(url, None) as client:
        body = client.get("/v1/leaderboard/sensitivity", protocol=protocol, suite=suite, factor=factor)
    print_json(body) if as_json else console.print(sensitivity_table(body))


def extrapolate(
    suite: str | None = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Protocols of one family; repeatable.")] = None,
    reference_set: str | None = None,
    metric: str | None = None,
    parameters: Annotated[float | None, typer.Option(help="Of the target; default: the references'.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Of the target; default: the references'.")] = None,
    own_exponents: Annotated[bool, typer.Option("--own-exponents", help="Each recipe its own exponents.")] = False,
    as_json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Predict target losses by a loss law over several scales, and say whether to trust it."""
    question = {
        "suite": suite,
        "protocol": protocol,
        "reference_set": reference_set,
        "metric": metric,
        "parameters": parameters,
        "tokens": tokens,
        "exponents": "own" if own_exponents else "shared",
    }
    with connect(url, None) as client:
        body = client.get("/v1/extrapolation", **question)
    print_json(body) if as_json else console.print(extrapolation_table(body))


def agreement(
    proxy: Annotated[Path | None, typer.Option(help="CSV of proxy scores: recipe,value and more.")] = None,
    reference: Annotated[Path | None, typer.Option(help="CSV of large-scale results, alike.")] = None,
    direction: Annotated[Direction | None, typer.Option(help="Which references are better.")] = None,
    proxy_direction: Annotated[
        Direction | None, typer.Option(help="Which proxy scores are better; else the same.")
    ] = None,
    proxy_where: Annotated[list[str] | None, typer.Option(help="Keep rows with column=value; repeatable.")] = None,
    reference_where: Annotated[list[str] | None, typer.Option(help="Keep rows with column=value; repeatable.")] = None,
    protocol: str | None = None,
    suite: str | None = None,
    reference_set: str | None = None,
    metric: str | None = None,
    proxy_set: Annotated[str | None, typer.Option(help="Imported proxy scores instead of a protocol's.")] = None,
    against: Annotated[str | None, typer.Option(help="Another protocol: the paired difference to it.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
) -> None:
    """Show how well a ranking agrees with references: the service's, or two tables' without any service."""
    if proxy is None and reference is None:
        if direction or proxy_direction or proxy_where or reference_where:
            raise typer.BadParameter("directions and filters are for tables: give --proxy and --reference")
        if against is not None:
            if protocol is None or proxy_set is not None:
                raise typer.BadParameter("--against compares two protocols: give --protocol, and no --proxy-set")
            _show_paired(protocol, against, suite, reference_set, metric, as_json, url)
            return
        with connect(url, None) as client:
            sets = {"reference_set": reference_set, "metric": metric, "proxy_set": proxy_set}
            body = client.get("/v1/agreement", protocol=protocol, suite=suite, **sets)
        print_json(body) if as_json else console.print(agreement_table([body]))
        return
    if proxy is None or reference is None or direction is None:
        raise typer.BadParameter("tables need --proxy, --reference and --direction together")
    if protocol or suite or reference_set or metric or proxy_set or against:
        raise typer.BadParameter("protocols, --suite, --metric and names of sets are about a service, not tables")
    comparison = compare_files(
        proxy,
        reference,
        direction=direction,
        proxy_direction=proxy_direction,
        proxy_where=proxy_where or (),
        reference_where=reference_where or (),
    )
    if as_json:
        print_json(comparison.as_json())
    else:
        console.print(agreement_table([as_body(comparison, proxy, reference)]))


def _show_paired(
    protocol: str,
    against: str,
    suite: str | None,
    reference_set: str | None,
    metric: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    names = {"suite": suite, "reference_set": reference_set, "metric": metric}
    with connect(url, None) as client:
        body = client.get("/v1/agreement/paired", protocol=protocol, against=against, **names)
    print_json(body) if as_json else console.print(paired_agreement_table(body))


QUESTIONS = (leaderboard, compare, flips, sensitivity, extrapolate, agreement)
