"""One model, compiled once, that trains and scores the members of a cohort one after the other."""

import time
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from proxy.lm.device import Device
from proxy.lm.evaluation import Float64Array, ScoringSet, rows_a_batch, score_documents
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.model import ProxyModel
from proxy.lm.optimizer import TrainingState, flatten_parameters, make_update, scalars_of
from proxy.lm.schedules import learning_rate
from proxy.protocols import Protocol

CHECK_EVERY_STEPS = 20  # losses are looked at in blocks, so that an accelerator never waits for the host

Report = Callable[[int, float], None]
Figures = tuple[Tensor, Tensor, Tensor]  # a step's loss, gradient norm and update-to-weight ratio
A = ParamSpec("A")
R = TypeVar("R")


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
        self.micro_batches = 1

    def _maybe_compiled(self, function: Callable[A, R]) -> Callable[A, R]:
        return torch.compile(function, dynamic=False) if self.device.compile else function

    def start(self, seed: int) -> None:
        """Fresh weights from the seed, empty moments."""
        self._warm_up()
        self.model.draw_weights(torch.Generator().manual_seed(seed))
        self.state.reset_moments()
        self._gradients_P.zero_()

    def restore(self, state: TrainingState) -> None:
        """Goes on from a state that was copied before."""
        self._warm_up()
        self.state.load(state)
        self._gradients_P.zero_()

    def split_batch(self) -> bool:
        """Computes each batch in twice as many parts from now on, which takes less memory; False if there is no less.

        The gradient is the same sum in another order: equal within rounding.
        """
        if self.micro_batches >= self.protocol.batch_sequences:
            return False
        self.micro_batches = min(2 * self.micro_batches, self.protocol.batch_sequences)
        return True

    def _warm_up(self) -> None:
        """The first call compiles, so that no run's seconds contain it."""
        if self.device.compile and not self._is_warm:
            zeros_N = torch.zeros(self.protocol.batch_tokens + 1, dtype=torch.int32, device=self.device.device)
            self._step(zeros_N, peak=0.0)
        self._is_warm = True

    def train(
        self,
        feed: TokenFeed,
        peak: float,
        until: int,
        log: Log,
        report: Report,
        must_pause: Callable[[], bool] = lambda: False,
    ) -> None:
        """Updates from the state's step up to `until`. LossDivergedError at the first loss that is not finite.

        `report` is called every CHECK_EVERY_STEPS, and after a step at which `must_pause`, with the steps done and the
        last loss. The state and the log agree then; it may raise to stop the run.
        """
        while self.state.step < until:
            first = self.state.step
            last = min(first + CHECK_EVERY_STEPS - first % CHECK_EVERY_STEPS, until)
            started_at, rows = time.perf_counter(), list[Figures]()
            while self.state.step < last and not (rows and must_pause()):
                rows.append(self._step(feed.tokens_of(self.state.step), peak))
            loss_S, norm_S, ratio_S = torch.stack([torch.stack(row) for row in rows]).double().cpu().numpy().T
            log.add(loss_S, norm_S, ratio_S, time.perf_counter() - started_at)
            report(self.state.step, float(loss_S[-1]))

    def _step(self, tokens_N: Tensor, peak: float) -> Figures:
        """One update on a step's tokens and the one after them; its figures, still on the device."""
        protocol, step = self.protocol, self.state.step
        shape = (protocol.batch_sequences, protocol.architecture.context_tokens)
        loss = self._accumulate(tokens_N[:-1].view(shape).long(), tokens_N[1:].view(shape).long())
        scalars = scalars_of(protocol.optimizer, step, learning_rate(step, protocol, peak)).to(self.device.device)
        with torch.no_grad():
            state = self.state
            norm, ratio = self._update(
                state.weights_P, self._gradients_P, state.mean_P, state.square_P, self._decay_P, scalars
            )
        self.state.step += 1
        return loss, norm.clone(), ratio.clone()

    def _accumulate(self, inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """Adds the batch's gradient, part after part; its mean loss."""
        rows = min(-(-len(inputs_BT) // self.micro_batches), self.protocol.micro_batch_sequences or len(inputs_BT))
        losses = []
        for inputs, targets in zip(torch.split(inputs_BT, rows), torch.split(targets_BT, rows), strict=True):
            loss = self._loss(inputs, targets)
            if len(inputs) < len(inputs_BT):
                loss = loss * (len(inputs) / len(inputs_BT))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

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
