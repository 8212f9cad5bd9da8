"""What a submission is refused for before anything is queued: see docs/decisions/0003."""

from typing import Any

from sqlalchemy.orm import Session

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.leaks import find_overlap
from proxy.data.plans import check_feasible
from proxy.data.selection import select as select_documents
from proxy.data.tokens import open_tokens
from proxy.errors import FieldProblem, InvalidInputError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from proxy.suites import Suite as SuiteSpec
from worker.artifacts import tokens_folder
from worker.corpora import find_corpus, load_documents
from worker.settings import Settings
from worker.store.models import Suite


def check_budget(session: Session, settings: Settings, recipe: RecipeSpec, protocol: ProtocolSpec) -> None:
    """InvalidInputError names each source that cannot supply its share of the protocol's token budget."""
    corpora = {source.corpus: find_corpus(session, source.corpus) for source in recipe.sources}
    tables: dict[str, DocumentTable] = {}
    counts: dict[str, Int64Array | None] = {}
    for reference, corpus in corpora.items():
        # Rows of the table stored with the tokens are in the order of the counts; the registered table may not be.
        store = open_tokens(tokens_folder(settings), str(corpus.fingerprint), protocol.tokenizer)
        tables[reference] = load_documents(settings, corpus) if store is None else store.documents
        counts[reference] = None if store is None else store.token_counts
    check_feasible(recipe, tables, counts, protocol.token_budget)


def check_leaks(session: Session, settings: Settings, recipe: RecipeSpec, suite: Suite) -> None:
    """InvalidInputError names each source that holds documents of the suite."""
    spec = SuiteSpec.model_validate(suite.spec)
    held_out = {part.name: load_documents(settings, find_corpus(session, part.corpus)) for part in spec.sets}
    problems = []
    for index, source in enumerate(recipe.sources):
        if source.weight == 0:
            continue
        train = load_documents(settings, find_corpus(session, source.corpus))
        for name, table in held_out.items():
            overlap = find_overlap(train, table)
            if overlap.count:
                message = (
                    f"{overlap.count} of the {overlap.of} documents of validation set {name!r} of suite {suite.name} "
                    "are also in this corpus: the score would be memory, not learning"
                )
                problems.append(FieldProblem(pointer=f"/sources/{index}/corpus", value=source.corpus, message=message))
    if problems:
        raise InvalidInputError(problems)


def describe_sources(session: Session, settings: Settings, recipe: RecipeSpec) -> list[dict[str, Any]]:
    """Documents and bytes of each source, before and after its steps."""
    described = []
    for source, share in zip(recipe.sources, recipe.shares(), strict=True):
        corpus = find_corpus(session, source.corpus)
        table = load_documents(settings, corpus)
        selection = select_documents(source, table)
        described.append(
            {
                "corpus": corpus.name,
                "fingerprint": corpus.fingerprint,
                "share": share,
                "documents": len(table),
                "removed": selection.removed,
                "kept_documents": len(selection.rows),
                "kept_bytes": int(table.text_bytes[selection.rows].sum()),
                "max_epochs": source.max_epochs,
            }
        )
    return described
