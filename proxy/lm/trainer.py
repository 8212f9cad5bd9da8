"""One model, compiled once, that trains and scores the members of a cohort: one at a time, or stacked.

A trainer has seats, each with one run's vectors; a cohort of one has one seat. The runs in the seats take each step
together, and each at a step of its own: a seat that is given up is taken by the next run while the others go on.

Several processes may train one run together (proxy.lm.ranks): each computes its rows, and all take the same steps.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from proxy.errors import LossDivergedError, TokensEndedError
from proxy.lm.compiling import first_to_compile
from proxy.lm.device import Device
from proxy.lm.evaluation import (
    Float64Array,
    Scorer,
    ScoringSet,
    positions_a_batch,
    score_documents,
    warm_up,
    windows_a_batch,
)
from proxy.lm.feeds import TokenFeed
from proxy.lm.logs import Log
from proxy.lm.model import ProxyModel
from proxy.lm.optimizer import (
    TrainingState,
    flatten_parameters,
    forget_gradients,
    make_update,
    scalars_of,
    take_gradients,
)
from proxy.lm.ranks import ALONE, Ranks
from proxy.lm.schedules import learning_rate
from proxy.lm.stacks import stacked_loss
from proxy.protocols import Protocol

CHECK_EVERY_STEPS = 20  # losses are looked at in blocks, so that an accelerator never waits for the host

Figures = tuple[Tensor, Tensor, Tensor]  # a step's loss, gradient norm and update-to-weight ratio, each [E]
A = ParamSpec("A")
R = TypeVar("R")


@dataclass(kw_only=True, eq=False)
class Lesson:
    """What one seat trains on; `error` is set where its training cannot go on."""

    seat: int
    feed: TokenFeed
    peak: float
    log: Log
    error: LossDivergedError | TokensEndedError | None = None


class Trainer:
    """Holds the model, the seats' flat vectors and the compiled functions. Not for two threads at once."""

    def __init__(self, protocol: Protocol, device: Device, seats: int = 1, ranks: Ranks = ALONE) -> None:
        assert seats == 1 or ranks.count == 1
        self.protocol, self.device, self.seats, self.ranks = protocol, device, seats, ranks
        self.model = ProxyModel(
            protocol.architecture,
            device.compute_dtype,
            z_loss=protocol.z_loss,
            recomputes=protocol.activation_checkpointing,
        ).to(device.device)
        self.model.draw_weights(torch.Generator().manual_seed(0))
        self._model_P, self._decay_P = flatten_parameters(self.model)
        if seats == 1:
            self._weights_EP, self._leaves = self._model_P[None], list(self.model.parameters())
            self._loss: Callable[[Tensor, Tensor], Tensor] = self._maybe_compiled(self.model.loss, self._mode)
        else:
            self._weights_EP = self._model_P.repeat(seats, 1)
            self._leaves = [nn.Parameter(self._weights_EP)]
            self._loss = self._stacked_loss()
        self._gradients_EP = torch.zeros_like(self._weights_EP)
        self._mean_EP, self._square_EP = torch.zeros_like(self._weights_EP), torch.zeros_like(self._weights_EP)
        self._steps = [0] * seats
        self._scorer = Scorer(
            hidden_rows=self._maybe_compiled(self.model.hidden_rows),
            target_nats=self._maybe_compiled(self.model.target_nats),
            windows=windows_a_batch(protocol.architecture, device.device),
            positions=positions_a_batch(protocol.architecture, device.device),
            device=device.device,
        )
        self._update = self._maybe_compiled(make_update(protocol.optimizer))
        self._idle_N = torch.zeros(protocol.batch_tokens + 1, dtype=torch.int32, device=device.device)
        self._is_warm = self._is_scorer_warm = False
        self.micro_batches = 1

    def _maybe_compiled(self, function: Callable[A, R], mode: str | None = None) -> Callable[A, R]:
        return torch.compile(function, dynamic=False, mode=mode) if self.device.compile else function

    @property
    def _mode(self) -> str | None:
        """The compiler's for a step; the other one replays CUDA graphs."""
        return "reduce-overhead" if self.device.cuda_graphs and self.device.device.type == "cuda" else None

    def _stacked_loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        (leaf_EP,) = self._leaves
        if self._mode:
            torch._dynamo.mark_static_address(leaf_EP)  # else each replay begins with copying it
        loss = self._maybe_compiled(stacked_loss(self.model), self._mode)
        return lambda inputs_EBT, targets_EBT: loss(leaf_EP, inputs_EBT, targets_EBT)

    def step_of(self, seat: int) -> int:
        """Updates done by the run in the seat."""
        return self._steps[seat]

    def state_of(self, seat: int) -> TrainingState:
        """The seat's vectors themselves: copy them to keep them."""
        return TrainingState(
            weights_P=self._weights_EP[seat],
            mean_P=self._mean_EP[seat],
            square_P=self._square_EP[seat],
            step=self._steps[seat],
        )

    def start(self, seat: int, seed: int) -> None:
        """Fresh weights from the seed, empty moments."""
        self.warm_up()
        self.model.draw_weights(torch.Generator().manual_seed(seed))
        self._take_from_model(seat)
        self._mean_EP[seat].zero_()
        self._square_EP[seat].zero_()
        self._steps[seat] = 0
        forget_gradients(self._leaves)

    def restore(self, seat: int, state: TrainingState) -> None:
        """Goes on from a state that was copied before."""
        self.warm_up()
        self.state_of(seat).load(state)
        self._steps[seat] = state.step
        forget_gradients(self._leaves)

    def split_batch(self) -> bool:
        """Computes each batch in twice as many parts from now on, which takes less memory; False if there is no less.

        The gradient is the same sum in another order: equal within rounding.
        """
        most_rows = -(-self.protocol.batch_sequences // self.ranks.count)
        if self.micro_batches >= most_rows:
            return False
        self.micro_batches = min(2 * self.micro_batches, most_rows)
        return True

    def warm_up(self) -> None:
        """The first call compiles, so that no run's seconds contain it. It moves no weight: all rates are 0."""
        if self.device.compile and not self._is_warm:
            with self._compiling("step"):
                self._step([self._idle_N] * self.seats, [0.0] * self.seats)
        self._is_warm = True

    def _compiling(self, what: str) -> AbstractContextManager[None]:
        """Ranks must not wait for each other's compiler: they meet in every step."""
        if self.ranks.count > 1:
            return nullcontext()
        content = {**self.protocol.treatment(), "seats": self.seats, "parts": self.micro_batches, "what": what}
        for unseen in ("steps", "tokenizer", "schedule", "scoring", "averaging"):  # by what is compiled
            content.pop(unseen, None)
        return first_to_compile(content)

    def train(self, lessons: Sequence[Lesson], most_steps: int, must_pause: Callable[[], bool] = lambda: False) -> None:
        """Takes that many steps with each lesson, fewer where `must_pause` after one or a stream ends before.

        The logs and the states agree afterwards, but for a lesson with an error: its run is over.
        """
        started_at, rows = time.perf_counter(), list[Figures]()
        while len(rows) < most_steps and not (rows and must_pause()):
            tokens = self._tokens(lessons)
            if self.ranks.any(tokens is None) or tokens is None:
                break
            rows.append(self._step(tokens, self._rates(lessons)))
        self._agree_on_ends(lessons)
        if not rows:
            return
        loss_SE, norm_SE, ratio_SE = (torch.stack(figures) for figures in zip(*rows, strict=True))
        self.ranks.sum_(loss_SE)
        figures_ESF = torch.stack([loss_SE.T, norm_SE.T, ratio_SE.T], dim=-1).double().cpu().numpy()
        seconds = (time.perf_counter() - started_at) / len(lessons)  # a run's share of what all of them took
        for lesson in lessons:
            loss_S, norm_S, ratio_S = figures_ESF[lesson.seat].T
            try:
                lesson.log.add(loss_S, norm_S, ratio_S, seconds)
            except LossDivergedError as error:
                lesson.error = error

    def _tokens(self, lessons: Sequence[Lesson]) -> list[Tensor] | None:
        """The next step's tokens of each seat, and the one after them; None where a stream has ended."""
        tokens = [self._idle_N] * self.seats
        for lesson in lessons:
            try:
                tokens[lesson.seat] = lesson.feed.tokens_of(self._steps[lesson.seat])
            except TokensEndedError as error:
                lesson.error = error
        return None if any(lesson.error for lesson in lessons) else tokens

    def _agree_on_ends(self, lessons: Sequence[Lesson]) -> None:
        """A stream that has ended for one rank has ended for all."""
        for lesson in lessons:
            ended = lesson.error if isinstance(lesson.error, TokensEndedError) else None
            step = self.ranks.most(ended.step if ended else -1)
            missing = self.ranks.most(ended.missing if ended else 0)
            if step >= 0 and ended is None:
                lesson.error = TokensEndedError(step, missing)

    def _rates(self, lessons: Sequence[Lesson]) -> list[float]:
        """Each seat's learning rate at its next step, 0 where nobody sits."""
        rates = [0.0] * self.seats
        for lesson in lessons:
            rates[lesson.seat] = learning_rate(self._steps[lesson.seat], self.protocol, lesson.peak)
        return rates

    def _step(self, tokens: Sequence[Tensor], rates: Sequence[float]) -> Figures:
        """One update of every seat; its figures, still on the device, the loss of this rank's rows alone."""
        shape = (self.seats, self.protocol.batch_sequences, self.protocol.architecture.context_tokens)
        tokens_EN = tokens[0][None] if self.seats == 1 else torch.stack(list(tokens))
        inputs_EBT, targets_EBT = tokens_EN[:, :-1].reshape(shape).long(), tokens_EN[:, 1:].reshape(shape).long()
        loss_E = self._batch_loss(inputs_EBT, targets_EBT)
        seats = zip(self._steps, rates, strict=True)
        scalars_E3 = torch.stack([scalars_of(self.protocol.optimizer, step, rate) for step, rate in seats])
        scalars_E3 = scalars_E3.to(self.device.device, non_blocking=True)
        weights, gradients, mean, square, scalars = (
            vectors if self.seats > 1 else vectors[0]
            for vectors in (self._weights_EP, self._gradients_EP, self._mean_EP, self._square_EP, scalars_E3)
        )
        with torch.no_grad():
            norm, ratio = self.ranks.together(
                lambda: self._update(weights, gradients, mean, square, self._decay_P, scalars)
            )
        self._steps = [step + 1 for step in self._steps]
        return loss_E, norm.clone().view(-1), ratio.clone().view(-1)

    def _batch_loss(self, inputs_EBT: Tensor, targets_EBT: Tensor) -> Tensor:
        """Computes the batch's gradient, the sum of the ranks' parts of it; this rank's part of each mean loss, [E]."""
        mine = self.ranks.share(inputs_EBT.shape[1])
        loss_E = self.ranks.together(lambda: self._accumulate(inputs_EBT[:, mine], targets_EBT[:, mine]))
        self.ranks.sum_(self._gradients_EP)
        return loss_E

    def _accumulate(self, inputs_EBT: Tensor, targets_EBT: Tensor) -> Tensor:
        """Sums what these rows are of the batch's gradient, part after part; of each member's mean loss, [E]."""
        if self._mode:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # of torch
        batch, given = self.protocol.batch_sequences, inputs_EBT.shape[1]
        rows = min(-(-given // self.micro_batches), self.protocol.micro_batch_sequences or given)
        losses = list[Tensor]()
        parts = zip(torch.split(inputs_EBT, rows, dim=1), torch.split(targets_EBT, rows, dim=1), strict=True)
        for inputs, targets in parts:
            loss = self._loss(inputs[0], targets[0]) if self.seats == 1 else self._loss(inputs, targets)
            if inputs.shape[1] < batch:
                loss = loss * (inputs.shape[1] / batch)
            loss.sum().backward()  # type: ignore[no-untyped-call]
            take_gradients(self._leaves, self._gradients_EP, adds=bool(losses))
            losses.append(loss.detach().clone().view(-1))  # a graph that is replayed writes where it wrote before
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum(dim=0)

    def score(self, seat: int, scoring_sets: Mapping[str, ScoringSet]) -> dict[str, Float64Array]:
        """Summed nats of each document of each set, with the seat's weights as they are."""
        self._give_to_model(seat)
        if self.device.compile and scoring_sets and not self._is_scorer_warm:
            with self._compiling("scoring"):
                warm_up(self._scorer, self.protocol.architecture.context_tokens)
            self._is_scorer_warm = True
        return score_documents(self._scorer, scoring_sets)

    def weights(self, seat: int) -> dict[str, Tensor]:
        """A copy of the seat's weights by name, on the host."""
        self._give_to_model(seat)
        return {name: parameter.detach().cpu().clone() for name, parameter in self.model.named_parameters()}

    @torch.no_grad()
    def load_weights(self, seat: int, weights: Mapping[str, Tensor]) -> None:
        """Overwrites the seat's weights; raises KeyError for a checkpoint of another architecture."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])
        self._take_from_model(seat)

    def _give_to_model(self, seat: int) -> None:
        """With one seat the model's parameters are the seat's vector already."""
        if self.seats > 1:
            self._model_P.copy_(self._weights_EP[seat])

    def _take_from_model(self, seat: int) -> None:
        if self.seats > 1:
            self._weights_EP[seat].copy_(self._model_P)
