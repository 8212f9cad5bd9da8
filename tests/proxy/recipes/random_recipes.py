"""Random recipes, valid ones, as a client would write them: every step, grouping, phase and order of the language.

They speak of corpora `a`, `b` and `c` whose documents have the fields `quality` (a number), `language` and `date`.
Whether a recipe leaves enough documents is not known before it is planned.
"""

import random
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from proxy.data.heuristics import HEURISTICS

Body = dict[str, Any]

CORPORA = ("a", "b", "c")
STATISTICS = ("words", "mean_word_length", "unique_word_share", "alphabetic_share")
LOOSE = {"kind": "near", "shingle_words": 2, "bands": 16, "rows": 2, "similarity": 0.4}
DEDUPS: tuple[Any, ...] = ("none", "exact", "near", LOOSE)
PHASE_SHARES = ((1.0,), (0.5, 0.5), (0.25, 0.75), (0.2, 0.3, 0.5))
EPOCHS = 900  # so that few recipes ask for more than there is

weights = st.integers(1, 1000).map(lambda value: value / 100)
dedups = st.sampled_from(DEDUPS)
exponents = st.sampled_from([0, 0.3, 0.5, 1])
measures: st.SearchStrategy[Body] = st.one_of(
    st.just({"field": "quality"}), st.sampled_from(STATISTICS).map(lambda name: {"statistic": name})
)


@st.composite
def edges(draw: st.DrawFn) -> Body:
    """Two quantiles, a fifth apart at least."""
    low = draw(st.integers(0, 8))
    return {"low": low / 10, "high": draw(st.integers(low + 2, 10)) / 10}


@st.composite
def quantiles(draw: st.DrawFn) -> Body:
    return {"kind": "quantile", **draw(measures), **draw(edges())}


@st.composite
def repeats(draw: st.DrawFn) -> Body:
    return {**draw(measures), **draw(edges()), "times": draw(st.integers(2, 4))}


fields: st.SearchStrategy[Body] = st.one_of(
    st.sampled_from(["en", "de"]).map(lambda value: {"field": "language", "equals": value}),
    st.just({"field": "language", "any_of": ["en", "fr"]}),
    st.just({"field": "language", "glob": "[de]*"}),
    st.integers(0, 5).map(lambda value: {"field": "quality", "minimum": value}),
    st.integers(5, 10).map(lambda value: {"field": "quality", "maximum": value}),
    st.integers(1, 9).map(lambda month: {"field": "date", "since": f"2024-0{month}"}),
    st.integers(3, 9).map(lambda month: {"field": "date", "before": f"2024-0{month}-15"}),
)
filters: st.SearchStrategy[Body] = st.one_of(
    st.integers(0, 60).map(lambda value: {"minimum": value}),
    st.integers(60, 300).map(lambda value: {"kind": "length", "maximum": value}),
    st.builds(lambda step, exclude: {"kind": "field", **step, "exclude": exclude}, fields, st.booleans()),
    st.sampled_from(STATISTICS).map(lambda name: {"kind": "statistic", "statistic": name, "minimum": 0.1}),
    st.just({"kind": "statistic", "statistic": "words", "maximum": 30}),
    quantiles(),
    st.sampled_from(sorted(HEURISTICS)).map(lambda name: {"kind": "heuristic", "heuristic": name}),
)


@st.composite
def sources(draw: st.DrawFn) -> Body:
    optional = {
        "filters": st.lists(filters, max_size=2),
        "dedup": dedups,
        "subset": st.sampled_from([0.5, 0.9, 1]),
        "repeat": repeats(),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(optional)), max_size=3))
    body = {name: draw(optional[name]) for name in sorted(chosen)}
    return {"corpus": draw(st.sampled_from(CORPORA)), "weight": draw(weights), "max_epochs": EPOCHS, **body}


@st.composite
def groups(draw: st.DrawFn, members: st.SearchStrategy[Body]) -> Body:
    body: Body = {"name": "g", "weight": draw(weights), "sources": draw(st.lists(members, min_size=1, max_size=3))}
    return {**body, "size_exponent": draw(exponents)} if draw(st.booleans()) else body


@st.composite
def mixtures(draw: st.DrawFn) -> Body:
    members = st.recursive(sources(), groups, max_leaves=3)
    body: Body = {"sources": draw(st.lists(members, min_size=1, max_size=3))}
    if draw(st.booleans()):
        body["size_exponent"] = draw(exponents)
    if draw(st.booleans()):
        body["dedup"] = draw(dedups)
    if draw(st.booleans()):
        body["order"] = {"kind": draw(st.sampled_from(["ascending", "descending"])), "by": draw(measures)}
    return body


@st.composite
def recipes(draw: st.DrawFn) -> Body:
    """A whole recipe, with one mixture or with phases."""
    shares = draw(st.sampled_from(PHASE_SHARES))
    if len(shares) == 1:
        body = draw(mixtures())
    else:
        body = {"phases": [{"share": share, **draw(mixtures())} for share in shares]}
    if draw(st.booleans()):
        body["target"] = {"parameters": 10**9, "tokens": 10 ** draw(st.integers(3, 6))}
        body["simulate_repetition"] = draw(st.booleans())
    if draw(st.booleans()):
        body["decontaminate"] = draw(st.booleans())
    return {"name": "random", **body}


def rewritten(body: Any, names: Mapping[str, str], rng: random.Random) -> Any:
    """The same recipe in other words: keys and sources in another order, corpora under other names."""
    if isinstance(body, list):
        return [rewritten(one, names, rng) for one in body]
    if not isinstance(body, dict):
        return body
    keys = rng.sample(sorted(body), len(body))
    found = {key: rewritten(body[key], names, rng) for key in keys}
    if "corpus" in found:
        found["corpus"] = names[found["corpus"]]
    if "sources" in found:
        found["sources"] = rng.sample(found["sources"], len(found["sources"]))
    return found
