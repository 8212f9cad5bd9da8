"""The decision card, the weights of a suite and the extrapolation, for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from api.dashboard import formats
from api.dashboard.scales import view_scales
from proxy.ranking.flip_words import write_rate

Body = Mapping[str, Any]
MOST_PAIRS = 40  # of a flip certificate that a terminal shows


def decision_card(body: Body) -> Table:
    """A minus B on the suite, on new text and on each set; what is expected at target scale and the verdict below."""
    a, b = body["a"]["recipe"]["name"], body["b"]["recipe"]["name"]
    protocol, suite = body["protocol"], body["suite"]
    place = f"{protocol['name']}@{protocol['version']} on {suite['name']}@{suite['version']}"
    table = _titled(f"{a} against {b}: {place}", _notes(body))
    table.add_column("Bits per byte", overflow="fold")
    table.add_column("A − B", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("P(A better)", justify="right")
    table.add_row(*_cells("this suite", body["difference"]), style="bold")
    table.add_row(*_cells("new text of its kind", body["difference_on_new_text"]))
    for name, part in body["sets"].items():
        table.add_row(*_cells(f"  {name}", part))
    return table


def sensitivity_table(body: Body) -> Table:
    """One row a set: how far the order moves without it and with twice its weight; the sentence stands below."""
    protocol, suite = body["protocol"], body["suite"]
    safest = ", ".join(body["safest"])
    notes = [body["note"], f"Least to lose when each weight moves by a factor of {body['factor']:g}: {safest}."]
    title = f"Weights of {suite['name']}@{suite['version']} under {protocol['name']}@{protocol['version']}"
    table = _titled(title, notes)
    for words in ("Set", "Share", "τ without it", "best without it", "τ at twice", "best at twice"):
        table.add_column(words, justify="left" if "est" in words or words == "Set" else "right", overflow="fold")
    for part in body["sets"]:
        ways = [_way(part["left_out"]), _way(part["doubled"])]
        table.add_row(Text(part["name"]), f"{100 * part['share']:.0f} %", *ways[0], *ways[1])
    return table


def extrapolation_table(body: Body) -> Table:
    """One row a recipe, best first by what is to be trusted; the sentence that says which stands below."""
    view, target = view_scales(body), body["target"]
    scale = f"{target['parameters']:.3g} parameters, {target['tokens']:.3g} tokens"
    table = _titled(f"At {scale}: a loss law beside the single scale", [body["sentence"], *view.refusals])
    for words in ("Recipe", "Law's loss", "95 % interval", "Law's rank", "Single-scale loss", "Single-scale rank"):
        table.add_column(words, justify="left" if words == "Recipe" else "right", overflow="fold")
    for entry in view.recipes:
        law = entry["prediction"]
        table.add_row(
            Text(entry["recipe"]),
            formats.number(law["loss"], 4),
            escape(formats.interval(law["low"], law["high"], 4)),
            formats.count(entry["law_rank"]),
            formats.number(entry["single_scale_loss"], 4),
            formats.count(entry["single_scale_rank"]),
        )
    return table


def flips_table(body: Body) -> Table:
    """One row a pair, flips first, one column a learning rate: which of the two is better there. Of one pair, its
    differences. The sentence that sums it up stands below."""
    protocol, suite = body["protocol"], body["suite"]
    title = f"Over learning rates: {protocol['name']}@{protocol['version']} on {suite['name']}@{suite['version']}"
    is_pair = body["pair"] is not None
    more = len(body["pairs"]) - MOST_PAIRS + body["left_out"]
    notes = [
        *_refusal(body),
        body["sentence"],
        f"All claims together at an error rate of {body['error_rate']:g}.",
        *body["warnings"],
    ]
    notes += [] if is_pair else ["◀ the first is better, ▶ the second, · neither is resolved, – not measured"]
    notes += [f"{more} more pairs are not shown (--json)."] if more > 0 else []
    table = _titled(title, notes)
    table.min_width = 78  # else two narrow columns would fold the sentence into many lines
    return _fill_differences(table, body["pairs"][0]) if is_pair else _fill_pairs(table, body)


def _fill_differences(table: Table, pair: Body) -> Table:
    for words in ("Rate", f"{pair['first']} − {pair['second']}", "Interval", "Better"):
        table.add_column(Text(words), justify="left" if words == "Better" else "right", overflow="fold")
    for part in pair["by_rate"]:
        interval = escape(formats.interval(part["low"], part["high"], 4))
        table.add_row(write_rate(part["rate"]), formats.number(part["difference"], 4), interval, _better(part))
    return table


def _fill_pairs(table: Table, body: Body) -> Table:
    for words in ("First", "Second", "Verdict"):
        table.add_column(words, overflow="fold")
    for rate in body["rates"]:
        table.add_column(write_rate(rate), justify="center")
    for pair in body["pairs"][:MOST_PAIRS]:
        marks = [formats.side(part, pair["first"]) for part in pair["by_rate"]]
        style = "bold" if pair["verdict"] == "flips" else ""
        table.add_row(Text(pair["first"]), Text(pair["second"]), pair["verdict"], *marks, style=style)
    return table


def _better(part: Body) -> Text:
    return Text(part["better"] or ("not measured" if part["difference"] is None else "not resolved"))


def _titled(title: str, notes: Sequence[str]) -> Table:
    return Table(
        title=Text(title),
        caption=Text("\n".join(notes)),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="none",
    )


def _way(way: Body | None) -> tuple[str, Text]:
    if way is None:
        return formats.MISSING, Text(formats.MISSING)
    style = "bold" if way["changes_leader"] else ""
    return formats.number(way["kendall"], 2), Text(", ".join(way["leaders"]), style=style)


def _cells(name: str, part: Body) -> list[str | Text]:
    low, high = part["low"], part["high"]
    shown = formats.MISSING if low is None or high is None else escape(formats.interval(low, high, 4))
    return [Text(name), formats.number(part["difference"], 4), shown, formats.probability(part["p_better"])]


def _notes(body: Body) -> list[str]:
    sides = [body["a"], body["b"]]
    notes = [*_refusal(body), f"A is {sides[0]['recipe']['name']}, B is {sides[1]['recipe']['name']}; lower is better."]
    notes += [_cost(side) for side in sides]
    target = body["target"]
    if target is not None and target["refusal"] is not None:
        notes.append(f"At target scale: {target['refusal']}")
    elif target is not None:
        chance = formats.probability(target["p_better"])
        notes.append(f"At target scale ({target['reference_set']}, {target['n']} calibrants): P(A better) {chance}.")
    if target is not None and target["measured"]:
        better = sides[0] if target["measured"] > 0 else sides[1]
        gap = formats.number(abs(target["measured"]), 4)
        notes.append(f"Measured: {better['recipe']['name']} reached the better reference, by {gap} {target['unit']}.")
    verdict = body["verdict"]
    notes.append(f"Verdict: {verdict['verdict']}. {verdict['reason']}")
    return notes


def _refusal(body: Body) -> list[str]:
    """A service of an earlier version says nothing of it."""
    return [f"Refused for ranking: {body['refused']}"] if body.get("refused") else []


def _cost(side: Body) -> str:
    cost, reference = side["cost"], side["reference"]
    known = "" if reference is None else f"; reference {formats.number(reference['value'], 4)} ({reference['label']})"
    seconds = f"{cost['device_seconds']:,.0f} device-seconds"
    return f"{side['recipe']['name']}: {side['seeds']} seeds, {seconds}, {cost['flops']:.2g} FLOPs{known}."
