"""Coarser logits: what they change is what a product written out by hand changes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from proxy.lm.checkpoints import join_checkpoints
from proxy.lm.model import ProxyModel
from proxy.lm.rescoring import bf16_differences
from proxy.protocols import Protocol
from tests.proxy.lm.small import protocol, scoring_set

Weights = dict[str, torch.Tensor]


def drawn(asked: Protocol, seed: int, scale: float = 1.0) -> Weights:
    model = ProxyModel(asked.architecture)
    model.draw_weights(torch.Generator().manual_seed(seed))
    return {name: parameter.detach() * scale for name, parameter in model.named_parameters()}


def measured(asked: Protocol, *stored: Weights) -> list[float]:
    found = bf16_differences(asked, stored, {"held-out": scoring_set()}, threads=1)
    return [by_set["held-out"] for by_set in found]


@torch.no_grad()
def by_hand(asked: Protocol, weights: Weights, dtype: torch.dtype) -> float:
    """Bits per byte of the scoring set with logits made in this type."""
    model, part = ProxyModel(asked.architecture), scoring_set()
    model.load_state_dict(weights)
    hidden_BTW = model.hidden(torch.from_numpy(part.windows.inputs_WT))
    logits_BTV = (hidden_BTW.to(dtype) @ model.output_layer.to(dtype).T).float()
    targets_BT = torch.from_numpy(part.windows.targets_WT)
    nats = F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=-1, reduction="sum")
    return float(nats) / (math.log(2) * int(part.text_bytes.sum()))


@pytest.mark.parametrize("architecture", [{}, {"tied_embeddings": False}])
def test_it_is_the_difference_of_two_scores(architecture: dict[str, Any]) -> None:
    base = protocol()
    asked = base.model_copy(update={"architecture": base.architecture.model_copy(update=architecture)})
    for seed, scale in ((0, 1.0), (1, 3.0)):
        weights = drawn(asked, seed, scale)
        expected = by_hand(asked, weights, torch.bfloat16) - by_hand(asked, weights, torch.float32)
        (found,) = measured(asked, weights)
        assert found == pytest.approx(expected, abs=2e-6)
        assert found != 0


def test_the_last_checkpoint_of_each_run_is_measured() -> None:
    asked = protocol()
    first, last = drawn(asked, 0), drawn(asked, 1)
    alone = measured(asked, first, last)
    joined = join_checkpoints({38: first, 40: last})
    assert measured(asked, joined) == alone[1:]
    assert len(np.unique(alone)) == 2
