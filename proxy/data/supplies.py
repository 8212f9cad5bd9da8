"""What each source must and can supply: its quota of the token budget, and whether its documents reach that far.

Used by the HTTP process, which refuses a recipe before anything is trained, and by the plan of a run. Lengths are
tokens; a document costs one more than it holds, for the end of text before it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from proxy.data.documents import Int64Array
from proxy.data.fields import BoolArray
from proxy.data.hashing import SIMULATED, UInt64Array, mix
from proxy.data.holdings import Holdings
from proxy.data.selection import Selection, between_quantiles, dedup_name, select, unique
from proxy.data.shares import SHARE_DIGITS, as_written, shares_of, split_budget, weighted_leaves
from proxy.errors import FieldProblem, InvalidInputError
from proxy.fingerprints import fingerprint
from proxy.recipes import Mixture, Recipe, Source
from proxy.recipes.sources import MOST_EPOCHS

Int16Array = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Supply:
    """One source of one phase: what it owes (`quota`), which rows it keeps, what each costs and how many copies of
    each an epoch holds, [K]. `share` is of the phase, which has `phase_share` of the budget."""

    phase: int
    pointer: str
    source: Source
    holdings: Holdings
    selection: Selection
    cost_K: Int64Array
    copies_K: Int16Array
    share: float = 0.0
    phase_share: float = 1.0
    quota: int = 0
    whole: int | None = None

    @property
    def size(self) -> int:
        """Tokens of the kept documents, each once."""
        return int(self.cost_K.sum() * self.holdings.scale)

    @property
    def available(self) -> int:
        """Tokens of one epoch: `size`, unless some documents are repeated."""
        return int((self.cost_K * self.copies_K).sum() * self.holdings.scale)

    @property
    def available_before_simulation(self) -> int:
        """Tokens of one epoch of the whole pool, from which the target draws."""
        return self.available if self.whole is None else self.whole

    @property
    def budget_share(self) -> float:
        """Share of the whole budget."""
        return self.share * self.phase_share

    def definition(self) -> str:
        """Names what it draws from: two phases with the same definition draw one after the other."""
        body = self.source.model_dump(mode="json", exclude={"corpus", "weight"})
        return fingerprint([_content(self.holdings.table.key[self.selection.rows]), body])


def measure_supplies(recipe: Recipe, corpora: Mapping[str, Holdings], token_budget: int) -> list[Supply]:
    """As `collect_supplies`. InvalidInputError with one problem a source that cannot supply its share."""
    supplies = collect_supplies(recipe, corpora, token_budget)
    require_supplies(supplies)
    return supplies


def collect_supplies(recipe: Recipe, corpora: Mapping[str, Holdings], token_budget: int) -> list[Supply]:
    """Sources of positive weight, phase by phase and in canonical order within each, so that recipes with one
    fingerprint have one stream."""
    mixtures = recipe.mixtures()
    budgets = split_budget([share for _, _, share in mixtures], token_budget)
    supplies: list[Supply] = []
    for number, ((pointer, mixture, share), budget) in enumerate(zip(mixtures, budgets, strict=True)):
        kept = _deduplicated(mixture, list(_kept(recipe, mixture, number, pointer, corpora)))
        shared = _with_shares(mixture, pointer, kept)
        quotas = split_budget([supply.share for supply in shared], budget) if shared else []
        parts = zip(shared, quotas, strict=True)
        supplies += [replace(supply, quota=quota, phase_share=share) for supply, quota in parts]
    if recipe.simulate_repetition and recipe.target is not None:
        supplies = [_shrunk(supply, token_budget, recipe.target.tokens) for supply in supplies]
    return supplies


def check_feasible(recipe: Recipe, corpora: Mapping[str, Holdings], token_budget: int) -> None:
    """Refuses a recipe that surely cannot supply its shares, without tokenising anything; see `measure_supplies`."""
    measure_supplies(recipe, corpora, token_budget)


def _kept(
    recipe: Recipe, mixture: Mixture, phase: int, pointer: str, corpora: Mapping[str, Holdings]
) -> Iterator[Supply]:
    """Every source of positive weight after its own steps, in canonical order."""
    used = weighted_leaves(mixture.sources, f"{pointer}/sources")
    for place, source, _ in sorted(used, key=lambda one: _canonical_place(one[1], one[2], corpora[one[1].corpus])):
        holdings = corpora[source.corpus]
        selection = select(source, holdings, place, recipe.decontaminate)
        yield _supply(phase, place, source, holdings, selection)


def _supply(phase: int, pointer: str, source: Source, holdings: Holdings, selection: Selection) -> Supply:
    rows = selection.rows
    copies_K = np.ones(len(rows), dtype=np.int16)  # MOST_EPOCHS fits
    if (repeat := source.repeat) is not None:
        copies_K[between_quantiles(repeat, repeat.low, repeat.high, holdings, rows, f"{pointer}/repeat")] = repeat.times
    return Supply(
        phase=phase,
        pointer=pointer,
        source=source,
        holdings=holdings,
        selection=selection,
        cost_K=holdings.cost(rows),
        copies_K=copies_K,
    )


def _deduplicated(mixture: Mixture, supplies: list[Supply]) -> list[Supply]:
    """Without what another source of the mixture has too."""
    if mixture.dedup == "none" or not supplies:
        return supplies
    stays = unique(mixture.dedup, [(supply.holdings, supply.selection.rows) for supply in supplies])
    ends = np.cumsum([len(supply.selection.rows) for supply in supplies])[:-1]
    step = f"dedup {dedup_name(mixture.dedup)} across sources"
    return [_thinned(supply, part, step) for supply, part in zip(supplies, np.split(stays, ends), strict=True)]


def _thinned(supply: Supply, stays_K: BoolArray, step: str) -> Supply:
    """With fewer rows, and the step that took the others."""
    selection = Selection(
        rows=supply.selection.rows[stays_K],
        removed={**supply.selection.removed, step: int((~stays_K).sum())},
    )
    return replace(supply, selection=selection, cost_K=supply.cost_K[stays_K], copies_K=supply.copies_K[stays_K])


def _with_shares(mixture: Mixture, pointer: str, supplies: Sequence[Supply]) -> list[Supply]:
    """Shares by weight, and by size where the recipe says so."""
    sizes = {supply.pointer: supply.size for supply in supplies}
    shares = shares_of(mixture.sources, mixture.size_exponent, f"{pointer}/sources", sizes)
    return [replace(supply, share=shares[supply.pointer]) for supply in supplies]


def _shrunk(supply: Supply, token_budget: int, target_tokens: int) -> Supply:
    """The pool that gives the proxy as many epochs as the whole pool will give the target: documents in the order of a
    hash until their share of the tokens is that of the budget. Nothing is taken from what the target sees once."""
    if supply.available == 0 or supply.budget_share * target_tokens <= supply.available:
        return supply
    order = np.argsort(mix(supply.holdings.table.key[supply.selection.rows], SIMULATED), kind="stable")
    ends = np.cumsum((supply.cost_K * supply.copies_K)[order])
    count = int(np.searchsorted(ends, supply.available * min(token_budget / target_tokens, 1.0))) + 1
    stays_K = np.zeros(len(order), dtype=bool)
    stays_K[order[:count]] = True
    return replace(_thinned(supply, stays_K, "simulated repetition"), whole=supply.available)


def _content(keys: UInt64Array) -> int:
    return int(np.bitwise_xor.reduce(keys)) if len(keys) else 0


def _canonical_place(source: Source, share: float, holdings: Holdings) -> tuple[int, str, float]:
    """Sorts sources by what they are: neither their place in the recipe nor their corpus's name matters.

    Content comes first, so that changing a step, a share or the epochs leaves ties between corpora as they were.
    """
    definition = source.model_dump(mode="json", exclude={"corpus", "weight"})
    return _content(holdings.table.key), fingerprint(definition), round(share, SHARE_DIGITS)


def require_supplies(supplies: Sequence[Supply], raises: bool = True) -> list[FieldProblem]:
    """One problem a source that cannot supply its share, raised as InvalidInputError or returned. What several phases
    draw from one pool is owed together."""
    pools: dict[str, list[Supply]] = {}
    for supply in supplies:
        pools.setdefault(supply.definition(), []).append(supply)
    problems = [problem for pool in pools.values() if (problem := _problem(pool)) is not None]
    problems.sort(key=lambda one: _written_place(one.pointer))
    if problems and raises:
        raise InvalidInputError(problems)
    return problems


def _written_place(pointer: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in pointer.split("/")]


def _problem(pool: Sequence[Supply]) -> FieldProblem | None:
    """Why the quota cannot be met, and what would fit; None if it can."""
    supply, quota = pool[0], sum(one.quota for one in pool)
    if supply.available == 0:
        return _nothing_left(supply)
    # The decimal that was written: in floats 1.38 epochs of 300 tokens are 413.
    most = math.floor(supply.available * Fraction(str(supply.source.max_epochs)))
    return None if quota <= most else _too_little(pool, quota, most)


def _nothing_left(supply: Supply) -> FieldProblem:
    source = supply.source
    step = "filters" if source.filters else "subset" if source.subset < 1 else "corpus"
    return FieldProblem(
        pointer=f"{supply.pointer}/{step}",
        value=source.model_dump(mode="json")[step],
        message=f"no document of {source.corpus} is left after filters, dedup and subset",
    )


def _too_little(pool: Sequence[Supply], quota: int, most: int) -> FieldProblem:
    supply, share = pool[0], math.fsum(one.budget_share for one in pool)
    source, available = supply.source, supply.available
    fitting = [
        f"a share of at most {_rounded_down(share * most / quota)}",
        f"a budget of at most {math.floor(most / as_written(share)):,} tokens",
    ]
    if (epochs := quota / available) <= MOST_EPOCHS:
        fitting.append(f"max_epochs of at least {math.ceil(epochs * 1000) / 1000:g}")
    return FieldProblem(
        pointer=f"{supply.pointer}/weight",
        value=source.weight,
        message=(
            f"a share of {share:.4g} of the budget needs {quota:,} tokens; {source.corpus} has "
            f"{available:,} after filters, dedup and subset, and max_epochs {source.max_epochs:g} allows {most:,}; "
            f"what would fit: {', or '.join(fitting)}"
        ),
    )


def _rounded_down(share: float) -> str:
    """Four significant digits, never more than the share: advice that is followed must work."""
    digits = 3 - math.floor(math.log10(share))
    return f"{math.floor(share * 10**digits) / 10**digits:g}"
