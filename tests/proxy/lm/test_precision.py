"""How fine weights are is read off the weights."""

import pytest
import torch

from proxy.lm.precision import mantissa_bits

Weights = dict[str, torch.Tensor]


def drawn(dtype: torch.dtype = torch.float32) -> Weights:
    draw = torch.Generator().manual_seed(0)
    matrices = {"embedding": torch.randn(300, 16, generator=draw), "qkv": torch.randn(48, 16, generator=draw)}
    return {name: matrix.to(dtype).float() for name, matrix in matrices.items()}


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float32, 23), (torch.bfloat16, 7), (torch.float16, 10)])
def test_rounded_weights_are_known_though_they_are_stored_in_fp32(dtype: torch.dtype, bits: int) -> None:
    assert mantissa_bits(drawn(dtype)) == bits


def test_one_coarse_matrix_is_enough_and_vectors_and_zeros_say_nothing() -> None:
    mixed = drawn() | {"norm": torch.ones(16), "unused": torch.zeros(64, 64)}
    assert mantissa_bits(mixed) == 23
    assert mantissa_bits(mixed | {"qkv": drawn(torch.bfloat16)["qkv"]}) == 7
    assert mantissa_bits({"norm": torch.ones(16)}) is None


def test_weights_in_bf16_themselves_count_the_same() -> None:
    assert mantissa_bits({name: matrix.bfloat16() for name, matrix in drawn().items()}) == 7
