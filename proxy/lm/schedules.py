"""Learning rates as closed forms of the step, so that any step of any run can be checked by hand.

With f the final fraction and d the share of the decay that is done (0 at its beginning, 1 at the run's last update):

- constant: peak
- cosine: peak × (f + (1 − f) × (1 + cos πd) / 2); linear: peak × (f + (1 − f) × (1 − d)); both decay after the warm-up
- wsd (warm-up, stable, decay; Hu et al. 2024): peak, then over the last steps linear, or 1-sqrt (Hägele et al. 2024):
  peak × (f + (1 − f) × (1 − √d))
"""

import math

from proxy.protocols import Protocol


def learning_rate(step: int, protocol: Protocol, peak: float) -> float:
    """Rate of the update at `step` (from 0): linear warm-up to the peak, then the schedule's kind."""
    warmup = min(protocol.warmup_steps, protocol.steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    schedule, final = protocol.schedule, protocol.schedule.final_fraction
    if schedule.kind == "constant":
        return peak
    if schedule.kind == "wsd":
        done = max(0.0, (step + 1 - (protocol.steps - protocol.decay_steps)) / protocol.decay_steps)
        left = 1 - math.sqrt(done) if schedule.decay == "1-sqrt" else 1 - done
    else:
        done = min((step - warmup) / max(protocol.steps - 1 - warmup, 1), 1.0)
        left = 0.5 * (1 + math.cos(math.pi * done)) if schedule.kind == "cosine" else 1 - done
    return peak * (final + (1 - final) * left)
