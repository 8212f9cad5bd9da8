"""How a child is started: one process, or several that train one run together, which torchrun starts and watches.

torchrun gives each process a session of its own, so that killing its group does not reach them; and its ranks share
one standard input. So each rank asks the kernel to end it with torchrun, and only the first listens and speaks.
"""

import ctypes
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import ForetasteError
from worker.cohorts.messages import ChildSpec, CohortSpec

CHILD_MODULE = "worker.cohorts.child"
LOOPBACK = "127.0.0.1"  # the ranks of a worker are processes of one machine
PR_SET_PDEATHSIG = 1  # of prctl(2), on Linux alone
OWN_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?: .*\n)+[\w.]*\.(?:ChildFailedError|SignalException):.*\n?"
)


class TooFewGpusError(ForetasteError):
    """A worker has more ranks than it may use GPUs."""

    title = "Too few GPUs"


@dataclass(frozen=True, kw_only=True)
class LaunchedRank:
    """Which of the ranks this process is, and where they meet; the values of one that is alone."""

    rank: int = 0
    local_rank: int = 0
    count: int = 1
    meeting_point: str = ""


def ranks_of(spec: ChildSpec) -> int:
    """Processes that do the work of the specification together."""
    return spec.ranks if isinstance(spec, CohortSpec) else 1


def command_of(spec: ChildSpec, path: Path) -> list[str]:
    """What starts the child for the specification at `path`; torchrun leaves its notes beside it."""
    ranks = ranks_of(spec)
    if ranks == 1:
        return [sys.executable, "-m", CHILD_MODULE, str(path)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", LOOPBACK]
    options = ["--nproc-per-node", str(ranks), "--log-dir", str(path.parent / "ranks")]
    return [*torchrun, *options, "-m", CHILD_MODULE, str(path)]


def launched_rank(environment: Mapping[str, str]) -> LaunchedRank:
    """What torchrun has said, if it has started this process."""
    if "LOCAL_RANK" not in environment:
        return LaunchedRank()
    return LaunchedRank(
        rank=int(environment["RANK"]),
        local_rank=int(environment["LOCAL_RANK"]),
        count=int(environment["WORLD_SIZE"]),
        meeting_point=f"tcp://{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}",
    )


def own_gpu(launched: LaunchedRank, visible: str | None) -> str:
    """What CUDA_VISIBLE_DEVICES becomes, so that a rank sees its own GPU and takes memory on no other."""
    if visible is None:
        return str(launched.local_rank)
    names = [name.strip() for name in visible.split(",") if name.strip()]
    if launched.local_rank >= len(names):
        raise TooFewGpusError(
            f"rank {launched.local_rank} of {launched.count} has no GPU: CUDA_VISIBLE_DEVICES is {visible!r}"
        )
    return names[launched.local_rank]


def without_launcher(words: str) -> str:
    """Standard error without the traceback of torchrun itself, which says nothing and pushes out what does."""
    return OWN_TRACEBACK.sub("", words)


def end_with_parent() -> None:
    """Whatever ends torchrun ends this process. Elsewhere than on Linux the first rank notices by its standard input,
    and the others by its silence."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
