"""What the recipe language makes of a plan: groups, sizes, quantiles, repetition, phases, order, dedup across."""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.corpora import Document
from proxy.data.documents import TableBuilder
from proxy.data.holdings import Holdings
from proxy.data.near_duplicates import NearDuplicates, signature
from proxy.data.plans import SamplingPlan, plan_stream
from proxy.data.selection import select
from proxy.data.statistics import column_name, find_statistic, measure
from proxy.data.tokens import TokenStore
from proxy.errors import InvalidInputError
from proxy.recipes import Recipe, Source
from tests.proxy.data.material import END, few, numbered, split_stream, store

A, B, C = numbered(1, 60), numbered(1001, 120), numbered(2001, 240)
STORES = {
    "a": store(A, [{"quality": index % 7, "name": f"n{index}"} for index in range(60)]),
    "b": store(B),
    "c": store(C),
}


def made(body: Mapping[str, Any]) -> Recipe:
    return Recipe.model_validate({"name": "r", **body})


def plan(
    body: Mapping[str, Any], budget: int, seed: int = 0, stores: Mapping[str, TokenStore] = STORES
) -> SamplingPlan:
    return plan_stream(made(body), stores, budget, seed, END)


def pieces(body: Mapping[str, Any], budget: int, seed: int = 0) -> list[tuple[int, ...]]:
    return split_stream(plan(body, budget, seed).stream().tolist())


def drawn(body: Mapping[str, Any], budget: int) -> list[int]:
    return [report.drawn_tokens for report in plan(body, budget).report]


def source(corpus: str, weight: float = 1, **steps: Any) -> dict[str, Any]:
    return {"corpus": corpus, "weight": weight, **steps}


def origin(piece: tuple[int, ...]) -> str:
    return "abc"[(piece[0] - 1) // 1000]


def test_a_group_shares_its_weight() -> None:
    group = {"name": "g", "weight": 1, "sources": [source("b", 3), source("c", 1)]}
    assert drawn({"sources": [source("a", 1), group]}, 400) == [200, 150, 50]


def test_groups_and_flat_lists_give_one_stream() -> None:
    group = {"name": "g", "weight": 1, "sources": [source("c", 1), source("b", 3)]}
    flat = [source("b", 0.375), source("c", 0.125), source("a", 0.5)]
    assert pieces({"sources": [source("a", 1), group]}, 400) == pieces({"sources": flat}, 400)


@pytest.mark.parametrize(("exponent", "expected"), [(1, [100, 200, 400]), (0, [233, 233, 234]), (0.5, [159, 224, 317])])
def test_shares_by_size(exponent: float, expected: list[int]) -> None:
    body = {"size_exponent": exponent, "sources": [{"corpus": name} for name in "abc"]}
    found = drawn(body, 700)
    assert sum(found) == 700
    assert all(abs(one - other) <= 1 for one, other in zip(found, expected, strict=True))


def test_size_counts_what_filters_leave() -> None:
    half = {"corpus": "c", "filters": [{"kind": "length", "minimum": 1}], "subset": 0.5}
    by_size = {"size_exponent": 1, "sources": [{"corpus": "a"}, half]}
    kept = len(select(Source(corpus="c", weight=1, subset=0.5), Holdings(table=STORES["c"].documents)).rows)
    assert drawn(by_size, 600)[0] == round(600 * 60 / (60 + kept))


def test_a_group_weighted_by_size_inside_a_plain_mixture() -> None:
    group = {"name": "g", "weight": 3, "size_exponent": 1, "sources": [{"corpus": "b"}, {"corpus": "c"}]}
    assert drawn({"sources": [source("a", 1), group]}, 400) == [100, 100, 200]


def test_neighbouring_quantiles_share_nothing_and_miss_nothing() -> None:
    holdings = Holdings(table=STORES["a"].documents)
    edges = [0, 0.1, 0.29, 0.5, 1]
    parts = [
        select(
            Source.model_validate(
                source("a", filters=[{"kind": "quantile", "field": "quality", "low": low, "high": high}])
            ),
            holdings,
        ).rows.tolist()
        for low, high in itertools.pairwise(edges)
    ]
    assert [len(part) for part in parts] == [6, 11, 13, 30]
    assert sorted(row for part in parts for row in part) == list(range(60))
    quality = holdings.table.fields["quality"].numbers()
    assert max(quality[parts[0]]) <= min(quality[parts[1]])
    assert max(quality[parts[2]]) <= min(quality[parts[3]])


def test_a_quantile_is_of_what_reaches_the_step() -> None:
    steps = [
        {"kind": "field", "field": "quality", "maximum": 2},
        {"kind": "quantile", "field": "quality", "low": 0.9, "high": 1},
    ]
    holdings = Holdings(table=STORES["a"].documents)
    rows = select(Source.model_validate(source("a", filters=steps)), holdings).rows
    assert len(rows) == 3
    assert set(holdings.table.fields["quality"].numbers()[rows]) == {2.0}


def test_a_quantile_on_a_field_that_some_lack_is_refused() -> None:
    stores = {"a": store(A, [{"quality": None if index == 5 else 1} for index in range(60)])}
    steps = [{"kind": "quantile", "field": "quality", "low": 0, "high": 0.5}]
    with pytest.raises(InvalidInputError) as caught:
        plan({"sources": [source("a", filters=steps)]}, 10, stores=stores)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.value) == ("/sources/0/filters/0/field", "quality")
    assert "1 of the 60 documents" in problem.message


