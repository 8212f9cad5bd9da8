"""What a recipe may not ask of a corpus that came in as tokens: no text is there to filter, compare or tokenise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from proxy.errors import FieldProblem, InvalidInputError
from proxy.recipes import Filter, HeuristicFilter, LengthFilter, Measure, Mixture, NearDedup, Recipe, StatisticFilter
from proxy.recipes.sources import Leaf

WHY = "the corpus was imported as tokens"


@dataclass(frozen=True, kw_only=True)
class Textless:
    """An imported corpus: the tokenizer that made its tokens, by fingerprint and as people call it, and whether the
    characters of its documents were counted."""

    tokenizer: str
    tokenizer_name: str = ""
    has_characters: bool = False


def require_supported(
    recipe: Recipe, textless: Mapping[str, Textless], tokenizer: str | None = None, *, is_decontaminated: bool = False
) -> None:
    """InvalidInputError names everything in the recipe that would read text that is not there. `textless` holds the
    imported ones of the recipe's corpora by reference; `tokenizer` is the protocol's, `is_decontaminated` says that it
    has a decontamination set."""
    problems = list(_problems(recipe, textless, tokenizer))
    used = sorted({leaf.source.corpus for leaf in recipe.all_leaves() if leaf.source.corpus in textless})
    if used and is_decontaminated and recipe.decontaminate:
        message = f"the protocol compares texts with its decontamination set, and {', '.join(used)} came in as tokens"
        problems.append(FieldProblem(pointer="/decontaminate", value=True, message=f"{message}; say false"))
    if problems:
        raise InvalidInputError(problems)


def _problems(recipe: Recipe, textless: Mapping[str, Textless], tokenizer: str | None) -> Iterator[FieldProblem]:
    for pointer, mixture, _ in recipe.mixtures():
        leaves = [leaf for leaf in mixture.leaves(pointer) if leaf.source.corpus in textless and leaf.source.weight]
        for leaf in leaves:
            yield from _of_leaf(leaf, textless[leaf.source.corpus], tokenizer)
        if leaves:
            yield from _of_mixture(pointer, mixture)


def _of_leaf(leaf: Leaf, corpus: Textless, tokenizer: str | None) -> Iterator[FieldProblem]:
    source, pointer = leaf.source, leaf.pointer
    if tokenizer is not None and tokenizer != corpus.tokenizer:
        message = f"{WHY} of tokenizer {corpus.tokenizer_name or corpus.tokenizer}; the protocol has another"
        yield FieldProblem(pointer=f"{pointer}/corpus", value=source.corpus, message=message)
    for index, step in enumerate(source.filters):
        yield from _of_filter(step, f"{pointer}/filters/{index}", corpus)
    if source.repeat is not None:
        yield from _of_measure(source.repeat, f"{pointer}/repeat")
    if isinstance(source.dedup, NearDedup):
        yield _near(f"{pointer}/dedup")


def _of_mixture(pointer: str, mixture: Mixture) -> Iterator[FieldProblem]:
    if mixture.order.by is not None:
        yield from _of_measure(mixture.order.by, f"{pointer}/order/by")
    if isinstance(mixture.dedup, NearDedup):
        yield _near(f"{pointer}/dedup")


def _of_filter(step: Filter, pointer: str, corpus: Textless) -> Iterator[FieldProblem]:
    if isinstance(step, LengthFilter) and not corpus.has_characters:
        message = f"{WHY}, and characters were not counted; import it with text_bytes: decode"
        yield FieldProblem(pointer=pointer, value=step.kind, message=message)
    elif isinstance(step, HeuristicFilter):
        yield FieldProblem(pointer=f"{pointer}/heuristic", value=step.heuristic, message=f"reads the text; {WHY}")
    elif isinstance(step, StatisticFilter):
        yield FieldProblem(pointer=f"{pointer}/statistic", value=step.statistic, message=f"reads the text; {WHY}")
    elif isinstance(step, Measure):
        yield from _of_measure(step, pointer)


def _of_measure(measure: Measure, pointer: str) -> Iterator[FieldProblem]:
    if measure.statistic is not None:
        yield FieldProblem(pointer=f"{pointer}/statistic", value=measure.statistic, message=f"reads the text; {WHY}")


def _near(pointer: str) -> FieldProblem:
    return FieldProblem(pointer=pointer, value="near", message=f"compares texts; {WHY}; exact works on equal tokens")
