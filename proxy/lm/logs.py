"""What one run recorded, a number a step, and the few rows of it that are shown."""

import math
from dataclasses import dataclass

import numpy as np

from proxy.errors import LossDivergedError
from proxy.lm.evaluation import Float64Array
from proxy.lm.schedules import learning_rate
from proxy.protocols import Protocol

SMOOTHING_SHARE = 0.05
CURVE_POINTS = 200


@dataclass(kw_only=True)
class Log:
    """Loss (nats a token), gradient norm, update-to-weight ratio and seconds of each step, compilation apart.

    `waited_seconds`: how long the steps waited for their tokens.
    """

    loss_S: Float64Array
    norm_S: Float64Array
    ratio_S: Float64Array
    seconds_S: Float64Array
    steps_done: int = 0
    waited_seconds: float = 0.0

    @classmethod
    def empty(cls, steps: int) -> "Log":
        """Nothing recorded yet: NaN."""
        loss_S, norm_S, ratio_S, seconds_S = (np.full(steps, np.nan) for _ in range(4))
        return cls(loss_S=loss_S, norm_S=norm_S, ratio_S=ratio_S, seconds_S=seconds_S)

    @property
    def seconds(self) -> float:
        """What all steps took."""
        return float(self.seconds_S[: self.steps_done].sum())

    def add(self, loss_S: Float64Array, norm_S: Float64Array, ratio_S: Float64Array, seconds: float) -> None:
        """Records steps up to the first whose loss or gradient is not finite: LossDivergedError names the step at
        which the loss is none. A broken gradient breaks the weights, and with them the next step's loss."""
        is_finite_S = np.isfinite(loss_S) & np.isfinite(norm_S)
        good = len(loss_S) if is_finite_S.all() else int(np.argmin(is_finite_S))
        first, end = self.steps_done, self.steps_done + good
        self.loss_S[first:end], self.norm_S[first:end], self.ratio_S[first:end] = (
            figures_S[:good] for figures_S in (loss_S, norm_S, ratio_S)
        )
        self.seconds_S[first:end] = seconds / len(loss_S)
        self.steps_done = end
        if good < len(loss_S):
            if np.isfinite(loss_S[good]):
                raise LossDivergedError(end + 1, math.nan)
            raise LossDivergedError(end, float(loss_S[good]))

    def rewind(self, step: int) -> None:
        """Forgets what came after so many steps."""
        for figures_S in (self.loss_S, self.norm_S, self.ratio_S, self.seconds_S):
            figures_S[step:] = np.nan
        self.steps_done = min(self.steps_done, step)

    def smoothed_loss(self, step: int | None = None) -> float:
        """Mean loss of the last 5 % of the steps up to `step`, or of all that were done; at least one."""
        loss_S = self.loss_S[: self.steps_done if step is None else step]
        return float(loss_S[-max(1, round(SMOOTHING_SHARE * len(loss_S))) :].mean())

    def shown_steps(self) -> list[int]:
        """At most 200 of the steps done, evenly spread, the first and the last among them."""
        points = min(self.steps_done, CURVE_POINTS)
        return [int(step) for step in np.unique(np.linspace(0, self.steps_done - 1, points).round().astype(int))]

    def curve(self, protocol: Protocol, peak: float) -> list[list[float]]:
        """Rows of step, loss, gradient norm, rate, update-to-weight ratio and training FLOPs so far."""
        flops_a_step = protocol.training_flops() / protocol.steps
        return [
            [
                step,
                float(self.loss_S[step]),
                float(self.norm_S[step]),
                learning_rate(step, protocol, peak),
                float(self.ratio_S[step]),
                flops_a_step * (step + 1),
            ]
            for step in (self.shown_steps() if self.steps_done else [])
        ]

    def speeds(self, batch_tokens: int) -> list[float]:
        """Tokens a second at each row of the curve: not part of it, because no two runs of the same are as fast."""
        return [
            batch_tokens / max(float(self.seconds_S[step]), 1e-9)
            for step in (self.shown_steps() if self.steps_done else [])
        ]
