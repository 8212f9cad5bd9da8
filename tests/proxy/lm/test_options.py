"""What a protocol may switch on: each against what it is defined by."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from proxy.lm.averaging import WeightAverage
from proxy.lm.checkpoints import checkpoint_steps
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.model import ProxyModel, rotate
from proxy.lm.trainer import Lesson, Trainer
from proxy.protocols import Architecture, Averaging, Scoring
from tests.proxy.lm.small import ARCHITECTURE, CPU, member, protocol, reader, rescore, scoring_set, stream, train

OPTIONS: dict[str, dict[str, Any]] = {
    "llama": {},
    "untied": {"tied_embeddings": False},
    "plain": {"plain_embedding": True},
    "qk-norm": {"qk_norm": True},
    "gpt2": {"family": "gpt2"},
    "gpt2-untied": {"family": "gpt2", "tied_embeddings": False},
}
SHAPES = [
    pytest.param(Architecture(**ARCHITECTURE.model_dump() | options), id=name) for name, options in OPTIONS.items()
]


def drawn(architecture: Architecture, seed: int = 1, **options: Any) -> ProxyModel:
    """Random weights, gains and biases too."""
    model = ProxyModel(architecture, **options)
    generator = torch.Generator().manual_seed(seed)
    model.draw_weights(generator)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def tokens(seed: int = 0, rows: int = 2) -> torch.Tensor:
    return torch.randint(0, 300, (rows, 16), generator=torch.Generator().manual_seed(seed))


def gradients(model: ProxyModel) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model.loss(tokens(), tokens(1)).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("architecture", SHAPES)
def test_the_model_has_as_many_parameters_as_are_counted(architecture: Architecture) -> None:
    assert sum(parameter.numel() for parameter in ProxyModel(architecture).parameters()) == architecture.parameters


@pytest.mark.parametrize("architecture", SHAPES)
def test_no_gradient_comes_from_later_tokens(architecture: Architecture) -> None:
    model, inputs = drawn(architecture), tokens(rows=1)
    inputs[0] = torch.arange(16) + 20  # each token once, so that an embedding's row is a position
    model.hidden(inputs)[0, 5].square().sum().backward()
    rows = model.embedding.grad[inputs[0]].abs().sum(dim=-1)
    assert (rows[:6] > 0).all()
    assert (rows[6:] == 0).all()
    if model.is_gpt2:
        assert (model.positions.grad[6:] == 0).all()


@pytest.mark.parametrize("architecture", SHAPES)
def test_every_family_learns_from_its_own_first_loss(architecture: Architecture) -> None:
    asked = protocol(40, architecture=architecture)
    outcome = train(asked, member(asked, "a"))["a"]
    assert outcome.curve[0][1] == pytest.approx(np.log(300), abs=0.3)
    assert outcome.final_loss is not None
    assert outcome.final_loss < outcome.curve[0][1] - 0.4  # an output layer of its own learns slower


@pytest.mark.parametrize("architecture", SHAPES)
def test_bf16_computes_almost_the_same(architecture: Architecture) -> None:
    exact, rough = drawn(architecture), drawn(architecture, compute_dtype=torch.bfloat16)
    assert rough(tokens()).dtype == torch.float32
    torch.testing.assert_close(rough.loss(tokens(), tokens(1)), exact.loss(tokens(), tokens(1)), rtol=0.01, atol=0.02)


def test_queries_and_keys_are_normalised_a_head_before_they_are_turned() -> None:
    model = drawn(Architecture(**ARCHITECTURE.model_dump() | {"qk_norm": True}))
    block, x = model.blocks[0], torch.randn(1, 16, 32, generator=torch.Generator().manual_seed(2))
    q, k, v = (part.view(1, 16, 2, 16).transpose(1, 2) for part in (x @ block.qkv.T).chunk(3, dim=-1))
    q = q / q.square().mean(dim=-1, keepdim=True).add(1e-6).sqrt() * block.query_norm
    k = k / k.square().mean(dim=-1, keepdim=True).add(1e-6).sqrt() * block.key_norm
    q, k = rotate(q, model.cos_TC, model.sin_TC), rotate(k, model.cos_TC, model.sin_TC)
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(1, 16, 32)
    found = block._attend(x, model.cos_TC, model.sin_TC)
    torch.testing.assert_close(found, mixed @ block.attention_out.T, rtol=1e-4, atol=1e-5)


def test_the_z_loss_is_in_the_gradient_and_not_in_the_curve() -> None:
    plain, penalised = drawn(ARCHITECTURE), drawn(ARCHITECTURE, z_loss=0.5)
    assert torch.equal(penalised.loss(tokens(), tokens(1)), plain.loss(tokens(), tokens(1)))
    logits = plain(tokens())
    total = F.cross_entropy(logits.flatten(0, 1), tokens(1).flatten()) + 0.5 * logits.logsumexp(-1).square().mean()
    expected = torch.autograd.grad(total, list(plain.parameters()))
    for found, wanted in zip(gradients(penalised).values(), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("architecture", SHAPES)
def test_activation_checkpointing_changes_neither_loss_nor_gradients(architecture: Architecture) -> None:
    kept, again = drawn(architecture), drawn(architecture, recomputes=True)
    assert torch.equal(kept.loss(tokens(), tokens(1)), again.loss(tokens(), tokens(1)))
    found, wanted = gradients(again), gradients(kept)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_activation_checkpointing_keeps_less() -> None:
    def kept_bytes(recomputes: bool) -> int:
        model, kept = drawn(ARCHITECTURE, recomputes=recomputes), 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.hidden(tokens())
        return kept

    assert kept_bytes(True) < 0.3 * kept_bytes(False)


@pytest.mark.parametrize("rows", [1, 2])
def test_micro_batches_equal_a_batch(rows: int) -> None:
    whole, parts = protocol(10), protocol(10, micro_batch_sequences=rows)
    logs = []
    for asked in (whole, parts):
        trainer, log = Trainer(asked, CPU), Log.empty(10)
        trainer.start(seat=0, seed=0)
        with TokenFeed(reader(stream(asked)), asked.batch_tokens, 0, 10, trainer.device.device) as feed:
            trainer.train([Lesson(seat=0, feed=feed, peak=1e-2, log=log)], 10)
        logs.append(log)
    np.testing.assert_allclose(logs[0].loss_S, logs[1].loss_S, rtol=1e-5)
    np.testing.assert_allclose(logs[0].norm_S, logs[1].norm_S, rtol=1e-4)


def test_a_micro_batch_of_the_whole_batch_is_the_batch() -> None:
    whole, same = protocol(10), protocol(10, micro_batch_sequences=4)
    assert train(whole, member(whole, "a"))["a"].curve == train(same, member(same, "a"))["a"].curve


def test_the_running_average_is_the_mean() -> None:
    weights = [{"w": torch.randn(50, generator=torch.Generator().manual_seed(seed))} for seed in range(7)]
    average = WeightAverage()
    for one in weights:
        average.add(one)
    torch.testing.assert_close(average.mean["w"], torch.stack([one["w"] for one in weights]).mean(0))
    assert torch.equal(weights[0]["w"], torch.randn(50, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("sweep", [None, "s"])
def test_averaged_weights_are_what_is_scored_and_stored(sweep: str | None) -> None:
    averaged = protocol(40, averaging=Averaging(checkpoints=4, spacing=0.1), scoring=Scoring(checkpoints=1))
    several = protocol(40, scoring=Scoring(checkpoints=4, spacing=0.1))
    assert checkpoint_steps(averaged) == checkpoint_steps(several) == (40, 36, 32, 28)
    members = [member(averaged, "a", sweep=sweep), member(averaged, "b", 9.9e-3, sweep=sweep)]
    outcome, kept = train(averaged, *members)["a"], train(several, member(several, "a"))["a"]
    assert outcome.weights is not None
    assert kept.weights is not None
    names = [name for name, _ in ProxyModel(ARCHITECTURE).named_parameters()]
    assert set(outcome.weights) == set(names)
    for name in names:
        each = [kept.weights[key] for key in (name, *(f"step-{step}/{name}" for step in (28, 32, 36)))]
        torch.testing.assert_close(outcome.weights[name], torch.stack(each).mean(0))
    scored = rescore(averaged, outcome.weights, {"held-out": scoring_set()}, threads=1)
    np.testing.assert_allclose(scored["held-out"], outcome.nats["held-out"], rtol=1e-6)
    assert outcome.curve == kept.curve


def test_a_run_of_before_the_options_keeps_its_numbers() -> None:
    asked = protocol(40)
    outcome = train(asked, member(asked, "a"))["a"]
    losses = [outcome.curve[step][1] for step in (0, 1, 5, 20, 39)]
    before = [5.584782600402832, 5.618190288543701, 5.543153762817383, 4.599299430847168, 3.042053699493408]
    assert losses == pytest.approx(before, rel=1e-5)  # bit-identical on the machine that wrote them
