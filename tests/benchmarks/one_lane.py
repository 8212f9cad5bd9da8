"""One training process of the lanes benchmark: compiles, says so, waits for a line, trains, prints its seconds.

Arguments: a protocol as JSON, threads.
"""

import sys
import time
from collections.abc import Sequence

import numpy as np

from proxy.lm.cohort import Member, train_cohort
from proxy.protocols import Protocol

WARM_UP_SHARE = 0.1


class Silent:
    """Remembers when the steps after the warm-up began, and waits there for the others."""

    began: float | None = None
    first_step: int = 0

    def progress(
        self, run_id: str, step: int, steps: int, loss: float, tokens_per_second: float, seconds_left: float
    ) -> None:
        del run_id, loss, tokens_per_second, seconds_left
        if self.began is None and step >= WARM_UP_SHARE * steps:
            print("ready", flush=True)
            sys.stdin.readline()
            self.began, self.first_step = time.perf_counter(), step
        if step == steps and self.began is not None:
            print((step - self.first_step) / (time.perf_counter() - self.began), flush=True)

    def is_cancelled(self, run_id: str) -> bool:
        del run_id
        return False

    def training(self, run_ids: Sequence[str]) -> None:
        """Of no interest: there is one run."""


def main() -> None:
    protocol = Protocol.model_validate_json(sys.argv[1])
    draw, vocabulary = np.random.default_rng(0), protocol.architecture.vocabulary
    tokens_N = draw.integers(0, vocabulary, protocol.token_budget + 1, dtype=np.uint16)
    member = Member(run_id="run", learning_rate=1e-3, seed=0, read=lambda start, count: tokens_N[start : start + count])
    (outcome,) = train_cohort(protocol, [member], {}, Silent(), int(sys.argv[2]), want_compile=True)
    assert outcome.state == "finished", outcome.error


if __name__ == "__main__":
    main()
