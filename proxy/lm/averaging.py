"""The mean of a run's last checkpoints' weights: one copy is kept, whatever their number."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(kw_only=True)
class WeightAverage:
    """Running mean by name, fp32; `count` checkpoints are in it."""

    mean: dict[str, Tensor] = field(default_factory=dict)
    count: int = 0

    def add(self, weights: Mapping[str, Tensor]) -> None:
        """Takes in one more checkpoint; the first is copied."""
        self.count += 1
        if self.count == 1:
            self.mean = {name: tensor.clone() for name, tensor in weights.items()}
        for name, mean in self.mean.items():
            mean.add_(weights[name] - mean, alpha=1 / self.count)