@pytest.mark.parametrize(
    ("step", "pointer"),
    [
        ({"kind": "quantile", "field": "colour", "low": 0, "high": 0.5}, "/field"),
        ({"kind": "quantile", "field": "name", "low": 0, "high": 0.5}, "/field"),
        ({"kind": "field", "field": "colour", "equals": "red"}, "/field"),
        ({"kind": "field", "field": "quality", "since": "2024"}, "/since"),
        ({"kind": "field", "field": "name", "minimum": 3}, "/minimum"),
    ],
)
def test_a_field_that_cannot_answer_is_named(step: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        plan({"sources": [source("b"), source("a", filters=[step])]}, 10)
    assert caught.value.problems[0].pointer == f"/sources/1/filters/0{pointer}"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"equals": "en"}, {0, 3}),
        ({"equals": "en", "exclude": True}, {1, 2, 4}),
        ({"any_of": ["de", "fr"]}, {1, 2}),
        ({"glob": "?e"}, {1}),
        ({"glob": "*"}, {0, 1, 2, 3}),
        ({"since": "en", "before": "fr"}, {0, 3}),
        ({"since": "en"}, {0, 2, 3}),
        ({"before": "en"}, {1}),
    ],
)
def test_slices_by_field(step: dict[str, Any], expected: set[int]) -> None:
    languages = ["en", "de", "fr", "en", None]
    builder = TableBuilder()
    for index, language in enumerate(languages):
        builder.add(Document(text=f"document {index}", fields={"language": language}))
    steps = [{"kind": "field", "field": "language", **step}]
    rows = select(Source.model_validate(source("a", filters=steps)), Holdings(table=builder.table())).rows
    in_order = np.argsort(builder.reading_order())
    assert {int(in_order[row]) for row in rows} == expected


WORDS = [f"word{index}" for index in range(400)]
TEXTS = [
    " ".join(WORDS[:60]),
    " ".join([*WORDS[:59], "other"]),
    " ".join(WORDS[100:160]),
    "short",
    " ".join(WORDS[100:160]).upper(),
]


def held(texts: list[str], *statistics: str, near: NearDuplicates | None = None) -> tuple[Holdings, list[str]]:
    """Holdings with computed columns, and the texts in the order of the rows."""
    builder = TableBuilder()
    for text in texts:
        builder.add(Document(text=text))
    ordered = [texts[place] for place in np.argsort(builder.reading_order())]
    columns = {
        column_name(find_statistic(name)): np.array([measure(text, [name])[0] for text in ordered])
        for name in statistics
    }
    if near is not None:
        columns[near.column_name] = np.stack([signature(text, near) for text in ordered])
    return Holdings(table=builder.table(), columns=columns), ordered


