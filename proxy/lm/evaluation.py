"""Scoring held-out documents: summed nats of each, every token once, logits in fp32."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxy.data.validation import ScoringWindows
from proxy.protocols import Architecture

Float64Array = npt.NDArray[np.float64]
WindowNats = Callable[[Tensor, Tensor], Tensor]

MOST_ROWS = {"cpu": 32, "cuda": 512}  # an accelerator scores small models faster in larger batches
# In fp32 128 MiB and 1 GiB; rows of a long context over a large vocabulary must still fit.
MOST_LOGITS = {"cpu": 2**25, "cuda": 2**28}


@dataclass(frozen=True, kw_only=True)
class ScoringSet:
    """One held-out set in windows; `text_bytes` of each document, [D]."""

    name: str
    windows: ScoringWindows
    text_bytes: npt.NDArray[np.int64]
    documents: int


def rows_a_batch(architecture: Architecture, device: torch.device) -> int:
    """Windows scored at once: one number an architecture, so that one compilation serves all."""
    logits_a_row = architecture.context_tokens * architecture.vocabulary
    return max(1, min(MOST_ROWS[device.type], MOST_LOGITS[device.type] // logits_a_row))


@torch.no_grad()
def score_documents(window_nats: WindowNats, scoring_set: ScoringSet, device: torch.device, rows: int) -> Float64Array:
    """Summed nats of each document, float64[D]; the last batch is filled up with rows that are not scored."""
    windows = scoring_set.windows
    count, context_tokens = windows.inputs_WT.shape
    nats_D = np.zeros(scoring_set.documents)
    for start in range(0, count, rows):
        end = min(start + rows, count)
        inputs = np.zeros((rows, context_tokens), dtype=np.int64)
        targets = np.full((rows, context_tokens), -1, dtype=np.int64)
        inputs[: end - start] = windows.inputs_WT[start:end]
        targets[: end - start] = windows.targets_WT[start:end]
        nats = window_nats(torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device))
        np.add.at(nats_D, windows.document_W[start:end], nats[: end - start].double().cpu().numpy())
    return nats_D
