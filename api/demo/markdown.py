"""The report of an experiment as Markdown, for a repository: everything in it is read from `report.json`."""

from collections.abc import Iterable, Sequence
from typing import Any

Report = dict[str, Any]

NOTHING = "–"


def as_markdown(report: Report, title: str, command: str) -> str:
    """Hardware and command first, then the tables, then what they cost."""
    parts = [
        f"# {title}",
        f"Made by `{command}`.",
        _machine(report["machine"]),
        "## Leaderboard (reduced rate)",
        _leaderboard(report["recipes"]),
    ]
    if report["agreement"]:
        parts += ["## Agreement with the references", _agreement(report["agreement"]), _labels(report)]
    parts += ["## Rates", _rates(report["standard_rate"]), "## Times and memory", _costs(report)]
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _machine(machine: Report) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in machine.items()) + "."


def _leaderboard(recipes: Sequence[Report]) -> str:
    rows = [
        (
            _interval(entry, "rank", "{}"),
            entry["name"],
            _plus_minus(entry),
            _chance(entry["p_best"]),
            str(entry["seeds"]),
            ", ".join(gate["name"] for gate in entry["gates"] if not gate["passed"]) or NOTHING,
        )
        for entry in recipes
    ]
    return _table(("rank", "recipe", "bits per byte", "P(best)", "seeds", "gates not passed"), rows)


def _agreement(agreement: Report) -> str:
    names = ("spearman", "kendall", "decision_accuracy", "regret_at_1")
    rows = [
        (protocol, str(figures["n"]), *(_interval(figures, name, "{:.3f}") for name in names))
        for protocol, figures in agreement.items()
    ]
    notes = "\n".join(f"- {protocol}: {figures['note']}" for protocol, figures in agreement.items())
    return _table(("protocol", "n", "Spearman", "Kendall τ-b", "decision accuracy", "regret@1"), rows) + "\n\n" + notes


def _labels(report: Report) -> str:
    counts = ", ".join(f"{count} {label}" for label, count in report["reference_labels"].items())
    return f"Labels that the recipes' references earned: {counts}."


def _rates(standard: Report) -> str:
    inside = "inside the ladder" if standard["is_interior"] else "at the edge of the ladder"
    sweeps = "\n".join(
        f"- {anchor}: " + ", ".join(f"{float(rate):.1e}: {score:.4f}" for rate, score in sweep.items())
        for anchor, sweep in standard["sweeps"].items()
    )
    return (
        f"The proxy architecture's own optimum, {standard['rate']:.2e} ({inside}), was measured on the anchors "
        f"(bits per byte by rate):\n\n{sweeps}"
    )


def _costs(report: Report) -> str:
    rows = []
    groups = sorted({(run["protocol"], run["parameters"]) for run in report["runs"] if run["parameters"]})
    for protocol, parameters in groups:
        runs = [run for run in report["runs"] if run["protocol"] == protocol and run["tokens"]]
        speeds = sorted(run["tokens_per_second"] for run in runs)
        states = ", ".join(
            f"{sum(run['state'] == state for run in runs)} {state}" for state in sorted({run["state"] for run in runs})
        )
        tokens = sum(run["tokens"] for run in runs)
        rows.append((protocol, f"{parameters:,}", states, f"{tokens:,}", f"{speeds[len(speeds) // 2]:,.0f}"))
    table = _table(("protocol", "parameters", "runs", "tokens trained", "median tokens/s"), rows)
    memory = ", ".join(f"{name} {megabytes:,.0f} MB" for name, megabytes in report["memory_megabytes"].items())
    return f"{table}\n\nWhole job: {report['wall_seconds']:,.0f} s. Memory: {memory}."


def _interval(figures: Report, name: str, form: str) -> str:
    value, low, high = figures[name], figures.get(f"{name}_low"), figures.get(f"{name}_high")
    shown = _number(value, form)
    return shown if low is None or high is None else f"{shown} [{form.format(low)}, {form.format(high)}]"


def _plus_minus(entry: Report) -> str:
    if entry["score"] is None or entry["score_low"] is None:
        return _number(entry["score"], "{:.4f}")
    return f"{entry['score']:.4f} ± {(entry['score_high'] - entry['score_low']) / 2:.4f}"


def _chance(value: float | None) -> str:
    """No zero that is none."""
    return "< 0.01" if value is not None and value < 0.01 else _number(value, "{:.2f}")


def _number(value: float | None, form: str) -> str:
    return NOTHING if value is None else form.format(value)
