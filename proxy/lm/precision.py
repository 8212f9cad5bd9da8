"""How fine stored weights are: read off the weights themselves, whatever their type says."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from torch import Tensor

Float32Array = npt.NDArray[np.float32]

LOOKED_AT, LEAST_DIFFERENT = 4096, 64
MANTISSA = 0x7FFFFF  # the 23 bits behind the leading one of an fp32 number
MANTISSA_BITS = 23


def mantissa_bits(weights: Mapping[str, Tensor]) -> int | None:
    """The fewest bits that any matrix uses: 23 in fp32, 7 where it was rounded to bf16, 10 to fp16. None without a
    matrix that says anything. Vectors say nothing: gains that hardly moved are round numbers."""
    matrices = [tensor.detach().float().cpu().numpy() for tensor in weights.values() if tensor.ndim >= 2]
    return min((_bits(matrix) for matrix in matrices if _is_telling(matrix)), default=None)


def _is_telling(matrix: Float32Array) -> bool:
    """False where most numbers are the same, as in a matrix that is all zeros."""
    return len(np.unique(matrix.ravel()[:LOOKED_AT])) >= LEAST_DIFFERENT


def _bits(matrix: Float32Array) -> int:
    used = int(np.bitwise_or.reduce(np.ascontiguousarray(matrix).view(np.uint32).ravel() & np.uint32(MANTISSA)))
    trailing_zeros = (used & -used).bit_length() - 1 if used else MANTISSA_BITS
    return MANTISSA_BITS - trailing_zeros
