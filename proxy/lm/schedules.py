"""Learning rates as closed forms of the step, so that any step of any run can be checked by hand."""

import math

from proxy.protocols import Protocol


def learning_rate(step: int, protocol: Protocol, peak: float) -> float:
    """Rate of the update at `step` (from 0): linear warm-up to the peak, then constant or cosine to the final share."""
    warmup = min(protocol.warmup_steps, protocol.steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if protocol.schedule.kind == "constant":
        return peak
    done = (step - warmup) / max(protocol.steps - 1 - warmup, 1)
    final = protocol.schedule.final_fraction
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))
