"""The update against PyTorch's own, and the schedules against their closed forms."""

import math

import pytest
import torch

from proxy.lm.model import ProxyModel
from proxy.lm.optimizer import flatten_parameters, make_update, scalars_of, take_gradients
from proxy.lm.schedules import learning_rate
from proxy.protocols import AdamW, Schedule
from tests.proxy.lm.small import ARCHITECTURE, protocol


def test_updates_equal_adamw_of_pytorch_with_clipping() -> None:
    settings = AdamW(weight_decay=0.3, clip_norm=0.05)
    ours, theirs = ProxyModel(ARCHITECTURE), ProxyModel(ARCHITECTURE)
    for model in (ours, theirs):
        model.draw_weights(torch.Generator().manual_seed(5))
    weights, decay = flatten_parameters(ours)
    gradients = torch.zeros_like(weights)
    mean, square, update = torch.zeros_like(weights), torch.zeros_like(weights), make_update(settings)
    matrices = [parameter for parameter in theirs.parameters() if parameter.ndim >= 2]
    gains = [parameter for parameter in theirs.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.3}, {"params": gains, "weight_decay": 0.0}]
    reference = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), eps=1e-8)
    for step in range(3):
        tokens = torch.randint(0, 300, (2, 17), generator=torch.Generator().manual_seed(step))
        for model in (ours, theirs):
            model.loss(tokens[:, :-1], tokens[:, 1:]).backward()
        expected_norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.05)
        reference.step()
        reference.zero_grad()
        take_gradients(list(ours.parameters()), gradients)
        before = weights.clone()
        with torch.no_grad():
            norm, ratio = update(weights, gradients, mean, square, decay, scalars_of(settings, step, 0.01))
        torch.testing.assert_close(norm, expected_norm)
        torch.testing.assert_close(ratio, (weights - before).norm() / before.norm(), rtol=1e-4, atol=0)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_warm_up_is_a_line_and_a_constant_stays() -> None:
    constant = protocol(100, schedule=Schedule(warmup_steps=10))
    assert [learning_rate(step, constant, 1.0) for step in (0, 4, 9, 10, 99)] == pytest.approx([0.1, 0.5, 1, 1, 1])


def test_cosine_ends_at_its_final_share() -> None:
    cosine = protocol(110, schedule=Schedule(kind="cosine", warmup_steps=10, final_fraction=0.2))
    assert learning_rate(10, cosine, 2.0) == pytest.approx(2.0)
    assert learning_rate(109, cosine, 2.0) == pytest.approx(0.4)
    half = 2.0 * (0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * 50 / 99)))
    assert learning_rate(60, cosine, 2.0) == pytest.approx(half)


def test_the_default_warm_up_is_two_time_constants() -> None:
    assert protocol(100, schedule=Schedule()).warmup_steps == 40
