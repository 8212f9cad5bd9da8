"""Stored checkpoints scored on a suite that was asked for later: nothing is trained again."""

from collections.abc import Mapping

from torch import Tensor

from proxy.lm.checkpoints import checkpoint_steps, split_checkpoints
from proxy.lm.device import detect
from proxy.lm.evaluation import Float64Array, ScoringSet
from proxy.lm.trainer import Trainer
from proxy.protocols import Protocol


def rescore_by_step(
    protocol: Protocol,
    weights: Mapping[str, Tensor],
    scoring_sets: Mapping[str, ScoringSet],
    threads: int,
) -> dict[int, dict[str, Float64Array]]:
    """Scores each checkpoint of a stored run as it was scored at first, eagerly: one scoring does not repay a
    compilation. To the bit what an eager training gave; what a compiled one gave within 1e-5 of it.
    """
    trainer = Trainer(protocol, detect(protocol.precision, protocol.device_class, threads, want_compile=False))
    scored = []
    for checkpoint in split_checkpoints(weights):
        trainer.load_weights(0, checkpoint)
        scored.append(trainer.score(0, scoring_sets))
    return dict(zip(sorted(checkpoint_steps(protocol))[-len(scored) :], scored, strict=True))
