"""AdamW (Loshchilov and Hutter 2019) over one flat vector of parameters, with gradients clipped by their norm.

All parameters of the model are views of one vector, so that an update is a handful of fused operations whatever the
number of tensors, and a run's whole state is three vectors that can be copied in and out between members.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from proxy.protocols import AdamW

Update = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(kw_only=True)
class TrainingState:
    """One run's vectors; `step` counts the updates done."""

    weights_P: Tensor
    mean_P: Tensor
    square_P: Tensor
    step: int = 0

    def copy(self) -> "TrainingState":
        """Independent of the model that trains on."""
        return TrainingState(
            weights_P=self.weights_P.clone(), mean_P=self.mean_P.clone(), square_P=self.square_P.clone(), step=self.step
        )

    def load(self, other: "TrainingState") -> None:
        """Overwrites this state in place; the model sees the new weights at once."""
        self.weights_P.copy_(other.weights_P)
        self.mean_P.copy_(other.mean_P)
        self.square_P.copy_(other.square_P)
        self.step = other.step


@torch.no_grad()
def flatten_parameters(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Makes all parameters views of one vector.

    Returns weights and the decay mask (1 where weight decay applies: matrices), both [P].
    """
    parameters = list(model.parameters())
    weights_P = torch.cat([parameter.flatten() for parameter in parameters])
    mask = [torch.full((parameter.numel(),), float(parameter.ndim >= 2)) for parameter in parameters]
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = weights_P[start:end].view_as(parameter)
        start = end
    return weights_P, torch.cat(mask).to(weights_P.device)


@torch.no_grad()
def take_gradients(leaves: Sequence[Tensor], gradients: Tensor, *, adds: bool = False) -> None:
    """Gathers what the backward pass has left into one vector, or adds it. The next pass then begins with nothing and
    leaves its gradients where it makes them: adding them to zeros would read and write each once more, for the same
    bits."""
    parts = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    if adds:
        gradients.view(-1).add_(torch.cat([part.flatten() for part in parts]))
    else:
        torch.cat([part.flatten() for part in parts], out=gradients.view(-1))
    forget_gradients(leaves)


def forget_gradients(leaves: Sequence[Tensor]) -> None:
    """As before any backward pass."""
    for leaf in leaves:
        leaf.grad = None


def make_update(settings: AdamW) -> Update:
    """The update as a function of vectors alone: `scalars` holds rate, 1 − β₁ᵗ and 1 − β₂ᵗ, so that neither a new
    rate nor a new step compiles anything again. Returns the gradient norm before clipping and the update-to-weight
    ratio (norm of all that is taken from the weights over their norm before).

    Vectors are [P] or, of members that train at once, [E, P]: then scalars are [E, 3], and each has its own clipping.
    """

    def update(
        weights_P: Tensor, gradients_P: Tensor, mean_P: Tensor, square_P: Tensor, decay_P: Tensor, scalars: Tensor
    ) -> tuple[Tensor, Tensor]:
        rate, correction1, correction2 = (scalars[..., index : index + 1] for index in range(3))
        norm: Tensor = _norm(gradients_P)
        clipped_P = gradients_P * torch.clamp(settings.clip_norm / (norm + 1e-6), max=1.0)
        mean_P.mul_(settings.beta1).add_(clipped_P * (1 - settings.beta1))
        square_P.mul_(settings.beta2).add_(clipped_P * clipped_P * (1 - settings.beta2))
        change_P = rate * (mean_P / correction1) / ((square_P / correction2).sqrt() + settings.epsilon)
        decayed_P = rate * settings.weight_decay * decay_P
        ratio = _norm(change_P + decayed_P * weights_P) / _norm(weights_P)
        weights_P.mul_(1 - decayed_P)
        weights_P.sub_(change_P)
        return norm.squeeze(-1), ratio.squeeze(-1)

    return update


def _norm(vectors_P: Tensor) -> Tensor:
    """Of each vector, its axis kept."""
    norm: Tensor = torch.linalg.vector_norm(vectors_P, dim=-1, keepdim=True)
    return norm


def scalars_of(settings: AdamW, step: int, rate: float) -> Tensor:
    """What `update` needs of the step (from 0): float32[3]."""
    return torch.tensor([rate, 1 - settings.beta1 ** (step + 1), 1 - settings.beta2 ** (step + 1)], dtype=torch.float32)
