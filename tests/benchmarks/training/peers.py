"""Other training loops on our shapes: nanoGPT, `transformers`' Llama in a plain loop, and its Trainer."""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from tests.benchmarks.training.shapes import Shape

Steps = Callable[[int], None]  # trains that many steps
Loop = Callable[[Sequence[int]], list[float]]  # the moments (perf_counter) at which so many steps were done


def stepwise(train: Steps) -> Loop:
    """A loop of what trains step after step."""

    def moments_at(marks: Sequence[int]) -> list[float]:
        moments, done = list[float](), 0
        for mark in marks:
            train(mark - done)
            done = mark
            moments.append(time.perf_counter())
        return moments

    return moments_at


def nanogpt(shape: Shape, threads: int, repository: str, *, is_bf16: bool, is_compiled: bool) -> Loop:
    """nanoGPT's model and optimizer as its train.py drives them; in bf16 by autocast where asked for."""
    sys.path.insert(0, repository)
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    torch.set_num_threads(threads)
    config = GPTConfig(
        block_size=shape.context_tokens,
        vocab_size=shape.vocabulary,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_embd=shape.width,
        dropout=0.0,
        bias=False,
    )
    model = GPT(config).to(shape.device)
    optimizer = model.configure_optimizers(0.1, 1e-3, (0.9, 0.95), shape.device)
    called = torch.compile(model) if is_compiled else model
    return stepwise(_loop(shape, model, optimizer, lambda x, y: called(x, y)[1], is_bf16=is_bf16))


def transformers(shape: Shape, threads: int, *, is_bf16: bool) -> Loop:
    """A Llama of `transformers` in a plain loop: AdamW, clipping, compiled."""
    torch.set_num_threads(threads)
    model = _llama(shape)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.95), weight_decay=0.1)
    compiled: Any = torch.compile(model)
    return stepwise(_loop(shape, model, optimizer, lambda x, _: compiled(input_ids=x, labels=x).loss, is_bf16=is_bf16))


def trainer(shape: Shape, threads: int, *, is_bf16: bool) -> Loop:
    """The same Llama in `transformers.Trainer`, compiled, with what that does by itself: loading data, clipping."""
    from transformers import Trainer, TrainerCallback, TrainingArguments  # type: ignore[import-not-found, unused-ignore]

    torch.set_num_threads(threads)
    moments: dict[int, float] = {}

    class Clock(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            del args, control, more
            moments[state.global_step] = time.perf_counter()

    def moments_at(marks: Sequence[int]) -> list[float]:
        rows = torch.randint(0, shape.vocabulary, (marks[-1] * shape.batch_sequences, shape.context_tokens))
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder,
                max_steps=marks[-1],
                per_device_train_batch_size=shape.batch_sequences,
                learning_rate=1e-3,
                lr_scheduler_type="constant",
                weight_decay=0.1,
                adam_beta2=0.95,
                bf16=is_bf16,
                torch_compile=True,
                use_cpu=True,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            )
            data = [{"input_ids": row, "labels": row} for row in rows]
            Trainer(_llama(shape), arguments, train_dataset=data, callbacks=[Clock()]).train()
        return [moments[mark] for mark in marks]

    return moments_at


def _llama(shape: Shape) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM  # type: ignore[import-not-found, unused-ignore]

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context_tokens,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return LlamaForCausalLM(config)


def _autocast(device: str, *, is_bf16: bool) -> Callable[[], AbstractContextManager[Any]]:
    return (lambda: torch.amp.autocast(device, torch.bfloat16)) if is_bf16 else nullcontext


def _loop(
    shape: Shape,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    is_bf16: bool,
) -> Steps:
    context = _autocast(shape.device, is_bf16=is_bf16)
    size = (shape.batch_sequences, shape.context_tokens + 1)
    tokens = torch.randint(0, shape.vocabulary, size, device=shape.device)
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def train(steps: int) -> None:
        for _ in range(steps):
            with context():
                loss = loss_of(inputs, targets)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if shape.device == "cuda":
            torch.cuda.synchronize()

    return train
