"""Scoring held-out documents: summed nats of each, every token once, logits in fp32.

The windows of all sets go through the model's layers in batches of one size. Windows overlap by half and are filled up
at their ends, so about half of their positions are not scored: the others alone reach the output layer, in batches of
one size as well. So each of the two functions is compiled once, and no set is filled up by itself.

Axes: B windows, T positions, N = B × T; C scored positions, W width; D documents.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxy.data.validation import NOT_SCORED, ScoringWindows
from proxy.protocols import Architecture

Float64Array = npt.NDArray[np.float64]
IntpArray = npt.NDArray[np.intp]

MOST_WINDOWS = {"cpu": 32, "cuda": 512}  # an accelerator scores small models faster in larger batches
MOST_POSITIONS = {"cpu": 2**12, "cuda": 2**18}
# Scored at once: of 4,096 tokens of vocabulary 8 MiB of logits, which stay in a CPU's caches, and of large ones 64 MiB.
MOST_SCORED = {"cpu": 2**9, "cuda": 2**16}
MOST_LOGITS = {"cpu": 2**24, "cuda": 2**28}


@dataclass(frozen=True, kw_only=True)
class ScoringSet:
    """One held-out set in windows; `text_bytes` of each document, [D]."""

    name: str
    windows: ScoringWindows
    text_bytes: npt.NDArray[np.int64]
    documents: int


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A model in two parts, and how much each is given at once: `hidden_rows` (tokens [B, T] → [N, W]) so many windows,
    `target_nats` ([C, W] and targets [C] → [C]) so many positions. Smaller batches are filled up."""

    hidden_rows: Callable[[Tensor], Tensor]
    target_nats: Callable[[Tensor, Tensor], Tensor]
    windows: int
    positions: int
    device: torch.device


def windows_a_batch(architecture: Architecture, device: torch.device) -> int:
    """Windows that go through the layers at once."""
    return max(1, min(MOST_WINDOWS[device.type], MOST_POSITIONS[device.type] // architecture.context_tokens))


def positions_a_batch(architecture: Architecture, device: torch.device) -> int:
    """Positions that go through the output layer at once."""
    return max(1, min(MOST_SCORED[device.type], MOST_LOGITS[device.type] // architecture.vocabulary))


@torch.no_grad()
def warm_up(scorer: Scorer, context_tokens: int) -> None:
    """The first call of each function, which compiles it."""
    tokens_BT = torch.zeros(scorer.windows, context_tokens, dtype=torch.int64, device=scorer.device)
    hidden_NW = scorer.hidden_rows(tokens_BT)
    targets_C = torch.zeros(scorer.positions, dtype=torch.int64, device=scorer.device)
    scorer.target_nats(hidden_NW.new_zeros(scorer.positions, hidden_NW.shape[1]), targets_C)


@torch.no_grad()
def score_documents(scorer: Scorer, scoring_sets: Mapping[str, ScoringSet]) -> dict[str, Float64Array]:
    """Summed nats of each document of each set, float64[D]."""
    if not scoring_sets:
        return {}
    parts = list(scoring_sets.values())
    first_document = [0, *accumulate(part.documents for part in parts)]
    inputs_BT = np.concatenate([part.windows.inputs_WT for part in parts])
    targets_BT = np.concatenate([part.windows.targets_WT for part in parts])
    owner_B = np.concatenate(
        [part.windows.document_W + first for part, first in zip(parts, first_document[:-1], strict=True)]
    )
    window_C, place_C = np.nonzero(targets_BT != NOT_SCORED)
    nats_C = _nats(scorer, inputs_BT, window_C * targets_BT.shape[1] + place_C, targets_BT[window_C, place_C])
    nats_D = np.zeros(first_document[-1])
    np.add.at(nats_D, owner_B[window_C], nats_C)
    bounds = zip(scoring_sets, pairwise(first_document), strict=True)
    return {name: nats_D[first:last] for name, (first, last) in bounds}


def _nats(
    scorer: Scorer, inputs_BT: npt.NDArray[np.int64], place_C: IntpArray, target_C: npt.NDArray[np.int64]
) -> Float64Array:
    """Of each scored position, given by its place among all of the windows."""
    found, waiting = list[Tensor](), list[Tensor]()
    targets = torch.from_numpy(target_C).to(scorer.device)
    done = 0
    for rows_CW in _scored_rows(scorer, inputs_BT, place_C):
        waiting.append(rows_CW)
        while sum(map(len, waiting)) >= scorer.positions:
            ready_CW = torch.cat(waiting)
            found.append(scorer.target_nats(ready_CW[: scorer.positions], targets[done : done + scorer.positions]))
            waiting, done = [ready_CW[scorer.positions :]], done + scorer.positions
    if (left := len(target_C) - done) > 0:
        lacking = scorer.positions - left
        ready_CW = torch.cat([*waiting, waiting[0].new_zeros(lacking, waiting[0].shape[1])])
        found.append(scorer.target_nats(ready_CW, torch.cat([targets[done:], targets.new_zeros(lacking)]))[:left])
    return torch.cat(found).double().cpu().numpy() if found else np.zeros(0)


def _scored_rows(scorer: Scorer, inputs_BT: npt.NDArray[np.int64], place_C: IntpArray) -> Iterator[Tensor]:
    """Hidden rows of the scored positions, batch after batch of windows."""
    count, context_tokens = inputs_BT.shape
    for start in range(0, count, scorer.windows):
        some_BT = np.zeros((scorer.windows, context_tokens), dtype=np.int64)
        some_BT[: min(scorer.windows, count - start)] = inputs_BT[start : start + scorer.windows]
        hidden_NW = scorer.hidden_rows(torch.from_numpy(some_BT).to(scorer.device))
        ends = np.searchsorted(place_C, [start * context_tokens, (start + scorer.windows) * context_tokens])
        wanted_C = place_C[ends[0] : ends[1]] - start * context_tokens
        yield hidden_NW[torch.from_numpy(wanted_C).to(scorer.device)]
