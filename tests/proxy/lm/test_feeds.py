"""Tokens read ahead are the tokens of the stream, whatever the blocks; nothing is left behind."""

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import TokensEndedError
from proxy.lm import feeds
from proxy.lm.feeds import TokenFeed
from tests.proxy.lm.small import member, protocol, reader, train

CPU = torch.device("cpu")


@given(
    steps=st.integers(1, 40),
    batch=st.integers(1, 9),
    block=st.integers(1, 60),
    first=st.integers(0, 39),
    data=st.data(),
)
def test_every_step_gets_its_tokens_and_the_next_one(
    steps: int, batch: int, block: int, first: int, data: st.DataObject
) -> None:
    first = min(first, steps - 1)
    stream_N = np.arange(steps * batch + 1, dtype=np.uint16)
    until = data.draw(st.integers(first + 1, steps))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeds, "BLOCK_TOKENS", block)
        with TokenFeed(reader(stream_N), batch, first, until, CPU) as feed:
            for step in range(first, until):
                expected = stream_N[step * batch : (step + 1) * batch + 1].astype(np.int32)
                np.testing.assert_array_equal(feed.tokens_of(step).numpy(), expected)


def test_blocks_change_nothing_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = protocol(40)
    whole = train(asked, member(asked, "a"))["a"]
    monkeypatch.setattr(feeds, "BLOCK_TOKENS", 3 * asked.batch_tokens)
    assert train(asked, member(asked, "a"))["a"].curve == whole.curve


def test_only_so_much_is_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "BLOCK_TOKENS", 10)
    read: list[int] = []

    def note(start: int, count: int) -> np.ndarray:
        read.append(start)
        return np.zeros(count, dtype=np.uint16)

    with TokenFeed(note, 10, 0, 1000, CPU) as feed:
        feed.tokens_of(0)
        time.sleep(0.1)
        assert len(read) <= 1 + feeds.BLOCKS_AHEAD + 1
    assert not any(thread.name == "token-feed" for thread in threading.enumerate())


def test_waiting_is_counted() -> None:
    def slow(start: int, count: int) -> np.ndarray:
        time.sleep(0.05)
        return np.zeros(count, dtype=np.uint16)

    with TokenFeed(slow, 10, 0, 3, CPU) as feed:
        feed.tokens_of(0)
        assert 0.03 < feed.waited_seconds < 5


def test_what_the_reading_raises_is_raised_where_tokens_are_asked_for() -> None:
    def broken(start: int, count: int) -> np.ndarray:
        raise OSError("the disk is gone")

    with TokenFeed(broken, 10, 0, 3, CPU) as feed, pytest.raises(OSError, match="the disk is gone"):
        feed.tokens_of(0)


def test_a_short_stream_is_named_with_its_step() -> None:
    with (
        TokenFeed(reader(np.zeros(35, np.uint16)), 10, 0, 5, CPU) as feed,
        pytest.raises(TokensEndedError, match="at step 3: 16 tokens"),
    ):
        feed.tokens_of(0)


def test_a_step_past_the_feed_is_a_mistake() -> None:
    with TokenFeed(reader(np.zeros(31, np.uint16)), 10, 0, 3, CPU) as feed:
        assert [len(feed.tokens_of(step)) for step in range(3)] == [11, 11, 11]
        with pytest.raises(IndexError):
            feed.tokens_of(3)
