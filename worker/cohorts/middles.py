"""Where a run is scored on the way: the steps at which it has travelled given shares of its whole Σ rates."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from proxy.lm.schedules import learning_rate
from proxy.protocols import Protocol
from worker.cohorts.messages import NEAR_SHARE


def middle_steps(protocol: Protocol, shares: Iterable[float]) -> tuple[int, ...]:
    """The nearest step to each of the shares, where one comes near, in the run's own schedule. Ascending, without the
    end. None where weights are averaged: those on the way are no such mean as the end's score is of."""
    asked = tuple(shares)
    if not asked or protocol.averaging is not None or protocol.steps == 1:
        return ()
    share_S = _travelled(protocol)[:-1]
    nearest = ((share, int(np.abs(share_S - share).argmin())) for share in asked)
    return tuple(sorted({index + 1 for share, index in nearest if abs(share_S[index] - share) <= NEAR_SHARE * share}))


def shares_at(protocol: Protocol, steps: Iterable[int]) -> dict[int, float]:
    """By step, the share of the whole Σ rates that is travelled after it."""
    asked = tuple(steps)
    share_S = _travelled(protocol) if asked else np.zeros(0)
    return {step: float(share_S[step - 1]) for step in asked}


def _travelled(protocol: Protocol) -> npt.NDArray[np.float64]:
    """After each step, as a share of the whole."""
    travelled_S = np.cumsum([learning_rate(step, protocol, 1.0) for step in range(protocol.steps)])
    return np.asarray(travelled_S / travelled_S[-1], dtype=np.float64)
