"""What the service knows of a recipe's corpora without reading them."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from proxy.data.columns import TextColumn
from proxy.data.decontamination import contaminated, overlap_name
from proxy.data.fields import BoolArray
from proxy.data.holdings import Holdings
from proxy.data.needs import columns_needed
from proxy.data.textless import require_supported
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from worker.corpora import find_corpus, load_documents
from worker.settings import Settings
from worker.sharing import column_of, tokens_of
from worker.store.models import Corpus
from worker.token_imports import textless_of


@dataclass(frozen=True, kw_only=True)
class Known:
    """By corpus reference: the row, what is held of it, the columns that the recipe reads, and whether nobody has
    computed some of them yet. `undecided` are those whose overlap with the decontamination set nobody has computed."""

    corpora: Mapping[str, Corpus]
    holdings: Mapping[str, Holdings]
    needed: Mapping[str, tuple[TextColumn, ...]]
    lacking: frozenset[str]
    undecided: frozenset[str]

    @property
    def is_complete(self) -> bool:
        """True if every step of the recipe can be applied."""
        return not (self.undecided or self.lacking)


def known_holdings(
    session: Session, settings: Settings, recipe: RecipeSpec, protocol: ProtocolSpec | None = None
) -> Known:
    """Tables of all corpora, token counts where the protocol's tokenizer was used on them, and the columns that are
    there. InvalidInputError names what the recipe asks of the text of a corpus that came in as tokens."""
    corpora = {reference: find_corpus(session, reference) for reference in recipe.corpora()}
    textless = textless_of(session, list(corpora.items()))
    is_decontaminated = protocol is not None and protocol.decontamination_set is not None
    require_supported(
        recipe, textless, None if protocol is None else protocol.tokenizer, is_decontaminated=is_decontaminated
    )
    needed = columns_needed(recipe)
    holdings, lacking = {}, set()
    for reference, corpus in corpora.items():
        content = str(corpus.fingerprint)
        tokenizer = corpus.tokenizer or (None if protocol is None else protocol.tokenizer)
        store = None if tokenizer is None else tokens_of(settings, content, tokenizer)
        wanted = needed.get(reference, [])
        columns = {one.name: column_of(settings, content, one.name) for one in wanted}
        holdings[reference] = Holdings(
            table=load_documents(settings, corpus),
            token_counts=None if store is None else store.token_counts,
            columns={name: column for name, column in columns.items() if column is not None},
            contaminated=_contaminated(settings, content, protocol),
        )
        if any(column is None for column in columns.values()):
            lacking.add(reference)
    needs_overlap = protocol is not None and protocol.decontamination_set is not None and recipe.decontaminate
    undecided = frozenset(name for name, held in holdings.items() if needs_overlap and held.contaminated is None)
    return Known(
        corpora=corpora,
        holdings=holdings,
        needed={reference: tuple(needed.get(reference, ())) for reference in corpora},
        lacking=frozenset(lacking),
        undecided=undecided,
    )


def _contaminated(settings: Settings, content: str, protocol: ProtocolSpec | None) -> BoolArray | None:
    if protocol is None or protocol.decontamination_set is None:
        return None
    column = column_of(settings, content, overlap_name(protocol.decontamination_set))
    return None if column is None else contaminated(protocol.decontamination_set, column)
