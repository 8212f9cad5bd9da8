"""The matrix products of one training step, bare: what the hardware gives them when nothing stands between.

In bf16 with fp32 sums, back to back, on operands in the layouts that a step has (row-major, transposed where the
backward pass transposes). Axes as in proxy.lm; N rows (tokens).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from proxy.protocols import Architecture
from tests.benchmarks.training.shapes import BATCH_SEQUENCES, BATCH_TOKENS, CONTEXT_TOKENS, Shape


@dataclass(frozen=True, kw_only=True)
class Product:
    """`count` times a step: [batch, rows, inner] @ [batch, inner, columns]; which operands are transposed in memory."""

    what: str
    count: int
    rows: int
    inner: int
    columns: int
    batch: int = 1
    is_left_turned: bool = False
    is_right_turned: bool = False

    @property
    def flops(self) -> int:
        """Multiplications and additions of all of them."""
        return 2 * self.count * self.batch * self.rows * self.inner * self.columns

    def operands(self) -> tuple[Tensor, Tensor]:
        """Random, in bf16."""
        left = _matrix(self.batch, self.rows, self.inner, self.is_left_turned)
        right = _matrix(self.batch, self.inner, self.columns, self.is_right_turned)
        return (left, right) if self.batch > 1 else (left[0], right[0])


def _matrix(batch: int, rows: int, columns: int, is_turned: bool) -> Tensor:
    shape = (batch, columns, rows) if is_turned else (batch, rows, columns)
    made = torch.randn(shape, dtype=torch.bfloat16)
    return made.transpose(1, 2) if is_turned else made


def products_of(architecture: Architecture) -> list[Product]:
    """All of a step: forward, and two for each backward."""
    w, layers = architecture.width, architecture.layers
    made = [
        *_linear("qkv", layers, w, 3 * w),
        *_linear("attention_out", layers, w, w),
        *_linear("gate_up", layers, w, 2 * architecture.hidden),
        *_linear("down", layers, architecture.hidden, w),
        *_linear("output", 1, w, architecture.vocabulary),
    ]
    heads, T, C = BATCH_SEQUENCES * architecture.heads, CONTEXT_TOKENS, architecture.head_width
    # Scores, and the gradient of the weights, are [T, C] @ [C, T]; the other four are [T, T] @ [T, C].
    scores = Product(what="scores", count=2 * layers, batch=heads, rows=T, inner=C, columns=T, is_right_turned=True)
    mixed = Product(what="mixed", count=2 * layers, batch=heads, rows=T, inner=T, columns=C)
    turned = Product(
        what="mixed, turned", count=2 * layers, batch=heads, rows=T, inner=T, columns=C, is_left_turned=True
    )
    return [*made, scores, mixed, turned]


def _linear(name: str, count: int, inner: int, outer: int) -> list[Product]:
    N = BATCH_TOKENS
    return [
        Product(what=name, count=count, rows=N, inner=inner, columns=outer, is_right_turned=True),
        Product(what=f"{name} by input", count=count, rows=N, inner=outer, columns=inner),
        Product(what=f"{name} by weight", count=count, rows=outer, inner=N, columns=inner, is_left_turned=True),
    ]


def bare_products(shape: Shape, threads: int) -> Callable[[int], None]:
    """All products of so many steps, one after the other."""
    torch.set_num_threads(threads)
    work = [(product.count, *product.operands()) for product in products_of(shape.protocol(1).architecture)]

    def multiply(steps: int) -> None:
        for _ in range(steps):
            for count, left, right in work:
                for _ in range(count):
                    torch.matmul(left, right)

    return multiply
