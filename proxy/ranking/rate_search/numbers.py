"""What a run's thinned curve says: how far it travelled, and how large its updates are beside rounding."""

from collections.abc import Sequence

import numpy as np

SMOOTHED_SHARE = 0.05  # of the travel up to a level: the loss of one batch is noise
FP32_MANTISSA_BITS = 23
BF16_MANTISSA_BITS = 7


def travel_in_steps(steps: Sequence[float], rates: Sequence[float], planned_steps: int, peak: float) -> float:
    """Σ_t η_t / peak of a whole run, from rows of (step from 0, rate), the first and the last step among them: exact
    where every step has a row, linear between rows otherwise."""
    return float(np.interp(np.arange(planned_steps), steps, rates).sum() / peak)


def losses_at_travel(
    steps: Sequence[float], rates: Sequence[float], losses: Sequence[float], levels: Sequence[float]
) -> list[float | None]:
    """Training loss where S = Σ_t η_t reached each level, the mean of the rows of the last 5 % before; None for levels
    that the run never reached. Equal losses of two rates at equal S are what budgets are computed from."""
    last = round(steps[-1])
    travelled = np.interp(np.arange(last + 1), steps, rates).cumsum()
    at_rows, loss_rows = travelled[np.round(steps).astype(int)], np.asarray(losses, dtype=np.float64)
    found: list[float | None] = []
    for level in levels:
        if level > travelled[-1] * (1 + 1e-9):
            found.append(None)
            continue
        near = (at_rows <= level * (1 + 1e-9)) & (at_rows > level * (1 - SMOOTHED_SHARE))
        found.append(float(loss_rows[near].mean() if near.any() else np.interp(level, at_rows, loss_rows)))
    return found


def update_in_ulps(ratios: Sequence[float | None], mantissa_bits: int = FP32_MANTISSA_BITS) -> float | None:
    """Median over steps of |Δw| / ulp(w) of a weight that moves as all do (‖Δw‖ / ‖w‖), at the least: an ulp is at most
    2^-mantissa_bits of the weight, and at least half of that. None where no step recorded its ratio."""
    known = [ratio for ratio in ratios if ratio is not None and np.isfinite(ratio)]
    return float(np.median(known)) * 2.0**mantissa_bits if known else None
