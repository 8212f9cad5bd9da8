"""What a recipe would be, before anything is trained: what each step removes, tokens and epochs a source, cost.

Exact where the columns that its steps read and the tokens are there; else estimated from a sample of each corpus, and
marked so.
"""

from dataclasses import asdict, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.data.columns import TextColumn
from proxy.data.holdings import Holdings
from proxy.data.plans import SourceReport, report_sources
from proxy.data.samples import ColumnSample, sample_columns
from proxy.data.supplies import collect_supplies, require_supplies
from proxy.data.tokenizers import Tokenizer
from proxy.protocols import Protocol as ProtocolSpec
from proxy.recipes import Recipe as RecipeSpec
from worker.corpora import location_of
from worker.holdings import Known, known_holdings
from worker.settings import Settings
from worker.sharing import load_tokenizer
from worker.store.models import Run
from worker.store.states import State

SAMPLE_BYTES = 2_000_000  # of all corpora together: a second or two of statistics
LEAST_SAMPLE_BYTES = 100_000  # of one
RECENT_RUNS = 20
TOKENS = "tokens"


def preview(session: Session, settings: Settings, recipe: RecipeSpec, protocol: ProtocolSpec | None) -> dict[str, Any]:
    """Sources after their steps, and with a protocol what it draws and costs.

    InvalidInputError names each source that surely cannot supply its share; where that is an estimate, `doubts` does.
    """
    known = known_holdings(session, settings, recipe, protocol)
    tokenizer = None if protocol is None else _tokenizer(settings, protocol)
    holdings = _estimated(settings, known, tokenizer)
    supplies = collect_supplies(recipe, holdings, 0 if protocol is None else protocol.token_budget)
    is_exact = known.is_complete
    doubts = []
    if protocol is not None:
        problems = require_supplies(supplies, raises=is_exact)
        doubts = [asdict(problem) for problem in problems]
    report: dict[str, Any] = {
        "sources": [_source(known, one) for one in report_sources(recipe, supplies)],
        "doubts": doubts,
        "is_estimate": bool(known.undecided) or any(one.is_estimate for one in holdings.values()),
    }
    return report if protocol is None else report | _cost(session, protocol)


def _tokenizer(settings: Settings, protocol: ProtocolSpec) -> Tokenizer:
    return load_tokenizer(settings, protocol.tokenizer)


def _estimated(settings: Settings, known: Known, tokenizer: Tokenizer | None) -> dict[str, Holdings]:
    """Holdings of every corpus; those that lack columns or token counts get them from a sample."""
    incomplete = [
        name
        for name, held in known.holdings.items()
        if name in known.lacking or (tokenizer is not None and held.token_counts is None)
    ]
    most = max(SAMPLE_BYTES // max(len(incomplete), 1), LEAST_SAMPLE_BYTES)
    return {
        name: _sampled(settings, known, name, tokenizer, most) if name in incomplete else held
        for name, held in known.holdings.items()
    }


def _sampled(settings: Settings, known: Known, name: str, tokenizer: Tokenizer | None, most_bytes: int) -> Holdings:
    """Where one column is lacking, all that the recipe reads are: a sample's rows are not those of the table."""
    location, held = location_of(settings, known.corpora[name]), known.holdings[name]
    wanted = list(known.needed[name]) if name in known.lacking else []
    if tokenizer is not None and held.token_counts is None:
        wanted.append(TextColumn(name=TOKENS, dtype=np.int64, compute=partial(_count_tokens, tokenizer)))
    sample = sample_columns(location, wanted, most_bytes)
    if name in known.lacking:
        return _of_sample(held, sample)
    tokens_a_byte = float(sample[TOKENS].sum()) / max(sample.text_bytes, 1)
    counts = np.rint(held.table.text_bytes * tokens_a_byte).astype(np.int64)
    return replace(held, token_counts=counts, is_estimate=True)


def _of_sample(held: Holdings, sample: ColumnSample) -> Holdings:
    """The sampled documents, standing for all."""
    return Holdings(
        table=sample.table,
        token_counts=sample.columns.get(TOKENS),
        columns=sample.columns,
        documents=len(held.table),
        scale=float(held.table.text_bytes.sum()) / max(sample.text_bytes, 1),
        is_estimate=not sample.is_whole,
    )


def _count_tokens(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode_batch([text])[0])


def _source(known: Known, report: SourceReport) -> dict[str, Any]:
    corpus = known.corpora[report.corpus]
    return {**asdict(report), "corpus": corpus.name, "fingerprint": corpus.fingerprint} | {
        "is_repeated_more_at_target": report.is_repeated_more
    }


def _cost(session: Session, protocol: ProtocolSpec) -> dict[str, Any]:
    """FLOPs of one run, and the time it took lately."""
    recent = session.scalars(
        select(Run.result)
        .where(Run.cohort_key == protocol.cohort_key(), Run.state == State.FINISHED)
        .order_by(Run.finished_at.desc())
        .limit(RECENT_RUNS)
    )
    rates = [result["tokens_per_second"] for result in recent if result and result.get("tokens_per_second")]
    return {
        "token_budget": protocol.token_budget,
        "training_flops": protocol.training_flops(),
        "device_seconds": protocol.token_budget / median(rates) if rates else None,
    }
