"""Cross-entropy in chunks against the same in one piece."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from proxy.lm import losses
from proxy.lm.losses import chunked_mean_nats, mean_nats, rows_a_chunk, target_nats
from proxy.lm.model import ProxyModel
from proxy.protocols import Architecture
from tests.proxy.lm.small import ARCHITECTURE, member, protocol, train

ROWS, WIDTH, VOCABULARY = 37, 24, 211
NOT_DIVIDING = (1, 5, 36)
Loss = Callable[..., Tensor]


def drawn(dtype: torch.dtype = torch.float32, seed: int = 0, members: tuple[int, ...] = ()) -> tuple[Tensor, ...]:
    """Hidden rows, an output matrix (never narrower than fp32) and targets."""
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(*members, ROWS, WIDTH, generator=draw).to(dtype)
    output = torch.randn(*members, VOCABULARY, WIDTH, generator=draw)
    targets = torch.randint(0, VOCABULARY, (*members, ROWS), generator=draw)
    return hidden, output.to(torch.promote_types(dtype, torch.float32)), targets


def with_gradients(loss: Loss, hidden: Tensor, output: Tensor, *others: Any) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in (hidden, output)]
    found = loss(*leaves, *others)
    return [found.detach(), *torch.autograd.grad(3 * found, leaves)]


def assert_close(found: list[Tensor], wanted: list[Tensor], tolerance: float) -> None:
    """By the norm of what differs: single elements of a gradient may be as small as rounding."""
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == other.dtype
        assert torch.linalg.vector_norm((one - other).double()) <= tolerance * torch.linalg.vector_norm(other.double())


@pytest.mark.parametrize("rows", NOT_DIVIDING)
@pytest.mark.parametrize("z_loss", [0.0, 0.3])
# bf16: each chunk's part of the output matrix's gradient is rounded (2^-9) before it is added in fp32.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 4e-3)])
def test_chunks_give_the_loss_and_gradients_of_one_piece(
    rows: int, z_loss: float, dtype: torch.dtype, tolerance: float
) -> None:
    hidden, output, targets = drawn(dtype)
    found = with_gradients(chunked_mean_nats, hidden, output, targets, z_loss, rows)
    wanted = with_gradients(mean_nats, hidden, output, targets, z_loss)
    assert_close(found, wanted, tolerance)
    assert_close(found[:1], wanted[:1], 1e-6)


def test_the_gradient_is_that_of_finite_differences() -> None:
    hidden, output, targets = drawn(torch.float64)
    leaves = (hidden[:7].requires_grad_(), output[:9].requires_grad_())
    assert torch.autograd.gradcheck(lambda *pair: chunked_mean_nats(*pair, targets[:7] % 9, 0.0, 3), leaves)


def test_without_gradients_the_loss_is_the_same() -> None:
    hidden, output, targets = drawn()
    with torch.no_grad():
        without = chunked_mean_nats(hidden, output, targets, 0.1, 5)
    assert torch.equal(without, chunked_mean_nats(hidden, output, targets, 0.1, 5))


@pytest.mark.parametrize("rows", NOT_DIVIDING)
def test_a_vmap_over_members_equals_a_loop(rows: int) -> None:
    hidden, output, targets = drawn(members=(3,))
    stacked = [hidden.clone().requires_grad_(), output.clone().requires_grad_()]
    losses_M = torch.func.vmap(lambda h, o, t: chunked_mean_nats(h, o, t, 0.1, rows))(*stacked, targets)
    gradients = torch.autograd.grad(losses_M.sum(), stacked)
    for index in range(3):
        alone = [tensor[index].clone().requires_grad_() for tensor in (hidden, output)]
        loss = chunked_mean_nats(*alone, targets[index], 0.1, rows)
        wanted = [loss.detach(), *torch.autograd.grad(loss, alone)]
        assert_close([losses_M[index].detach(), *(gradient[index] for gradient in gradients)], wanted, 1e-6)


def test_torch_func_takes_the_gradient_of_each_member() -> None:
    hidden, output, targets = drawn(members=(3,))

    def by_output(loss: Loss) -> Tensor:
        return torch.func.vmap(torch.func.grad(lambda o, h, t: loss(h, o, t)))(output, hidden, targets)

    assert_close([by_output(lambda *given: chunked_mean_nats(*given, 0.0, 5))], [by_output(mean_nats)], 1e-6)


@pytest.mark.parametrize("is_stacked", [False, True], ids=["one", "stacked"])
def test_compiled_it_is_one_graph_and_equals_eager(is_stacked: bool) -> None:
    def loss(hidden: Tensor, output: Tensor, targets: Tensor) -> Tensor:
        one = lambda *given: chunked_mean_nats(*given, 0.1, 16)  # noqa: E731
        return torch.func.vmap(one)(hidden, output, targets).sum() if is_stacked else one(hidden, output, targets)

    given = drawn(members=(2,) if is_stacked else ())
    compiled = torch.compile(loss, fullgraph=True, dynamic=False, backend="aot_eager")
    assert_close(with_gradients(compiled, *given), with_gradients(loss, *given), 1e-6)


def test_nats_of_targets_are_those_of_exact_logits() -> None:
    hidden, output, targets = drawn(torch.bfloat16)
    exact = F.cross_entropy(hidden.double() @ output.double().T, targets, reduction="none")
    torch.testing.assert_close(target_nats(hidden, output, targets).double(), exact, rtol=1e-5, atol=1e-5)


def in_chunks(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """As if any logits were many."""
    monkeypatch.setattr(losses, "WHOLE_LOGITS", {"cpu": 0})
    monkeypatch.setattr(losses, "LEAST_ROWS", rows)
    monkeypatch.setattr(losses, "MOST_CHUNKS", 10**9)


@pytest.mark.parametrize(
    "options", [{}, {"tied_embeddings": False}, {"family": "gpt2"}], ids=["tied", "untied", "gpt2"]
)
@pytest.mark.parametrize("recomputes", [False, True])
def test_a_model_in_chunks_is_the_model(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], recomputes: bool
) -> None:
    model = ProxyModel(Architecture(**ARCHITECTURE.model_dump() | options), z_loss=0.1, recomputes=recomputes)
    model.draw_weights(torch.Generator().manual_seed(1))
    tokens = torch.randint(0, 300, (2, 3, 16), generator=torch.Generator().manual_seed(2))

    def found() -> list[Tensor]:
        model.zero_grad()
        loss = model.loss(*tokens)
        loss.backward()
        return [loss.detach(), *(one.grad.clone() for one in model.parameters())]

    whole = found()
    in_chunks(monkeypatch, 7)
    assert_close(found(), whole, 1e-5)


def test_a_run_in_chunks_and_micro_batches_learns_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(20, micro_batch_sequences=2)
    whole = train(asked, member(asked, "a"))["a"]
    in_chunks(monkeypatch, 11)
    outcome = train(asked, member(asked, "a"))["a"]
    assert outcome.final_loss == pytest.approx(whole.final_loss, rel=1e-4)
    assert outcome.nats["held-out"] == pytest.approx(whole.nats["held-out"], rel=1e-4)


def test_few_logits_are_made_at_once_and_many_in_at_most_16_chunks() -> None:
    assert rows_a_chunk(2**10, 2**12, "cpu") == 2**10
    assert rows_a_chunk(2**11, 2**12, "cpu") == 256
    assert rows_a_chunk(2**13, 2**12, "cuda") == 2**13  # the largest of the nano ladder's usual batches
    assert rows_a_chunk(2**13 + 1, 2**12, "cuda") < 2**13
    for rows in (700, 5000, 2**15):
        assert -(-rows // rows_a_chunk(rows, 50_257, "cpu")) <= 16


PEAK = """
import sys, torch
from pathlib import Path
from proxy.lm import losses
if sys.argv[1] == "whole":
    losses.WHOLE_LOGITS = {'cpu': 2**40}
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
hidden = torch.randn(2048, 32, dtype=torch.bfloat16, requires_grad=True)
output = torch.randn(50257, 32, requires_grad=True)
losses.mean_nats(hidden[:8], output, torch.arange(8)).backward()
before = peak()
losses.mean_nats(hidden, output, torch.arange(2048)).backward()
print(peak() - before)
"""


def test_a_large_vocabulary_takes_a_fraction_of_its_logits_memory() -> None:
    def megabytes(how: str) -> float:
        command = [sys.executable, "-c", PEAK, how]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    logits = 2048 * 50_257 * 4 / 2**20  # 393 MB in fp32
    whole = megabytes("whole")
    assert whole > logits
    assert megabytes("chunks") < whole / 3
