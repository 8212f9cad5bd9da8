"""Stored checkpoints scored again, with nothing trained: on a suite that came later, or with coarser logits."""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from torch import Tensor
from torch.nn import functional as F

from proxy.lm.checkpoints import checkpoint_steps, split_checkpoints
from proxy.lm.device import detect
from proxy.lm.evaluation import (
    Float64Array,
    Scorer,
    ScoringSet,
    positions_a_batch,
    score_documents,
    windows_a_batch,
)
from proxy.lm.model import ProxyModel
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


def bf16_differences(
    protocol: Protocol,
    stored: Iterable[Mapping[str, Tensor]],
    scoring_sets: Mapping[str, ScoringSet],
    threads: int,
) -> Iterator[dict[str, float]]:
    """What logits in bf16 add to each set's bits per byte, for one stored run after the other.

    By its last checkpoint: the score's mean over several ones rounds no worse. Both logits are made of the same hidden
    states, so that nothing else differs: not the kernel, not the order of sums before them.
    """
    trainer = Trainer(protocol, detect(protocol.precision, protocol.device_class, threads, want_compile=False))
    architecture, device = protocol.architecture, trainer.device.device
    scorer = Scorer(
        hidden_rows=trainer.model.hidden_rows,
        target_nats=partial(_bf16_difference, trainer.model),
        windows=windows_a_batch(architecture, device),
        positions=positions_a_batch(architecture, device),
        device=device,
    )
    for weights in stored:
        trainer.load_weights(0, split_checkpoints(weights)[-1])
        nats = score_documents(scorer, scoring_sets)
        yield {
            name: float(nats[name].sum()) / (math.log(2) * int(part.text_bytes.sum()))
            for name, part in scoring_sets.items()
        }


def _bf16_difference(model: ProxyModel, hidden_NW: Tensor, targets_N: Tensor) -> Tensor:
    """Nats of each target with logits in bf16, less those with logits in fp32, [N]."""
    coarse_NV = F.linear(hidden_NW.bfloat16(), model.output_layer.bfloat16()).float()
    return F.cross_entropy(coarse_NV, targets_N, reduction="none") - model.target_nats(hidden_NW, targets_N)
