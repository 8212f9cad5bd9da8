"""Looking up embeddings so that their gradient is the same sum each time.

Compiled for several threads of a CPU, PyTorch's own lookup adds its gradient number by number with atomic operations,
in whatever order the threads come: two runs of one seed differ then. Here each thread adds rows of its own, in the
order of the tokens. Axes: V vocabulary, W width, M members; tokens have any shape.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def embed(tokens: Tensor, weight_VW: Tensor) -> Tensor:
    """Rows of the matrix; on a CPU with a gradient that does not depend on the threads' timing."""
    if weight_VW.device.type != "cpu":
        return F.embedding(tokens, weight_VW)
    found: Tensor = _lookup(tokens, weight_VW)
    return found


@torch.library.custom_op("foretaste::lookup", mutates_args=())
def _lookup(tokens: Tensor, weight_VW: Tensor) -> Tensor:
    return F.embedding(tokens, weight_VW)


@torch.library.custom_op("foretaste::lookup_gradient", mutates_args=())
def _lookup_gradient(gradient: Tensor, tokens: Tensor, vocabulary: int) -> Tensor:
    made: Tensor = torch.ops.aten.embedding_dense_backward(gradient.contiguous(), tokens, vocabulary, -1, False)
    return made


@_lookup.register_fake
def _(tokens: Tensor, weight_VW: Tensor) -> Tensor:
    return weight_VW.new_empty(*tokens.shape, weight_VW.shape[1])


@_lookup_gradient.register_fake
def _(gradient: Tensor, tokens: Tensor, vocabulary: int) -> Tensor:
    del tokens
    return gradient.new_empty(vocabulary, gradient.shape[-1])


def _keep_tokens(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    del output
    tokens, weight_VW = inputs
    ctx.save_for_backward(tokens)
    ctx.vocabulary = len(weight_VW)


def _backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
    (tokens,) = ctx.saved_tensors
    return None, _lookup_gradient(gradient, tokens, ctx.vocabulary)


_lookup.register_autograd(_backward, setup_context=_keep_tokens)


@_lookup.register_vmap
def _lookup_of_members(info: Any, in_dims: tuple[int | None, int | None], *inputs: Tensor) -> tuple[Tensor, int]:
    """All members' matrices one below the other, each member's tokens counted from its own first row."""
    tokens, weight_MVW = (_by_member(one, dim, info.batch_size) for one, dim in zip(inputs, in_dims, strict=True))
    return _lookup(_shifted(tokens, weight_MVW.shape[1]), weight_MVW.flatten(0, 1)), 0


@_lookup_gradient.register_vmap
def _gradient_of_members(info: Any, in_dims: tuple[int | None, int | None, None], *inputs: Any) -> tuple[Tensor, int]:
    gradient, tokens = (_by_member(inputs[at], in_dims[at], info.batch_size) for at in (0, 1))
    vocabulary: int = inputs[2]
    made = _lookup_gradient(gradient, _shifted(tokens, vocabulary), vocabulary * info.batch_size)
    return made.unflatten(0, (info.batch_size, vocabulary)), 0


def _by_member(tensor: Tensor, dim: int | None, members: int) -> Tensor:
    """The members' axis first; a tensor that all share is repeated."""
    return tensor.expand(members, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _shifted(tokens: Tensor, vocabulary: int) -> Tensor:
    first_M = torch.arange(len(tokens), device=tokens.device) * vocabulary
    return tokens + first_M.view(-1, *(1,) * (tokens.ndim - 1))
