"""What each source must and can supply: its quota of the token budget, and whether its documents reach that far.

Used twice: by the HTTP process, which refuses a recipe before anything is trained, and by the plan of a run.
Lengths are tokens; a document costs one more than it holds, for the end of text before it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.selection import Selection, select
from proxy.errors import FieldProblem, InvalidInputError
from proxy.fingerprints import fingerprint
from proxy.recipes import Recipe, Source

SHARE_DIGITS = 12  # as in the recipe's fingerprint: shares that are equal there give equal quotas
MOST_EPOCHS = 1000  # what Source.max_epochs accepts


@dataclass(frozen=True, kw_only=True)
class Supply:
    """Source number `index` of the recipe: what it owes, which rows it keeps, and what each costs, int64[K]."""

    index: int
    source: Source
    share: float
    quota: int
    selection: Selection
    cost_K: Int64Array

    @property
    def available(self) -> int:
        """Tokens of one epoch."""
        return int(self.cost_K.sum())

    def problem(self) -> FieldProblem | None:
        """Why the quota cannot be met, and what would fit; None if it can."""
        if self.available == 0:
            return _nothing_left(self)
        # The decimal that was written: in floats 1.38 epochs of 300 tokens are 413.
        most = math.floor(self.available * Fraction(str(self.source.max_epochs)))
        return None if self.quota <= most else _too_little(self, most)


def split_budget(shares: Sequence[float], token_budget: int) -> list[int]:
    """Integer quotas that sum to the budget exactly, by largest remainder; ties go to the earlier source."""
    parts = [_exactly(share) for share in shares]
    exact = [part / sum(parts) * token_budget for part in parts]
    quotas = [math.floor(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: quotas[i] - exact[i])
    for index in by_remainder[: token_budget - sum(quotas)]:
        quotas[index] += 1
    return quotas


def measure_supplies(
    recipe: Recipe,
    tables: Mapping[str, DocumentTable],
    token_counts: Mapping[str, Int64Array | None],
    token_budget: int,
) -> list[Supply]:
    """Sources of positive weight in canonical order, so that recipes with one fingerprint have one stream.

    `token_counts` (int64[D], row for row the table's) may be None: then the text's bytes stand in, an upper bound.
    Raises InvalidInputError with one problem a source that cannot supply its share.
    """
    shares = recipe.shares()
    used = [index for index, share in enumerate(shares) if share > 0]
    used.sort(key=lambda i: _canonical_place(recipe.sources[i], shares[i], tables[recipe.sources[i].corpus]))
    supplies = []
    for index, quota in zip(used, split_budget([shares[i] for i in used], token_budget), strict=True):
        source = recipe.sources[index]
        table = tables[source.corpus]
        selection = select(source, table)
        counts = token_counts.get(source.corpus)
        cost_D = (table.text_bytes if counts is None else counts) + 1
        supplies.append(
            Supply(
                index=index,
                source=source,
                share=shares[index],
                quota=quota,
                selection=selection,
                cost_K=cost_D[selection.rows],
            )
        )
    _require_all(supplies)
    return supplies


def check_feasible(
    recipe: Recipe,
    tables: Mapping[str, DocumentTable],
    token_counts: Mapping[str, Int64Array | None],
    token_budget: int,
) -> None:
    """Refuses a recipe that surely cannot supply its shares, without tokenising anything; see `measure_supplies`.

    Counts of a TokenStore belong to the table of the same store: files may have been renamed since registration.
    """
    measure_supplies(recipe, tables, token_counts, token_budget)


def _exactly(share: float) -> Fraction:
    """The decimal it stands for: as a binary number 0.2 is a little more, and a budget that fits would not."""
    return Fraction(str(round(share, SHARE_DIGITS)))


def _canonical_place(source: Source, share: float, table: DocumentTable) -> tuple[int, str, float]:
    """Sorts sources by what they are: neither their place in the recipe nor their corpus's name matters.

    Content comes first, so that changing a step, a share or the epochs leaves ties between corpora as they were.
    """
    content = int(np.bitwise_xor.reduce(table.key)) if len(table) else 0
    definition = source.model_dump(mode="json", exclude={"corpus", "weight"})
    return content, fingerprint(definition), round(share, SHARE_DIGITS)


def _require_all(supplies: list[Supply]) -> None:
    in_order = sorted(supplies, key=lambda supply: supply.index)
    problems = [problem for supply in in_order if (problem := supply.problem()) is not None]
    if problems:
        raise InvalidInputError(problems)


def _nothing_left(supply: Supply) -> FieldProblem:
    source = supply.source
    step = "filters" if source.filters else "subset" if source.subset < 1 else "corpus"
    return FieldProblem(
        pointer=f"/sources/{supply.index}/{step}",
        value=source.model_dump(mode="json")[step],
        message=f"no document of {source.corpus} is left after filters, dedup and subset",
    )


def _too_little(supply: Supply, most: int) -> FieldProblem:
    source, quota, available = supply.source, supply.quota, supply.available
    fitting = [
        f"a share of at most {_rounded_down(supply.share * most / quota)}",
        f"a budget of at most {math.floor(most / _exactly(supply.share)):,} tokens",
    ]
    if (epochs := quota / available) <= MOST_EPOCHS:
        fitting.append(f"max_epochs of at least {math.ceil(epochs * 1000) / 1000:g}")
    return FieldProblem(
        pointer=f"/sources/{supply.index}/weight",
        value=source.weight,
        message=(
            f"a share of {supply.share:.4g} of the budget needs {quota:,} tokens; {source.corpus} has "
            f"{available:,} after filters, dedup and subset, and max_epochs {source.max_epochs:g} allows {most:,}; "
            f"what would fit: {', or '.join(fitting)}"
        ),
    )


def _rounded_down(share: float) -> str:
    """Four significant digits, never more than the share: advice that is followed must work."""
    digits = 3 - math.floor(math.log10(share))
    return f"{math.floor(share * 10**digits) / 10**digits:g}"
