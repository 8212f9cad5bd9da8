"""The drawing of a study on one suite: agreement with the references against the proxies' rate."""

from collections.abc import Mapping
from typing import Any

from api.dashboard.rate_panels import RateLadder, across_rates, draw_curve, put_together, top_of

Body = Mapping[str, Any]

LEAST_RECIPES = 2  # that have an order
LEAST_RATES = 2  # a line is drawn through
PANELS = (
    ("Spearman ρ, with its 95 % interval for new recipes", "spearman"),
    ("Decision accuracy", "decision_accuracy"),
    ("Regret@1, bits per byte", "regret_at_1"),
)


def shown_rows(suite: Body) -> list[Body]:
    """Rates of one suite of a report at which there is something to compare."""
    return [row for row in suite["table"]["rows"] if row["figures"]["n"] >= LEAST_RECIPES]


def view_study(suite: Body) -> RateLadder | None:
    """Of one suite of a report; None while too few rates have something to show. A panel's dashed line is chance."""
    rows = shown_rows(suite)
    if len(rows) < LEAST_RATES:
        return None
    rates = [row["rate"] for row in rows]
    across = across_rates(rates)
    panels = [
        draw_curve(
            title,
            [row["figures"][key] for row in rows],
            rates,
            across,
            top_of(index),
            threshold=rows[0]["figures"]["chance"].get(key),
            bounds=[(row["figures"][f"{key}_low"], row["figures"][f"{key}_high"]) for row in rows],
        )
        for index, (title, key) in enumerate(PANELS)
    ]
    standard = next((row["rate"] for row in rows if row["is_standard"]), None)
    chosen = suite["search"]["rate"]
    marks = ((standard, "standard"), (chosen, "chosen")) if chosen != standard else ((chosen, "chosen, standard"),)
    return put_together(rates, across, panels, marks)
