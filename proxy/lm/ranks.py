"""The processes that train one run together: each computes its rows of every batch, and all take the same step.

The gradients of a model lie in one vector, so that one sum over the ranks a step is all that data parallelism needs
(Li et al. 2020, without the overlap). Besides, the ranks must agree on whatever a clock, a disk or somebody outside
decides: one that pauses, ends or takes less memory while the others go on would leave them waiting for ever. Such
words travel between the hosts, so that no accelerator waits for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from proxy.errors import InvalidInputError
from proxy.lm.memory import is_out_of_memory

# Of waiting for another rank: while the first prepares tokens or writes results, the others wait. A rank that is gone
# is noticed by whoever started it.
PATIENCE = timedelta(days=7)

R = TypeVar("R")


class ExhaustedError(MemoryError):
    """Memory ran out on one rank, and every rank knows it."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those that train together. One that is alone is asked the same, and nothing is sent."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """The one that decides, writes and speaks."""
        return self.rank == 0

    def require_rows(self, batch_sequences: int) -> None:
        """InvalidInputError where a rank would have none."""
        if batch_sequences < self.count:
            message = f"fewer than the {self.count} processes that are to share each batch"
            raise InvalidInputError.at("/batch_sequences", batch_sequences, message)

    def share(self, rows: int) -> slice:
        """This rank's part of so many rows; the parts differ by one row at most."""
        return slice(self.rank * rows // self.count, (self.rank + 1) * rows // self.count)

    def sum_(self, tensor: Tensor) -> None:
        """Replaces the tensor by the sum of all ranks' tensors, the same bits everywhere."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def most(self, number: int) -> int:
        """The largest of the ranks' numbers."""
        if self.count == 1:
            return number
        found = torch.tensor([number], dtype=torch.int64)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def any(self, claim: bool) -> bool:
        """True where it is for any rank."""
        return bool(self.most(int(claim)))

    def first(self, claim: bool) -> bool:
        """What the first rank says."""
        return self.any(claim and self.is_first)

    def together(self, work: Callable[[], R]) -> R:
        """What each rank does for itself; ExhaustedError on all where memory runs out on any, and none waits for what
        another cannot do. A rank that is alone meets the error itself."""
        if self.count == 1:
            return work()
        problem: str | None = None
        try:
            found = work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            problem = str(error).partition("\n")[0]
        if self.any(problem is not None):
            raise ExhaustedError(problem or "on another rank")
        return found

    def told(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The first rank's words."""
        if self.count == 1:
            return words
        box = [words]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]


ALONE = Ranks()


def join(*, rank: int, count: int, meeting_point: str, device_class: str) -> Ranks:
    """Waits for the others at `meeting_point` (`tcp://HOST:PORT` or `file://PATH`). Once a process; see `leave`."""
    if count == 1:
        return ALONE
    backend = "cpu:gloo,cuda:nccl" if device_class == "cuda" else "cpu:gloo"
    dist.init_process_group(backend, init_method=meeting_point, timeout=PATIENCE, world_size=count, rank=rank)
    return Ranks(rank=rank, count=count)


def leave(ranks: Ranks) -> None:
    """After the last word; not where something went wrong, because the others may be waiting for what never comes."""
    if ranks.count > 1:
        dist.destroy_process_group()
