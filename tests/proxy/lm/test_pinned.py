"""Numbers of a tiny run, stored: what is trained does not change unnoticed."""

import pytest
import torch

from proxy.lm.optimizer import make_update, scalars_of
from proxy.protocols import AdamW, Schedule, Scoring
from tests.proxy.lm.small import member, protocol, train


def test_a_tiny_run_still_gives_its_stored_losses() -> None:
    cosine = Schedule(kind="cosine", warmup_steps=5)
    asked = protocol(40, schedule=cosine, scoring=Scoring(checkpoints=3, spacing=0.2))
    outcome = train(asked, member(asked, "a"))["a"]
    losses, norms = [row[1] for row in outcome.curve[-3:]], [row[2] for row in outcome.curve[-2:]]
    assert losses == pytest.approx([4.08828592300415, 4.1659932136535645, 4.069724082946777], rel=1e-5)
    assert norms == pytest.approx([1.3016390800476074, 1.0782922506332397], rel=1e-4)
    assert outcome.nats["held-out"].sum() == pytest.approx(533.402437845866, rel=1e-5)


def test_recording_the_ratio_leaves_every_bit_of_the_update() -> None:
    settings, draw = AdamW(), torch.Generator().manual_seed(0)
    weights, mean, square = torch.randn(1000, generator=draw), torch.zeros(1000), torch.zeros(1000)
    decay = (torch.arange(1000) % 2).float()
    plain_weights, plain_mean, plain_square = weights.clone(), mean.clone(), square.clone()
    update = make_update(settings)
    for step in range(3):
        gradients = torch.randn(1000, generator=draw)
        clipped = gradients * torch.clamp(settings.clip_norm / (torch.linalg.vector_norm(gradients) + 1e-6), max=1.0)
        scalars = scalars_of(settings, step, 1e-2)
        update(weights, gradients, mean, square, decay, scalars)
        rate, correction1, correction2 = scalars.unbind()
        plain_mean.mul_(settings.beta1).add_(clipped * (1 - settings.beta1))
        plain_square.mul_(settings.beta2).add_(clipped * clipped * (1 - settings.beta2))
        plain_weights.mul_(1 - rate * settings.weight_decay * decay)
        plain_weights.sub_(rate * (plain_mean / correction1) / ((plain_square / correction2).sqrt() + settings.epsilon))
        assert torch.equal(weights, plain_weights)
