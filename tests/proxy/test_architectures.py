"""Parameters against a count by hand, for every family and option."""

from typing import Any

import pytest

from proxy.architectures import Architecture

W, H, L, V, T, HEADS = 48, 80, 3, 300, 16, 3


def shape(**options: Any) -> Architecture:
    return Architecture(layers=L, width=W, heads=HEADS, hidden=H, context_tokens=T, vocabulary=V, **options)


LLAMA = L * ((W * 3 * W) + (W * W) + (W * 2 * H) + (H * W) + W + W) + W
GPT2 = L * ((W * 3 * W + 3 * W) + (W * W + W) + (W * H + H) + (H * W + W) + 2 * (W + W)) + (W + W)


@pytest.mark.parametrize(
    ("options", "inner", "outer"),
    [
        ({}, LLAMA, V * W),
        ({"tied_embeddings": False}, LLAMA, 2 * V * W),
        ({"plain_embedding": True}, LLAMA, V * W),
        ({"qk_norm": True}, LLAMA + L * (16 + 16), V * W),
        ({"family": "gpt2"}, GPT2, V * W + T * W),
        ({"family": "gpt2", "tied_embeddings": False}, GPT2, 2 * V * W + T * W),
    ],
)
def test_parameters_equal_a_count_by_hand(options: dict[str, Any], inner: int, outer: int) -> None:
    found = shape(**options)
    assert (found.non_embedding_parameters, found.parameters) == (inner, inner + outer)
