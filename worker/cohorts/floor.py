"""How far a run's updates were above the rounding of its weights, from what is stored with it."""

from collections.abc import Mapping
from typing import Any

RATIO_COLUMN = 4  # of a curve


def update_ulps_of(result: Mapping[str, Any]) -> float | None:
    """Median |Δw| / ulp of the weights; None for a run from before updates were recorded. Weights of a run that does
    not say how fine they are count as fp32."""
    from proxy.ranking.rate_search.numbers import FP32_MANTISSA_BITS, update_in_ulps

    ratios = [row[RATIO_COLUMN] for row in result.get("curve", ()) if len(row) > RATIO_COLUMN]
    bits = result.get("weight_bits")
    return update_in_ulps(ratios, FP32_MANTISSA_BITS if bits is None else bits)
