"""The model against hand counts, PyTorch's own kernels and the meaning of causality."""

import math

import pytest
import torch
from torch.nn import functional as F

from proxy.lm.model import ProxyModel, attend, rotary_table, rotate
from proxy.protocols import Architecture
from tests.proxy.lm.small import ARCHITECTURE


@pytest.fixture
def model() -> ProxyModel:
    made = ProxyModel(ARCHITECTURE)
    made.draw_weights(torch.Generator().manual_seed(1))
    return made


def tokens(seed: int = 0, rows: int = 2) -> torch.Tensor:
    return torch.randint(0, 300, (rows, 16), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("layers", [1, 3])
def test_the_protocol_counts_every_parameter(layers: int) -> None:
    architecture = Architecture(layers=layers, width=48, heads=3, hidden=80, context_tokens=16, vocabulary=300)
    made = ProxyModel(architecture)
    assert sum(parameter.numel() for parameter in made.parameters()) == architecture.parameters
    a_layer = 48 * 48 * 3 + 48 * 48 + 48 * 160 + 80 * 48 + 2 * 48
    assert architecture.parameters == 300 * 48 + layers * a_layer + 48


def test_nothing_after_a_position_changes_its_logits(model: ProxyModel) -> None:
    inputs = tokens()
    changed = inputs.clone()
    changed[:, 9:] = (changed[:, 9:] + 7) % 300
    torch.testing.assert_close(model(inputs)[:, :9], model(changed)[:, :9])
    assert not torch.allclose(model(inputs)[:, 9:], model(changed)[:, 9:])


def test_a_loss_has_no_gradient_from_later_inputs(model: ProxyModel) -> None:
    embedded = F.embedding(tokens(), model.embedding).detach().requires_grad_()
    x = embedded
    for block in model.blocks:
        x = block(x, model.cos_TC, model.sin_TC)
    (gradient,) = torch.autograd.grad(x[:, 5].sum(), embedded)
    assert gradient[:, :6].abs().sum() > 0
    assert gradient[:, 6:].abs().sum() == 0


def test_attention_written_out_equals_the_kernel() -> None:
    q, k, v = torch.randn(3, 2, 4, 16, 8, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(attend(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True))


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    cos, sin = rotary_table(16, 8)
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    turned_q, turned_k = rotate(q.expand(16, 8), cos, sin), rotate(k.expand(16, 8), cos, sin)
    torch.testing.assert_close(turned_q[3] @ turned_k[1], turned_q[12] @ turned_k[10])
    assert not torch.allclose(turned_q[3] @ turned_k[1], turned_q[3] @ turned_k[2])


def test_an_untrained_model_knows_nothing(model: ProxyModel) -> None:
    loss = model.loss(tokens(0, 8), tokens(1, 8)).detach()
    assert float(loss) == pytest.approx(math.log(300), abs=0.05)


def test_weights_come_from_the_seed(model: ProxyModel) -> None:
    other = ProxyModel(ARCHITECTURE)
    other.draw_weights(torch.Generator().manual_seed(1))
    assert torch.equal(other.embedding, model.embedding)
    other.draw_weights(torch.Generator().manual_seed(2))
    assert not torch.equal(other.embedding, model.embedding)


def test_bf16_computes_almost_the_same_and_keeps_fp32_weights(model: ProxyModel) -> None:
    rough = ProxyModel(ARCHITECTURE, torch.bfloat16)
    rough.load_state_dict(model.state_dict())
    assert {parameter.dtype for parameter in rough.parameters()} == {torch.float32}
    assert rough(tokens()).dtype == torch.float32
    torch.testing.assert_close(rough.loss(tokens(), tokens(1)), model.loss(tokens(), tokens(1)), rtol=0.01, atol=0.02)
