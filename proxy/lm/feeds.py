"""Tokens read ahead of the steps that use them, so that a stream of any length costs two blocks of memory.

A background thread reads block after block of whole steps; the training takes them in order. What the training had to
wait is counted: where it is more than the first block, the disk is slower than the model.
"""

import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from proxy.data.tokenizers import TokenArray
from proxy.errors import TokensEndedError

BLOCK_TOKENS = 2**18  # 1 MiB on the device: 128 steps of a nano proxy, and a read that is long against its overhead
BLOCKS_AHEAD = 2

ReadTokens = Callable[[int, int], TokenArray]  # (start, count) → that many tokens of the stream, fewer at its end
Block = tuple[int, Tensor]  # its first step and its tokens, one more than its steps use


class TokenFeed:
    """The tokens of steps `first` to `until` of one run, asked for in order. Close it, or its thread waits for ever."""

    def __init__(self, read: ReadTokens, batch_tokens: int, first: int, until: int, device: torch.device) -> None:
        self._read, self._batch_tokens, self._device = read, batch_tokens, device
        self._first, self._until = first, until
        self._blocks: queue.Queue[Block | BaseException] = queue.Queue(BLOCKS_AHEAD)
        self._is_closed = threading.Event()
        self._start, self._tokens_N = first, torch.empty(0)
        self.waited_seconds = 0.0
        self._thread = threading.Thread(target=self._fill, name="token-feed", daemon=True)
        self._thread.start()

    def __enter__(self) -> "TokenFeed":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tokens_of(self, step: int) -> Tensor:
        """What the step trains on and the token after it, int32 [batch tokens + 1], on the device.

        Raises what the reading raised; TokensEndedError where the stream is too short for the step.
        """
        start = (step - self._start) * self._batch_tokens
        if start + self._batch_tokens >= len(self._tokens_N):
            self._next_block()
            start = (step - self._start) * self._batch_tokens
        return self._tokens_N[start : start + self._batch_tokens + 1]

    def close(self) -> None:
        """Ends the reading; what was read ahead is thrown away."""
        self._is_closed.set()
        while self._thread.is_alive():
            try:
                self._blocks.get(timeout=0.01)
            except queue.Empty:
                continue

    def _next_block(self) -> None:
        began = time.perf_counter()
        block = self._blocks.get()
        if isinstance(block, BaseException):
            raise block
        self._start, tokens_N = block
        self._tokens_N = tokens_N.to(self._device, non_blocking=True)
        self.waited_seconds += time.perf_counter() - began

    def _fill(self) -> None:
        span = max(1, BLOCK_TOKENS // self._batch_tokens)
        try:
            for first in range(self._first, self._until, span):
                if self._is_closed.is_set():
                    return
                self._blocks.put((first, self._read_block(first, min(first + span, self._until))))
            self._blocks.put(IndexError(f"this feed ends at step {self._until}"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the training thread raises it
            self._blocks.put(error)

    def _read_block(self, first: int, last: int) -> Tensor:
        wanted = (last - first) * self._batch_tokens + 1
        found_N = self._read(first * self._batch_tokens, wanted)
        if len(found_N) < wanted:
            raise TokensEndedError(first + max(len(found_N) - 1, 0) // self._batch_tokens, wanted - len(found_N))
        block_N = torch.from_numpy(found_N.astype(np.int32))
        return block_N.pin_memory() if self._device.type == "cuda" else block_N
