"""Memory that ran out, however torch says so."""

import gc

import torch

from proxy.errors import OUT_OF_MEMORY

_ALLOCATOR_WORDS = ("can't allocate memory", "not enough memory", OUT_OF_MEMORY)


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
