"""Sampling plans: exact, deterministic, independent of order, and shared between recipes as far as they agree."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.data.holdings import Holdings
from proxy.data.plans import SamplingPlan, check_feasible, plan_stream, split_budget
from proxy.data.tokens import TokenStore
from proxy.errors import InvalidInputError
from proxy.recipes import LengthFilter, Recipe, Source
from tests.proxy.data.material import END, few, numbered, split_stream, store

A = numbered(1, 60)
B = numbered(1001, 60)
C = numbered(2001, 60)
STORES = {"a": store(A), "b": store(B), "c": store(C)}

weights = st.floats(0.05, 1)


def recipe(*sources: tuple[str, float], **options: Any) -> Recipe:
    return Recipe(
        name="r", sources=tuple(Source(corpus=corpus, weight=weight, **options) for corpus, weight in sources)
    )


def plan(made: Recipe, budget: int, seed: int = 0, stores: Mapping[str, TokenStore] = STORES) -> SamplingPlan:
    return plan_stream(made, stores, budget, seed, END)


def pieces(
    made: Recipe, budget: int, seed: int = 0, stores: Mapping[str, TokenStore] = STORES
) -> list[tuple[int, ...]]:
    return split_stream(plan(made, budget, seed, stores).stream().tolist())


def whole(found: list[tuple[int, ...]], documents: list[list[int]]) -> list[tuple[int, ...]]:
    known = set(map(tuple, documents))
    return [piece for piece in found if piece in known]


@few
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=6), st.integers(1, 10**13))
def test_quotas_are_exact(parts: list[float], budget: int) -> None:
    shares = [part / sum(parts) for part in parts]
    quotas = split_budget(shares, budget)
    assert sum(quotas) == budget
    rounded = [Fraction(str(round(share, 12))) for share in shares]
    assert all(abs(quota - share / sum(rounded) * budget) < 1 for quota, share in zip(quotas, rounded, strict=True))


@few
@given(weights, weights, st.integers(1, 150), st.integers(-(2**40), 2**80))
def test_a_stream_has_the_budget_and_one_end_of_text_more(a: float, b: float, budget: int, seed: int) -> None:
    made = plan(recipe(("a", a), ("b", b)), budget, seed)
    stream = made.stream()
    assert stream.dtype == np.uint16
    assert len(stream) == budget + 1
    assert stream[0] == stream[-1] == END
    assert sum(report.drawn_tokens for report in made.report) == budget
    drawn_of_a = sum(1 + len(piece) for piece in split_stream(stream.tolist()) if piece and piece[0] < 1000)
    bare_ends = sum(not piece for piece in split_stream(stream.tolist()))  # a document cut to its end of text
    assert made.report[0].drawn_tokens - bare_ends <= drawn_of_a <= made.report[0].drawn_tokens


def test_each_piece_is_a_document_and_at_most_one_a_source_is_cut() -> None:
    found = pieces(recipe(("a", 1), ("b", 2)), 201)
    assert len(found) - len(whole(found, A + B)) <= 2
    assert all(any(piece == tuple(document[: len(piece)]) for document in A + B) for piece in found)


@few
@given(st.permutations(range(60)), st.integers(0, 3), st.integers(1, 600))
def test_a_plan_is_deterministic_and_independent_of_file_order(order: list[int], seed: int, budget: int) -> None:
    made = recipe(("a", 1), ("b", 1), max_epochs=3)
    shuffled = {"a": store([A[i] for i in order]), "b": STORES["b"]}
    assert pieces(made, budget, seed) == pieces(made, budget, seed) == pieces(made, budget, seed, shuffled)


@few
@given(weights, weights, st.integers(1, 250))
def test_neither_names_nor_the_order_of_sources_matter(a: float, b: float, budget: int) -> None:
    one = recipe(("a", a), ("b", b), ("c", a))
    other = Recipe(name="other", tags={"k": "v"}, sources=tuple(reversed(one.sources)))
    assert pieces(one, budget) == pieces(other, budget)
    renamed = {"x": STORES["a"], "y": STORES["b"], "c": STORES["c"]}
    assert pieces(one, budget) == pieces(recipe(("x", a), ("y", b), ("c", a)), budget, 0, renamed)
    assert [report.corpus for report in plan(other, budget).report] == ["c", "b", "a"]


def test_seeds_draw_other_documents_in_another_order() -> None:
    made = recipe(("a", 1))
    first, second = pieces(made, 150, 1), pieces(made, 150, 2)
    assert set(first) != set(second)
    shared = set(first) & set(second)
    assert [piece for piece in first if piece in shared] != [piece for piece in second if piece in shared]


@few
@given(weights, st.integers(50, 250), st.integers(0, 5))
def test_recipes_that_differ_in_one_source_share_the_others_documents_and_their_order(
    weight: float, budget: int, seed: int
) -> None:
    one = plan(recipe(("a", weight), ("b", 1)), budget, seed)
    other = plan(recipe(("a", weight), ("c", 1)), budget, seed)
    assume(one.report[0].drawn_tokens == other.report[0].drawn_tokens)  # where two remainders tie, one token moves
    assert whole(split_stream(one.stream().tolist()), A) == whole(split_stream(other.stream().tolist()), A)


@few
@given(weights, weights, st.integers(50, 250))
def test_a_smaller_share_draws_a_part_of_a_larger_one_in_the_same_order(one: float, other: float, budget: int) -> None:
    small, large = sorted([one, other])
    few_pieces = whole(pieces(recipe(("a", small), ("b", 1)), budget), A)
    many_pieces = whole(pieces(recipe(("a", large), ("b", 1)), budget), A)
    assert [piece for piece in many_pieces if piece in set(few_pieces)] == few_pieces


def test_epochs_repeat_every_document_before_any_comes_once_more() -> None:
    made = plan(recipe(("a", 1), max_epochs=2.5), 750)
    counts = Counter(split_stream(made.stream().tolist()))
    assert set(counts) == set(map(tuple, A))
    assert set(counts.values()) == {2, 3}
    assert made.report[0].epochs == 2.5
    assert made.report[0].available_tokens == 300


def test_two_epochs_differ_in_order() -> None:
    found = pieces(recipe(("a", 1), max_epochs=2), 600)
    firsts = list(dict.fromkeys(found))
    lasts = list(dict.fromkeys(reversed(found)))[::-1]
    assert firsts != lasts


def test_half_an_epoch_more_does_not_repeat_the_first_half() -> None:
    first = set(pieces(recipe(("a", 1)), 150))
    counts = Counter(pieces(recipe(("a", 1), max_epochs=1.5), 450))
    assert {piece for piece, count in counts.items() if count == 2} != first


def test_identical_documents_are_drawn_each_for_itself_and_once_after_dedup() -> None:
    stores = {"a": store([[5, 6], [5, 6], [5, 6], [7, 8]])}
    assert sorted(pieces(recipe(("a", 1)), 12, 0, stores)) == [(5, 6)] * 3 + [(7, 8)]
    assert sorted(pieces(recipe(("a", 1), dedup="exact"), 6, 0, stores)) == [(5, 6), (7, 8)]


def test_a_document_in_two_sources_is_drawn_from_both() -> None:
    stores = {"a": store([[5, 6], [7, 8]]), "b": store([[5, 6], [9, 10]])}
    found = pieces(recipe(("a", 1), ("b", 1)), 12, 0, stores)
    assert sorted(found) == [(5, 6), (5, 6), (7, 8), (9, 10)]
    assert pieces(recipe(("b", 1), ("a", 1)), 12, 0, stores) == found


def test_empty_documents_cost_one_token() -> None:
    assert sorted(pieces(recipe(("a", 1)), 5, 0, {"a": store([[], [], [1, 2]])})) == [(), (), (1, 2)]


def test_a_source_of_no_weight_or_no_quota_draws_nothing() -> None:
    made = plan(recipe(("a", 1), ("unknown", 0)), 100)
    assert [report.corpus for report in made.report] == ["a"]
    tiny = plan(recipe(("a", 1), ("b", 1e-9)), 100)
    assert [report.drawn_tokens for report in tiny.report] == [100, 0]
    assert tiny.stream().max() < 1000


def test_the_report_says_what_was_removed_and_kept() -> None:
    stores = {"a": store([[1], [2, 3], [2, 3], [4, 5, 6]])}
    made = recipe(("a", 1), filters=(LengthFilter(minimum=2),), dedup="exact")
    (report,) = plan(made, 7, 0, stores).report
    assert (report.documents, report.kept_documents, report.available_tokens) == (4, 2, 7)
    assert report.removed == {"filters/0 length": 1, "dedup exact": 1}
    assert (report.drawn_tokens, report.epochs, report.share) == (7, 1.0, 1.0)


def refusals(made: Recipe, budget: int, stores: Mapping[str, TokenStore] = STORES) -> InvalidInputError:
    """The plan's refusal, which is the feasibility check's."""
    with pytest.raises(InvalidInputError) as planned:
        plan(made, budget, 0, stores)
    known = {name: Holdings(table=one.documents, token_counts=one.token_counts) for name, one in stores.items()}
    with pytest.raises(InvalidInputError) as checked:
        check_feasible(made, known, budget)
    assert checked.value.problems == planned.value.problems
    return planned.value


def test_a_corpus_smaller_than_its_share_is_refused_with_what_would_fit() -> None:
    (problem,) = refusals(recipe(("b", 1), ("a", 3)), 801).problems
    assert (problem.pointer, problem.value) == ("/sources/1/weight", 3)
    assert "needs 601 tokens; a has 300 after filters, dedup and subset, and max_epochs 1 allows 300" in problem.message
    assert (
        "share of at most 0.3743, or a budget of at most 400 tokens, or max_epochs of at least 2.004" in problem.message
    )


def test_epochs_mean_the_decimal_that_was_written() -> None:
    assert len(pieces(recipe(("a", 1), max_epochs=1.38), 414)) == 83


@few
@given(st.integers(301, 5000), st.floats(1, 3), st.floats(0.1, 10))
def test_advice_that_is_followed_works(budget: int, max_epochs: float, weight: float) -> None:
    def mixed(a: float, epochs: float) -> Recipe:
        rest = Source(corpus="b", weight=1, max_epochs=1000)
        return Recipe(name="r", sources=(Source(corpus="a", weight=a, max_epochs=epochs), rest))

    made = mixed(weight, max_epochs)
    try:
        plan(made, budget)
    except InvalidInputError:
        (problem,) = refusals(made, budget).problems
        share, tokens, epochs = re.findall(r"at (?:most|least) ([\d.,]*\de?-?\d*)", problem.message)
        fitting = int(tokens.replace(",", ""))
        plan(made, fitting)
        plan(mixed(weight, float(epochs)), budget)
        plan(mixed(float(share) / (1 - float(share)), max_epochs), budget)
        with pytest.raises(InvalidInputError):
            plan(made, fitting + math.ceil(3 * (1 + weight) / weight))  # surely a token of this source more


def test_no_more_epochs_are_advised_than_a_recipe_may_have() -> None:
    (problem,) = refusals(recipe(("a", 1), max_epochs=1000), 300_001).problems
    assert "max_epochs of at least" not in problem.message


def test_a_share_of_almost_nothing_is_advised_as_such() -> None:
    stores = {"a": store([[1]])}
    (problem,) = refusals(recipe(("a", 1)), 10**9, stores).problems
    assert "a share of at most 2e-09" in problem.message


@pytest.mark.parametrize(
    ("steps", "pointer"),
    [
        ({"filters": (LengthFilter(minimum=1000),)}, "/sources/0/filters"),
        ({"subset": 1e-9}, "/sources/0/subset"),
    ],
)
def test_steps_that_leave_nothing_are_named(steps: dict[str, Any], pointer: str) -> None:
    (problem,) = refusals(recipe(("a", 1), **steps), 10).problems
    assert problem.pointer == pointer
    assert "no document of a is left" in problem.message


def test_an_empty_table_is_named_as_its_corpus() -> None:
    (problem,) = refusals(recipe(("a", 1)), 10, {"a": store([])}).problems
    assert (problem.pointer, problem.value) == ("/sources/0/corpus", "a")


def test_every_source_that_is_too_small_is_named_in_the_recipes_order() -> None:
    refused = refusals(recipe(("c", 1), ("a", 1), ("b", 1)), 3000)
    assert [problem.pointer for problem in refused.problems] == [f"/sources/{i}/weight" for i in range(3)]


def test_without_token_counts_only_what_surely_fails_is_refused() -> None:
    table = STORES["a"].documents
    bound = int((table.text_bytes + 1).sum())
    check_feasible(recipe(("a", 1)), {"a": Holdings(table=table)}, bound)
    with pytest.raises(InvalidInputError, match=f"needs {bound + 1:,} tokens"):
        check_feasible(recipe(("a", 1)), {"a": Holdings(table=table)}, bound + 1)
