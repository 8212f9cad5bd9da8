"""Members that are computed at once: their weights stacked, every product a batched one.

A small model leaves an accelerator mostly idle: its step is hundreds of short kernels, each waiting for the one before.
Stacked, the members share each kernel, and each still has its own data, rate, clipping and end. The model is written
for one run; torch.func.vmap makes the stacked loss of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from proxy.lm.model import ProxyModel

StackedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


class _LossOf(nn.Module):
    """The model's loss as a module's call, which is what `functional_call` replaces parameters of."""

    def __init__(self, model: ProxyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        return self.model.loss(inputs_BT, targets_BT)


def stacked_loss(model: ProxyModel) -> StackedLoss:
    """(flat weights [E, P], inputs [E, B, T], targets [E, B, T]) → each member's loss, [E].

    The weights are in the order of `flatten_parameters`.
    """
    module = _LossOf(model)
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]

    def loss(weights_P: Tensor, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        parts = zip(shapes.items(), torch.split(weights_P, sizes), strict=True)
        parameters = {name: part.view(shape) for (name, shape), part in parts}
        return torch.as_tensor(functional_call(module, parameters, (inputs_BT, targets_BT)))

    return vmap(loss)
