"""A loss law beside the ranking at one scale, in the order that is to be trusted; for the page and for the terminal."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scales:
    """What an extrapolation says, with its recipes ordered and why some have no law."""

    body: Body
    recipes: tuple[Body, ...]
    refusals: tuple[str, ...]


def view_scales(body: Body) -> Scales:
    """Best first by the ranking that is to be used; recipes without a rank in it come last."""
    by = "law_rank" if body["rank_by"] == "law" else "single_scale_rank"
    recipes = sorted(body["recipes"], key=lambda entry: (entry[by] is None, entry[by] or 0))
    reasons = Counter(entry["prediction"]["refusal"] for entry in recipes if entry["prediction"]["refusal"])
    refusals = (f"{count} without a law: {reason}" for reason, count in reasons.most_common(3))
    return Scales(body=body, recipes=tuple(recipes), refusals=tuple(refusals))