def test_statistics_and_published_rules_filter() -> None:
    holdings, ordered = held(TEXTS, "words", "mean_word_length")
    steps = [{"kind": "statistic", "statistic": "words", "minimum": 2}]
    rows = select(Source.model_validate(source("a", filters=steps)), holdings).rows
    assert [ordered[row] for row in rows] == [text for text in ordered if text != "short"]
    middle = [{"kind": "quantile", "statistic": "words", "low": 0, "high": 0.2}]
    (row,) = select(Source.model_validate(source("a", filters=middle)), holdings).rows
    assert ordered[row] == "short"


def test_near_duplicates_leave_one_of_each_group() -> None:
    holdings, ordered = held(TEXTS, near=NearDuplicates())
    selection = select(Source.model_validate(source("a", dedup="near")), holdings)
    assert len(selection.rows) == 3
    assert selection.removed == {"dedup near 0.8": 2}
    assert "short" in {ordered[row] for row in selection.rows}


def test_contaminated_documents_go_first_and_are_counted() -> None:
    holdings = Holdings(table=STORES["a"].documents, contaminated=np.arange(60) < 20)
    assert select(Source(corpus="a", weight=1), holdings).removed == {"decontamination": 20}
    assert len(select(Source(corpus="a", weight=1), holdings, decontaminate=False).rows) == 60


def test_dedup_across_sources_keeps_one_whatever_the_order() -> None:
    stores = {"x": store([*A, *B]), "y": store([*B, *C])}
    body = {"dedup": "exact", "size_exponent": 1}
    there = plan({**body, "sources": [{"corpus": "x"}, {"corpus": "y"}]}, 2000, stores=stores)
    back = plan({**body, "sources": [{"corpus": "y"}, {"corpus": "x"}]}, 2000, stores=stores)
    assert sum(report.kept_documents for report in there.report) == 60 + 120 + 240
    assert sum(report.removed["dedup exact across sources"] for report in there.report) == 120
    assert there.stream().tolist() == back.stream().tolist()
    counts = Counter(split_stream(there.stream().tolist()))
    assert max(counts.values()) == 1


def test_the_best_are_repeated() -> None:
    repeat = {"field": "quality", "low": 0.5, "high": 1, "times": 3}
    found = Counter(pieces({"sources": [source("a", repeat=repeat)]}, 5 * (30 + 90)))
    assert sorted(found.values()) == [1] * 30 + [3] * 30
    report = plan({"sources": [source("a", repeat=repeat)]}, 600).report[0]
    assert (report.available_tokens, report.epochs) == (600, 1.0)
    plain = pieces({"sources": [source("a")]}, 300)
    assert set(found) == set(plain)


def test_repetition_keeps_what_an_unrepeated_source_draws_first() -> None:
    repeat = {"field": "quality", "low": 0.9, "high": 1, "times": 2}
    plain, repeated = pieces({"sources": [source("a")]}, 150), pieces({"sources": [source("a", repeat=repeat)]}, 150)
    assert len(set(plain) & set(repeated)) >= 24


def test_epochs_at_the_target_are_flagged() -> None:
    body = {"sources": [source("a", 1), source("c", 1)], "target": {"parameters": 10**9, "tokens": 1200}}
    small, large = plan(body, 400).report
    assert (small.target_epochs, large.target_epochs) == (pytest.approx(2.0), pytest.approx(0.5))
    assert (small.is_repeated_more, large.is_repeated_more) == (True, False)


def test_simulated_repetition_gives_the_targets_epochs() -> None:
    body = {
        "sources": [source("a", 1, max_epochs=3), source("c", 1)],
        "target": {"parameters": 10**9, "tokens": 1200},
        "simulate_repetition": True,
    }
    small, large = plan(body, 400).report
    assert small.epochs == pytest.approx(2.0, rel=0.05)
    assert small.target_epochs == pytest.approx(2.0)
    assert small.removed["simulated repetition"] == 40
    assert (large.epochs, "simulated repetition" in large.removed) == (pytest.approx(200 / 1200), False)
    with pytest.raises(InvalidInputError, match="max_epochs of at least 2"):
        plan({**body, "sources": [source("a", 1), source("c", 1)]}, 400)


