"""Ways to compute a training step that were tried against the present one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from proxy.lm import losses, model
from proxy.lm.trainer import Trainer

Change = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """`changes` are patches of the product's modules, `options` what the compiler is told."""

    name: str
    changes: tuple[Change, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    prepare: Callable[[Trainer], None] = lambda trainer: None

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Its changes, while they last."""
        with ExitStack() as stack:
            for change in self.changes:
                stack.enter_context(change())
            yield


def chunks_of(rows: int) -> Change:
    """The loss in chunks of so many rows, with its gradient in the same pass."""
    return lambda: patch.object(losses, "rows_a_chunk", lambda count, vocabulary, where: min(rows, count - 1))


def own_gradient_in_one_piece() -> AbstractContextManager[Any]:
    """All rows as one chunk: the logits are whole, but the gradient is ours."""

    def mean_nats(hidden_NW: Tensor, output_VW: Tensor, targets_N: Tensor, z_loss: float = 0.0) -> Tensor:
        return losses.chunked_mean_nats(hidden_NW, output_VW, targets_N, z_loss, len(targets_N))

    return patch.object(model, "mean_nats", mean_nats)


def embedding_by_numbers() -> AbstractContextManager[Any]:
    """As it was: PyTorch's lookup, whose gradient several threads add number by number with atomic operations."""
    return patch.object(model, "embed", F.embedding)


def attention(made: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Change:
    """Another attention."""
    return lambda: patch.object(model, "attend", made)


def kernel(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q_BHTC, k_BHTC, v_BHTC, is_causal=True)


def scaled_queries(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor) -> Tensor:
    """The scale on the queries, which are fewer than the scores; rounds them once more."""
    T, C = q_BHTC.shape[-2:]
    scores_BHTT = ((q_BHTC * C**-0.5) @ k_BHTC.transpose(-2, -1)).float()
    future_TT = torch.full((T, T), float("-inf"), device=q_BHTC.device).triu(1)
    weights_BHTT: Tensor = (scores_BHTT + future_TT).softmax(dim=-1).to(v_BHTC.dtype)
    return weights_BHTT @ v_BHTC


def mask_filled(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor) -> Tensor:
    """As it was: to the bit the same, but its gradient reads the mask."""
    T, C = q_BHTC.shape[-2:]
    scores_BHTT = (q_BHTC @ k_BHTC.transpose(-2, -1)).float() * C**-0.5
    is_future_TT = torch.ones(T, T, dtype=torch.bool, device=q_BHTC.device).triu(1)
    weights_BHTT: Tensor = scores_BHTT.masked_fill(is_future_TT, float("-inf")).softmax(dim=-1).to(v_BHTC.dtype)
    return weights_BHTT @ v_BHTC


def one_pass(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor) -> Tensor:
    """The mask on the sum as well, though nothing is left to mask: its loops are then those of the exponentials, and
    the compiler keeps these in a buffer of one row."""
    T, C = q_BHTC.shape[-2:]
    scores_BHTT = (q_BHTC @ k_BHTC.transpose(-2, -1)).float() * C**-0.5
    is_future_TT = torch.ones(T, T, dtype=torch.bool, device=q_BHTC.device).triu(1)
    masked_BHTT = scores_BHTT.masked_fill(is_future_TT, float("-inf"))
    powers_BHTT = (masked_BHTT - masked_BHTT.amax(dim=-1, keepdim=True).detach()).exp()
    powers_BHTT = powers_BHTT.masked_fill(is_future_TT, 0.0)
    weights_BHTT: Tensor = (powers_BHTT / powers_BHTT.sum(dim=-1, keepdim=True)).to(v_BHTC.dtype)
    return weights_BHTT @ v_BHTC


def narrow_weights(trainer: Trainer) -> None:
    """Matrices in bf16 with gradients in bf16: more than casting them once a step could save."""
    for parameter in trainer.model.parameters():
        if parameter.ndim > 1:
            parameter.grad = None
            parameter.data = parameter.data.bfloat16()


PRESENT = Variant(name="present")
VARIANTS = (
    Variant(name="loss own gradient", changes=(own_gradient_in_one_piece,)),
    Variant(name="loss 1024 rows", changes=(chunks_of(1024),)),
    Variant(name="loss 512 rows", changes=(chunks_of(512),)),
    Variant(name="loss 256 rows", changes=(chunks_of(256),)),
    Variant(name="loss 128 rows", changes=(chunks_of(128),)),
    Variant(name="embedding by numbers", changes=(embedding_by_numbers,)),
    Variant(name="attention kernel", changes=(attention(kernel),)),
    Variant(name="attention scaled queries", changes=(attention(scaled_queries),)),
    Variant(name="attention mask filled", changes=(attention(mask_filled),)),
    Variant(name="attention one pass", changes=(attention(one_pass),)),
    Variant(name="weights narrow", prepare=narrow_weights),
    Variant(name="max autotune", options={"max_autotune": True, "max_autotune_gemm_backends": "CPP,ATEN"}),
    Variant(name="unsafe math", options={"cpp.enable_unsafe_math_opt_flag": True}),
    Variant(name="contraction", options={"cpp.enable_floating_point_contract_flag": "fast"}),
    Variant(name="larger pieces", options={"cpp.min_chunk_size": 16384}),
)
