"""Cross-entropy of a linear output layer whose logits are never whole in memory where they are large.

Few logits are made at once (see WHOLE_LOGITS): the compiler fuses what follows. Of more, the rows are gone
through in chunks, and the gradient is made in the same pass as the loss, so that a chunk's logits are gone before the
next one's are made (as in Liger Kernel, Hsu et al. 2024). Products are in the compute type and the softmax in fp32
either way; what chunks change is the order in which rows are summed.

Axes: N rows (tokens), V vocabulary, W width; C the rows of a chunk.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

# So many elements are made at once: 128 MiB in fp32, and on a CPU 16 MiB, which about stay in its caches (measured: in
# chunks a step of a 1M model takes 11 % less time, docs/benchmarks/training-limits.md).
WHOLE_LOGITS = {"cpu": 2**22, "cuda": 2**25}
MOST_CHUNKS = 16  # compiled, every chunk is code of its own
LEAST_ROWS = 256  # fewer do not repay reading the output matrix and adding to its gradient again


def mean_nats(hidden_NW: Tensor, output_VW: Tensor, targets_N: Tensor, z_loss: float = 0.0) -> Tensor:
    """Mean cross-entropy; the product in the type of `hidden_NW`, the softmax in fp32.

    The z-loss (Chowdhery et al. 2022), z_loss × mean of the squared logarithm of the softmax's denominator, is in the
    gradient alone.
    """
    rows = rows_a_chunk(len(targets_N), len(output_VW), output_VW.device.type)
    if rows < len(targets_N):
        return chunked_mean_nats(hidden_NW, output_VW, targets_N, z_loss, rows)
    logits_NV = _widened(F.linear(hidden_NW, output_VW.to(hidden_NW.dtype)))
    nats = F.cross_entropy(logits_NV, targets_N)
    if not z_loss:
        return nats
    penalty = z_loss * logits_NV.logsumexp(dim=-1).square().mean()
    return nats + (penalty - penalty.detach())


def target_nats(hidden_NW: Tensor, output_VW: Tensor, targets_N: Tensor) -> Tensor:
    """Nats of each target, product and softmax in fp32, [N]. For scoring: the logits of all rows are made at once."""
    return F.cross_entropy(F.linear(_widened(hidden_NW), output_VW), targets_N, reduction="none")


def rows_a_chunk(rows: int, vocabulary: int, where: str) -> int:
    """All rows where their logits are few; `where` is the device's type."""
    return rows if rows * vocabulary <= WHOLE_LOGITS[where] else min(rows, max(LEAST_ROWS, -(-rows // MOST_CHUNKS)))


def chunked_mean_nats(hidden_NW: Tensor, output_VW: Tensor, targets_N: Tensor, z_loss: float, rows: int) -> Tensor:
    """`mean_nats`, so many rows at a time; has first derivatives alone.

    The gradient is known when the loss is, so the loss is given as a number to which a linear form of value zero with
    that gradient is added: autograd, vmap and the compiler see plain operations, and keep nothing of the chunks.
    """
    nats, by_hidden_NW, by_output_VW = _with_gradients(hidden_NW.detach(), output_VW.detach(), targets_N, z_loss, rows)
    form = (hidden_NW * by_hidden_NW).sum(dtype=nats.dtype) + (output_VW * by_output_VW).sum(dtype=nats.dtype)
    return nats + (form - form.detach())


def _with_gradients(
    hidden_NW: Tensor, output_VW: Tensor, targets_N: Tensor, z_loss: float, rows: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean nats and its gradients (with the z-loss) with respect to the hidden rows, in their type, and to the output
    matrix, summed over the chunks in fp32."""
    narrow_VW = output_VW.to(hidden_NW.dtype)
    parts_CW: list[Tensor] = []
    nats, output_gradient_VW = None, None
    for hidden_CW, targets_C in _chunks(hidden_NW, targets_N, rows):
        chunk_nats, by_logits_CV = _chunk(F.linear(hidden_CW, narrow_VW), targets_C, len(targets_N), z_loss)
        parts_CW.append(by_logits_CV @ narrow_VW)
        part_VW = _widened(by_logits_CV.T @ hidden_CW)
        # Added to the first part and not to zeros: under vmap zeros would be one member's and could not take all.
        nats = chunk_nats if nats is None else nats + chunk_nats
        output_gradient_VW = part_VW if output_gradient_VW is None else output_gradient_VW.add_(part_VW)
    assert nats is not None
    assert output_gradient_VW is not None
    return nats, torch.cat(parts_CW), output_gradient_VW.to(output_VW.dtype)


def _chunk(logits_CV: Tensor, targets_C: Tensor, count: int, z_loss: float) -> tuple[Tensor, Tensor]:
    """A chunk's share of the mean over `count` rows, and the gradient with respect to its logits in their type."""
    most_C1 = logits_CV.amax(dim=-1, keepdim=True)
    # Once and in place: exponentials are most of the work beside the products, and eagerly nothing else is kept.
    powers_CV = (_widened(logits_CV) - most_C1).exp_()
    sum_C1 = powers_CV.sum(dim=-1, keepdim=True)
    log_sum_C1 = sum_C1.log() + most_C1
    nats = (log_sum_C1 - logits_CV.gather(1, targets_C[:, None])).sum() / count
    is_target_CV = torch.arange(logits_CV.shape[-1], device=logits_CV.device) == targets_C[:, None]
    powers_CV.mul_((1 + 2 * z_loss * log_sum_C1) / (count * sum_C1)).add_(is_target_CV, alpha=-1 / count)
    return nats, powers_CV.to(logits_CV.dtype)


def _chunks(hidden_NW: Tensor, targets_N: Tensor, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(hidden_NW, rows), torch.split(targets_N, rows), strict=True)


def _widened(tensor: Tensor) -> Tensor:
    """In fp32, or as it is where that is wider."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