def test_phases_follow_each_other_and_go_on_where_the_last_stopped() -> None:
    body = {
        "phases": [
            {"share": 0.5, "sources": [source("a", 1), source("b", 1)]},
            {"share": 0.5, "sources": [source("a", 1), source("c", 1)]},
        ]
    }
    found = pieces(body, 600)
    assert [origin(piece) for piece in found[:60]].count("c") == 0
    assert [origin(piece) for piece in found[60:]].count("b") == 0
    own = [piece for piece in found if origin(piece) == "a"]
    assert len(set(own)) == len(own) == 60
    report = plan(body, 600).report
    assert [(one.phase, one.corpus, one.drawn_tokens) for one in report] == [
        (0, "a", 150),
        (0, "b", 150),
        (1, "a", 150),
        (1, "c", 150),
    ]


def test_phases_owe_together() -> None:
    phase = {"share": 0.5, "sources": [source("a", 1)]}
    with pytest.raises(InvalidInputError, match=r"^/phases/0/sources/0/weight: a share of 1 .* needs 302 tokens"):
        plan({"phases": [phase, phase]}, 302)
    found = pieces({"phases": [phase, phase]}, 300)
    assert len(set(found)) == 60


def test_another_definition_starts_from_its_beginning() -> None:
    whole = {"share": 0.5, "sources": [source("a", 1)]}
    slice_ = {"share": 0.5, "sources": [source("a", 1, filters=[{"kind": "field", "field": "quality", "minimum": 3}])]}
    found = pieces({"phases": [whole, slice_]}, 200)
    assert max(Counter(found).values()) == 2


@pytest.mark.parametrize("kind", ["ascending", "descending"])
def test_a_curriculum_sorts_each_source_and_keeps_the_mixture(kind: str) -> None:
    quality = {tuple(document): index for index, document in enumerate([*A, *B])}
    stores = {
        "a": store(A, [{"q": quality[tuple(document)]} for document in A]),
        "b": store(B, [{"q": quality[tuple(document)]} for document in B]),
    }
    body = {"sources": [source("a", 1), source("b", 1)], "order": {"kind": kind, "by": {"field": "q"}}}
    found = split_stream(plan(body, 600, stores=stores).stream().tolist())
    for name in "ab":
        own = [quality[piece] for piece in found if origin(piece) == name]
        assert own == sorted(own, reverse=kind == "descending")
    halves = [origin(piece) for piece in found]
    assert abs(halves[:60].count("a") - 30) <= 1


@few
@given(st.integers(0, 300), st.integers(0, 400), st.integers(0, 10**6))
def test_any_part_can_be_read_alone(start: int, count: int, seed: int) -> None:
    made_plan = plan({"sources": [source("a", 1), source("b", 2)]}, 300, seed)
    whole = made_plan.stream().tolist()
    assert made_plan.read(start, count).tolist() == whole[start : start + count]


@few
@given(st.integers(0, 10**6), st.integers(1, 1200))
def test_a_long_pool_is_drawn_as_if_it_were_sorted_whole(seed: int, budget: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxy.data.draws.FEW", 0)
        partly = plan({"sources": [source("c", 1, max_epochs=3)]}, budget, seed).stream()
    whole = plan({"sources": [source("c", 1, max_epochs=3)]}, budget, seed).stream()
    assert partly.tolist() == whole.tolist()


def test_other_block_sizes_draw_the_same() -> None:
    body = {"sources": [source("c", 1, subset=0.7, max_epochs=2)]}
    whole = plan(body, 1000).stream().tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxy.data.draws.ROWS_AT_ONCE", 7)
        patch.setattr("proxy.data.selection.ROWS_AT_ONCE", 7)
        assert plan(body, 1000).stream().tolist() == whole
