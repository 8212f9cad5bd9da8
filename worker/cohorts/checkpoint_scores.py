"""The scores of a run's checkpoints: what its score on a suite is the mean of, step by step."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from proxy.data.plans import SamplingPlan
from proxy.protocols import Protocol
from proxy.recipes import Recipe
from worker.cohorts.messages import CheckpointScore

Float64Array = npt.NDArray[np.float64]


def checkpoint_scores(
    nats_by_step: Mapping[int, Mapping[str, Float64Array]],
    text_bytes: Mapping[str, int],
    shares: Mapping[str, float],
    protocol: Protocol,
    *,
    is_even: bool,
) -> tuple[CheckpointScore, ...]:
    """One suite's score at each scored step, in their order; nats, bytes and shares by the sets' names. `is_even`: what
    `is_even_stream` says of the run's stream."""
    found = []
    for step, nats in sorted(nats_by_step.items()):
        sets = {name: float(nats[name].sum()) / (math.log(2) * size) for name, size in text_bytes.items()}
        found.append(
            CheckpointScore(
                step=step,
                tokens=step * protocol.batch_tokens,
                score=math.fsum(shares[name] * sets[name] for name in sets),
                sets=sets,
                is_budget=is_even and protocol.has_budget_at(step),
            )
        )
    return tuple(found)


def is_even_stream(recipe: Recipe, plan: SamplingPlan) -> bool:
    """Whether the beginning of the stream is a sample of the same mixture as the whole: one phase, shuffled, and no
    source drawn more than once. Repetition would come too early in the beginning of a longer run."""
    mixtures = recipe.mixtures()
    is_shuffled = len(mixtures) == 1 and mixtures[0][1].order.by is None
    return is_shuffled and all(use.epochs <= 1 for use in plan.report)
