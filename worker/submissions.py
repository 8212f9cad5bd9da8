"""What a submission is refused for before anything is queued: see docs/decisions/0003."""

from sqlalchemy.orm import Session

from proxy.data.leaks import find_overlap
from proxy.data.plans import check_feasible
from proxy.errors import FieldProblem, InvalidInputError
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from proxy.suites import Suite as SuiteSpec
from worker.corpora import find_corpus, load_documents
from worker.holdings import known_holdings
from worker.settings import Settings
from worker.store.models import Suite


def check_budget(session: Session, settings: Settings, recipe: RecipeSpec, protocol: ProtocolSpec) -> None:
    """InvalidInputError names each source that cannot supply its share of the protocol's token budget.

    Where steps need a pass over the text that nobody has made yet, the run that makes it finds out.
    """
    known = known_holdings(session, settings, recipe, protocol)
    if known.is_complete:
        check_feasible(recipe, known.holdings, protocol.token_budget)


def check_tokenizers(session: Session, protocol: ProtocolSpec, suite: Suite) -> None:
    """InvalidInputError at /suite where a held-out set came in as tokens of another tokenizer than the protocol's."""
    for part in SuiteSpec.model_validate(suite.spec).sets:
        corpus = find_corpus(session, part.corpus)
        if corpus.tokenizer not in (None, protocol.tokenizer):
            message = f"validation set {part.name!r} was imported as tokens of another tokenizer than the protocol's"
            raise InvalidInputError.at("/suite", suite.name, message)


def check_leaks(session: Session, settings: Settings, recipe: RecipeSpec, suite: Suite) -> None:
    """InvalidInputError names each source that holds documents of the suite."""
    spec = SuiteSpec.model_validate(suite.spec)
    held_out = {part: load_documents(settings, find_corpus(session, part.corpus)) for part in spec.sets}
    problems = []
    for leaf in recipe.all_leaves():
        if leaf.source.weight == 0:
            continue
        train = load_documents(settings, find_corpus(session, leaf.source.corpus))
        for part, table in held_out.items():
            overlap = find_overlap(train, table, has_prompts=part.prompt_field is not None)
            if overlap.count:
                message = (
                    f"{overlap.count} of the {overlap.of} documents of validation set {part.name!r} of suite "
                    f"{suite.name} are also in this corpus: the score would be memory, not learning"
                )
                problems.append(
                    FieldProblem(pointer=f"{leaf.pointer}/corpus", value=leaf.source.corpus, message=message)
                )
    if problems:
        raise InvalidInputError(problems)
