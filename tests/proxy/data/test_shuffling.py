"""Shuffled documents: the same documents, other orders inside, from wherever they are read."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.plans import SamplingPlan, plan_stream
from proxy.data.shuffling import shuffled_documents
from proxy.recipes import Recipe, Source
from tests.proxy.data.material import END, few, numbered, split_stream, store

STORES = {"a": store(numbered(1, 60)), "b": store(numbered(1001, 60))}


def plan(budget: int, seed: int = 0) -> SamplingPlan:
    sources = tuple(Source(corpus=name, weight=1) for name in STORES)
    return plan_stream(Recipe(name="r", sources=sources), STORES, budget, seed, END)


def shuffled(made: SamplingPlan, seed: int = 0) -> list[int]:
    return [int(token) for token in shuffled_documents(made, seed)(0, made.tokens + 1)]


@few
@given(st.integers(1, 150), st.integers(-(2**40), 2**80))
def test_each_document_keeps_its_place_and_its_tokens(budget: int, seed: int) -> None:
    made = plan(budget)
    there, here = split_stream(made.stream().tolist()), split_stream(shuffled(made, seed))
    assert [Counter(piece) for piece in here] == [Counter(piece) for piece in there]


def test_the_order_inside_is_another_one_for_every_document_and_seed() -> None:
    made = plan(140)
    there = split_stream(made.stream().tolist())
    long = [index for index, piece in enumerate(there) if len(piece) >= 4]
    first, second = (split_stream(shuffled(made, seed)) for seed in (0, 1))
    assert len(long) > 5
    assert sum(first[index] != there[index] for index in long) > 0.8 * len(long)
    assert sum(first[index] != second[index] for index in long) > 0.8 * len(long)
    assert shuffled(made) == shuffled(made)


def test_every_order_of_a_document_is_as_likely() -> None:
    stores = {"a": store([[5, 6, 7]])}
    made = plan_stream(Recipe(name="r", sources=(Source(corpus="a", weight=1),)), stores, 4, 0, END)
    found = Counter(tuple(shuffled(made, seed)[1:4]) for seed in range(1200))
    assert len(found) == 6
    assert max(found.values()) < 2 * min(found.values())


@few
@given(st.integers(1, 150), st.data())
def test_any_part_of_it_can_be_read(budget: int, data: st.DataObject) -> None:
    made = plan(budget)
    start = data.draw(st.integers(0, budget))
    count = data.draw(st.integers(0, budget + 5))
    read = shuffled_documents(made, 3)
    whole = read(0, budget + 1)
    assert np.array_equal(read(start, count), whole[start : start + count])
