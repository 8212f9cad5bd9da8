"""One model, compiled once, that trains and scores the members of a cohort one after the other."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor

from proxy.data.tokenizers import TokenArray
from proxy.errors import LossDivergedError
from proxy.lm.device import Device
from proxy.lm.evaluation import Float64Array, ScoringSet, rows_a_batch, score_documents
from proxy.lm.model import ProxyModel
from proxy.lm.optimizer import TrainingState, flatten_parameters, make_update, scalars_of
from proxy.lm.schedules import learning_rate
from proxy.protocols import Protocol

CHECK_EVERY_STEPS = 20  # losses are looked at in blocks, so that an accelerator never waits for the host

Report = Callable[[int, float], None]
A = ParamSpec("A")
R = TypeVar("R")


@dataclass(kw_only=True)
class Log:
    """What one run recorded: one row a step, and the seconds its steps took (compilation apart)."""

    loss_S: Float64Array
    norm_S: Float64Array
    steps_done: int = 0
    seconds: float = 0.0

    @classmethod
    def empty(cls, steps: int) -> "Log":
        """Nothing recorded yet: NaN."""
        return cls(loss_S=np.full(steps, np.nan), norm_S=np.full(steps, np.nan))

    def add(self, loss_S: Float64Array, norm_S: Float64Array) -> None:
        """Records steps up to the first whose loss or gradient is not finite: LossDivergedError names the step at
        which the loss is none. A broken gradient breaks the weights, and with them the next step's loss."""
        is_finite_S = np.isfinite(loss_S) & np.isfinite(norm_S)
        good = len(loss_S) if is_finite_S.all() else int(np.argmin(is_finite_S))
        first, end = self.steps_done, self.steps_done + good
        self.loss_S[first:end], self.norm_S[first:end], self.steps_done = loss_S[:good], norm_S[:good], end
        if good < len(loss_S):
            if np.isfinite(loss_S[good]):
                raise LossDivergedError(end + 1, math.nan)
            raise LossDivergedError(end, float(loss_S[good]))


class Trainer:
    """Holds the model, its flat state and the compiled functions. Not for two threads at once."""

    def __init__(self, protocol: Protocol, device: Device) -> None:
        self.protocol, self.device = protocol, device
        self.model = ProxyModel(
            protocol.architecture,
            device.compute_dtype,
            z_loss=protocol.z_loss,
            recomputes=protocol.activation_checkpointing,
        ).to(device.device)
        self.model.draw_weights(torch.Generator().manual_seed(0))
        weights_P, self._gradients_P, self._decay_P = flatten_parameters(self.model)
        self.state = TrainingState(
            weights_P=weights_P, mean_P=torch.zeros_like(weights_P), square_P=torch.zeros_like(weights_P)
        )
        self._loss: Callable[[Tensor, Tensor], Tensor] = self._maybe_compiled(self.model.loss)
        self._window_nats: Callable[[Tensor, Tensor], Tensor] = self._maybe_compiled(self.model.window_nats)
        self._update = self._maybe_compiled(make_update(protocol.optimizer))
        self._is_warm = False

    def _maybe_compiled(self, function: Callable[A, R]) -> Callable[A, R]:
        return torch.compile(function, dynamic=False) if self.device.compile else function

    def start(self, seed: int) -> None:
        """Fresh weights from the seed, empty moments. The first start compiles, so that no run's seconds contain it."""
        if self.device.compile and not self._is_warm:
            self._step(self.tokens_of(np.zeros(self.protocol.batch_tokens + 1, dtype=np.uint16)), peak=0.0)
            self._is_warm = True
        self.model.draw_weights(torch.Generator().manual_seed(seed))
        self.state.reset_moments()
        self._gradients_P.zero_()

    def train(self, tokens_N: Tensor, peak: float, until: int, log: Log, report: Report) -> None:
        """Updates from the state's step up to `until`. LossDivergedError at the first loss that is not finite.

        `report` is called every CHECK_EVERY_STEPS with the step and its loss, and may raise to stop the run.
        """
        while self.state.step < until:
            first = self.state.step
            last = min(first + CHECK_EVERY_STEPS - first % CHECK_EVERY_STEPS, until)
            started_at = time.perf_counter()
            rows = [self._step(tokens_N, peak) for _ in range(first, last)]
            loss_S, norm_S = torch.stack([torch.stack(row) for row in rows]).double().cpu().numpy().T
            log.seconds += time.perf_counter() - started_at
            log.add(loss_S, norm_S)
            report(last, float(loss_S[-1]))

    def _step(self, tokens_N: Tensor, peak: float) -> tuple[Tensor, Tensor]:
        """One update; its loss and gradient norm, still on the device."""
        protocol, step = self.protocol, self.state.step
        shape = (protocol.batch_sequences, protocol.architecture.context_tokens)
        start = step * protocol.batch_tokens
        inputs_BT = tokens_N[start : start + protocol.batch_tokens].view(shape).long()
        targets_BT = tokens_N[start + 1 : start + 1 + protocol.batch_tokens].view(shape).long()
        loss = self._accumulate(inputs_BT, targets_BT)
        scalars = scalars_of(protocol.optimizer, step, learning_rate(step, protocol, peak)).to(self.device.device)
        with torch.no_grad():
            state = self.state
            norm = self._update(
                state.weights_P, self._gradients_P, state.mean_P, state.square_P, self._decay_P, scalars
            )
        self.state.step += 1
        return loss, norm.clone()

    def _accumulate(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """Adds the batch's gradient; its loss. Micro-batches are equally large, so their mean is the batch's."""
        rows = self.protocol.micro_batch_sequences or self.protocol.batch_sequences
        if rows == self.protocol.batch_sequences:
            loss = self._loss(inputs_BT, targets_BT)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()
        share, losses = rows / self.protocol.batch_sequences, []
        micro_batches = zip(torch.split(inputs_BT, rows), torch.split(targets_BT, rows), strict=True)
        for inputs, targets in micro_batches:
            part = self._loss(inputs, targets) * share
            part.backward()  # type: ignore[no-untyped-call]
            losses.append(part.detach())
        return torch.stack(losses).sum()

    def score(self, scoring_sets: Mapping[str, ScoringSet]) -> dict[str, Float64Array]:
        """Summed nats of each document of each set, with the weights as they are."""
        rows = rows_a_batch(self.protocol.architecture)
        return {
            name: score_documents(self._window_nats, scoring_set, self.device.device, rows)
            for name, scoring_set in scoring_sets.items()
        }

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights by name, on the host."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.model.named_parameters()}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Overwrites the weights in place; raises KeyError for a checkpoint of another architecture."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])

    def tokens_of(self, stream: TokenArray) -> Tensor:
        """A stream on the device, in 4 bytes a token."""
        return torch.from_numpy(stream.astype(np.int32)).to(self.device.device)
