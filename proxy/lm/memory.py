"""Memory: how many members fit beside each other, and how torch says that it has run out."""

import gc

import torch

from proxy.errors import OUT_OF_MEMORY
from proxy.protocols import Protocol

_ALLOCATOR_WORDS = ("can't allocate memory", "not enough memory", OUT_OF_MEMORY)

USABLE_SHARE = 0.8  # of the memory that is free; the rest is for what the allocator cannot use
BYTES_A_PARAMETER = 28  # weight, gradient, two moments, and three such vectors while an update is computed, in fp32
# What the backward pass keeps of a layer, a token: of its width and of its hidden units, in values of two bytes.
KEPT_WIDTHS, KEPT_HIDDEN = 16, 4
BYTES_A_LOGIT = 10  # in the compute type, in fp32, and the gradient of that


def choose_seats(protocol: Protocol, device: torch.device, members: int, at_once: int) -> int:
    """How many members train at once: `at_once`, or (0) as many as fit a GPU's memory, and one on a CPU.

    A CPU's core is busy with one small model: docs/decisions/0015. The members are spread evenly over as many rounds
    as they need. A protocol that computes its activations twice has no memory to share.
    """
    if protocol.activation_checkpointing or (device.type == "cpu" and not at_once):
        return 1
    fitting = members if device.type == "cpu" else _fitting(protocol, torch.cuda.mem_get_info(device)[0])
    most = max(1, min(members, fitting, at_once or members))
    rounds = -(-members // most)
    return -(-members // rounds)


def bytes_a_member(protocol: Protocol) -> int:
    """Memory of one member while it trains, counted on the large side."""
    architecture = protocol.architecture
    sequences = protocol.micro_batch_sequences or protocol.batch_sequences
    a_layer = 2 * (KEPT_WIDTHS * architecture.width + KEPT_HIDDEN * architecture.hidden)
    a_token = architecture.layers * a_layer + BYTES_A_LOGIT * architecture.vocabulary
    return BYTES_A_PARAMETER * architecture.parameters + sequences * architecture.context_tokens * a_token


def _fitting(protocol: Protocol, free_bytes: int) -> int:
    return int(USABLE_SHARE * free_bytes / bytes_a_member(protocol))


def is_out_of_memory(error: BaseException) -> bool:
    """Torch raises a plain RuntimeError when the host's memory is used up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _ALLOCATOR_WORDS)


def free_memory() -> None:
    """Gives back what nobody refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
