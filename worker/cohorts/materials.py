"""What training and scoring are made of, each loaded once a child: tokens, plans, held-out windows.

A corpus that cannot be used fails every run that needs it, and no other: its error is kept and raised again.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.columns import TextColumn, ensure_columns
from proxy.data.corpora import CorpusLocation
from proxy.data.decontamination import contaminated, overlap_column, overlap_name
from proxy.data.documents import DocumentTable, Progress, has_table
from proxy.data.fields import BoolArray
from proxy.data.holdings import Holdings
from proxy.data.leaks import NgramOverlap
from proxy.data.needs import columns_needed
from proxy.data.ngram_sets import NgramSet
from proxy.data.ngrams import NgramBounds, bounds_in_blocks
from proxy.data.plans import SamplingPlan, plan_stream
from proxy.data.textless import Textless, require_supported
from proxy.data.tokens import TokenStore, tokenise_corpus
from proxy.data.validation import ScoringWindows, ValidationTokens, load_validation, pack
from proxy.errors import ConflictError, ForetasteError
from proxy.suites import ValidationSet
from worker.artifacts import (
    SetLosses,
    copies_folder,
    documents_folder,
    documents_path,
    new_losses_path,
    relative_path,
    tokens_folder,
    write_losses,
)
from worker.cohorts.checkpoint_scores import checkpoint_scores, is_even_stream
from worker.cohorts.messages import (
    CheckpointScore,
    ChildSpec,
    CorpusSpec,
    MiddleScore,
    ProtocolSpec,
    RunSpec,
    SetResult,
    SuiteResult,
    SuiteSpec,
)
from worker.cohorts.middles import shares_at
from worker.cohorts.overlaps import decontamination_ngrams, find_leaks, held_out_ngrams
from worker.cohorts.reading import Tell, nobody_asks, tell_lazily
from worker.sharing import load_tokenizer, share_file, shared_store, tokens_of

Float64Array = npt.NDArray[np.float64]
NatsByStep = Mapping[int, Mapping[str, Float64Array]]  # of each document, by `set_name`
SetKey = tuple[str, str | None, str | None]  # content, cluster and prompt field: equal sets of two suites score once


class Materials:
    """Everything of one protocol, cached for the life of the child. `tell` hears how far the reading of a corpus is."""

    def __init__(self, spec: ProtocolSpec) -> None:
        self._place, self._protocol = spec, spec.protocol
        self._shared = shared_store(spec)
        self.tokenizer = load_tokenizer(spec, spec.protocol.tokenizer)
        self.tell: Tell = nobody_asks
        self._stores: dict[str, TokenStore | ForetasteError] = {}
        self._held_out: dict[SetKey, ValidationTokens] = {}
        self._plans: dict[str, SamplingPlan] = {}
        self._bounds: dict[tuple[str, SetKey], NgramBounds] = {}
        self._ngrams: dict[str, NgramSet] = {}
        self._leaks: dict[tuple[str, str], list[NgramOverlap]] = {}
        self._decontamination: NgramSet | None = None

    def store(self, corpus: CorpusSpec) -> TokenStore:
        """The corpus's tokens, made if they are not there. Raises ForetasteError, every time it is asked for."""
        assert corpus.fingerprint is not None
        if corpus.fingerprint not in self._stores:
            self._stores[corpus.fingerprint] = self._tokenise(corpus, corpus.fingerprint)
        store = self._stores[corpus.fingerprint]
        if isinstance(store, ForetasteError):
            raise store
        return store

    def plan(self, run: RunSpec) -> SamplingPlan:
        """The run's training stream, shared by the rates of a sweep."""
        key = stream_key(run)
        if key not in self._plans:
            self._require_supported(run)
            plan = plan_stream(
                run.recipe,
                {reference: self.store(corpus) for reference, corpus in run.corpora.items()},
                self._protocol.token_budget,
                run.data_seed,
                self.tokenizer.end_of_text,
                self._holdings(run),
            )
            plan.fetch()  # before the training, which should wait for nothing
            self._plans[key] = plan
        return self._plans[key]

    def _require_supported(self, run: RunSpec) -> None:
        textless = {
            reference: Textless(
                tokenizer=corpus.tokenizer, has_characters=bool(self.store(corpus).documents.characters.any())
            )
            for reference, corpus in run.corpora.items()
            if corpus.tokenizer is not None
        }
        is_decontaminated = self._protocol.decontamination_set is not None
        require_supported(run.recipe, textless, self._protocol.tokenizer, is_decontaminated=is_decontaminated)

    def _holdings(self, run: RunSpec) -> dict[str, Holdings]:
        """What the recipe's steps read of each corpus; columns that no recipe needed before are computed now."""
        needed = columns_needed(run.recipe)
        found = {}
        for reference, corpus in run.corpora.items():
            store = self.store(corpus)
            assert corpus.fingerprint is not None
            wanted = [*needed.get(reference, []), *(self._overlap_columns() if run.recipe.decontaminate else [])]
            if corpus.tokenizer is not None:
                wanted = []  # of no text; what a recipe needs of it is refused before
            columns = ensure_columns(
                locate(corpus, self._place),
                corpus.fingerprint,
                documents_folder(self._place),
                wanted,
                self._progress("computing columns", corpus),
                shared=self._shared,
            )
            found[reference] = Holdings(
                table=store.documents,
                token_counts=store.token_counts,
                columns=columns,
                contaminated=self._contaminated(columns),
            )
        return found

    def _overlap_columns(self) -> list[TextColumn]:
        """Overlap with the protocol's decontamination set, where it has one."""
        settings, corpus = self._protocol.decontamination_set, self._place.decontamination
        if settings is None or corpus is None:
            return []
        if self._decontamination is None:
            self._decontamination = decontamination_ngrams(locate(corpus, self._place), settings)
        return [overlap_column(settings, self._decontamination)]

    def _contaminated(self, columns: Mapping[str, npt.NDArray[Any]]) -> BoolArray | None:
        settings = self._protocol.decontamination_set
        if settings is None or overlap_name(settings) not in columns:
            return None
        return contaminated(settings, columns[overlap_name(settings)])

    def leaks(self, run: RunSpec, suite: SuiteSpec) -> dict[str, NgramOverlap]:
        """By set of the suite, which of its documents the run's training stream holds in large part."""
        sets = [self.held_out(part, suite.corpora[part.corpus]) for part in suite.suite.sets]
        if suite.id not in self._ngrams:
            self._ngrams[suite.id] = held_out_ngrams(sets, self.tokenizer)
        key = (stream_key(run), suite.id)
        if key not in self._leaks:
            self._leaks[key] = find_leaks(self.plan(run).blocks(), sets, self._ngrams[suite.id], self.tokenizer)
        return {part.name: found for part, found in zip(suite.suite.sets, self._leaks[key], strict=True)}

    def held_out(self, part: ValidationSet, corpus: CorpusSpec) -> ValidationTokens:
        """One validation set."""
        key = set_key(part, corpus)
        if key not in self._held_out:
            self._held_out[key] = load_validation(part, self.store(corpus), tokenizer=self.tokenizer)
        return self._held_out[key]

    def windows(self, held_out: ValidationTokens) -> ScoringWindows:
        """The set in rows of the protocol's context."""
        return pack(held_out, self._protocol.architecture.context_tokens, self.tokenizer.end_of_text)

    def bounds(self, run: RunSpec, part: ValidationSet, corpus: CorpusSpec) -> NgramBounds:
        """Unigram and bigram entropies of the set under the run's own training stream."""
        key = (stream_key(run), set_key(part, corpus))
        if key not in self._bounds:
            self._bounds[key] = bounds_in_blocks(
                self.plan(run).blocks,
                self.held_out(part, corpus),
                self._protocol.architecture.vocabulary,
                self.tokenizer.end_of_text,
            )
        return self._bounds[key]

    def _tokenise(self, corpus: CorpusSpec, fingerprint: str) -> TokenStore | ForetasteError:
        if corpus.tokenizer is not None:
            store = tokens_of(self._place, fingerprint, self.tokenizer.fingerprint)
            return store or ConflictError(
                f"corpus {fingerprint} was imported as tokens of tokenizer {corpus.tokenizer}, and there are none of "
                f"tokenizer {self.tokenizer.fingerprint}; import it again"
            )
        documents = documents_path(self._place, fingerprint)
        try:
            return tokenise_corpus(
                locate(corpus, self._place),
                fingerprint,
                self.tokenizer,
                tokens_folder(self._place),
                self._progress("tokenising", corpus),
                documents=documents,
                shard_bytes=self._place.shard_bytes,
                shared=self._shared,
            )
        except ForetasteError as error:
            return error

    def _progress(self, activity: str, corpus: CorpusSpec) -> Progress:
        """Tells what is done with which corpus, and how far it is."""
        table = documents_path(self._place, str(corpus.fingerprint))

        def of_bytes() -> int | None:
            return int(DocumentTable.load(table).text_bytes.sum()) if has_table(table) else None

        return tell_lazily(partial(self.tell, activity=activity, corpus=corpus.uri), of_bytes)


def locate(corpus: CorpusSpec, place: ChildSpec) -> CorpusLocation:
    """Where the reader finds it, and what it may read."""
    return CorpusLocation(
        uri=corpus.uri,
        text_field=corpus.text_field,
        fields=corpus.fields,
        roots=place.corpus_roots,
        cache=copies_folder(place),
    )


def set_key(part: ValidationSet, corpus: CorpusSpec) -> SetKey:
    """What makes two validation sets the same documents after the same prompts in the same clusters."""
    assert corpus.fingerprint is not None
    return corpus.fingerprint, part.cluster_field, part.prompt_field


def set_name(part: ValidationSet, corpus: CorpusSpec) -> str:
    """The set's key as one word; without prompts the word that states kept before there were any."""
    key = set_key(part, corpus)
    return f"{key[0]}/{key[1] or ''}" if part.prompt_field is None else json.dumps(key)


def stream_key(run: RunSpec) -> str:
    """Runs with the same key train on the same stream."""
    corpora = {reference: corpus.fingerprint for reference, corpus in run.corpora.items()}
    return f"{run.recipe.model_dump_json(exclude={'name', 'description', 'tags'})}{corpora}{run.data_seed}"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Scores one suite for many runs."""

    spec: SuiteSpec
    materials: Materials
    place: ProtocolSpec

    def result(
        self, run: RunSpec, nats: Mapping[str, Float64Array], nats_by_step: NatsByStep, nats_by_middle: NatsByStep
    ) -> SuiteResult:
        """Writes the losses of each document and sums them up; nats by `set_name`, `nats` the mean of all steps."""
        losses: dict[str, SetLosses] = {}
        leaks = self.materials.leaks(run, self.spec)
        measured: dict[str, SetResult] = {}
        for part in self.spec.suite.sets:
            corpus = self.spec.corpora[part.corpus]
            held_out = self.materials.held_out(part, corpus)
            nats_D = nats[set_name(part, corpus)]
            losses[part.name] = SetLosses(
                nats=nats_D, text_bytes=held_out.text_bytes, clusters=held_out.clusters, keys=held_out.keys
            )
            bounds = self.materials.bounds(run, part, corpus)
            share = self._source_share(run, part)
            measured[part.name] = _measure(nats_D, held_out, bounds, leaks[part.name], share)
        path = new_losses_path(self.place, run.id, self.spec.id)
        write_losses(path, losses)
        share_file(self.place, path)
        shares = self.spec.suite.shares()
        return SuiteResult(
            suite=self.spec.id,
            score=math.fsum(shares[name] * part.bits_per_byte for name, part in measured.items()),
            sets=measured,
            artifact=relative_path(self.place, path),
            checkpoints=self._checkpoints(run, measured, nats_by_step),
            middles=self._middles(run, measured, nats_by_middle),
        )

    def _source_share(self, run: RunSpec, part: ValidationSet) -> float | None:
        """Of the training tokens, those from the corpus that the set was held out from; None where it says none."""
        if part.held_out_from is None:
            return None
        uses = self.materials.plan(run).report
        return math.fsum(use.share for use in uses if run.corpora[use.corpus].fingerprint == part.held_out_from)

    def _checkpoints(
        self, run: RunSpec, measured: Mapping[str, SetResult], nats_by_step: NatsByStep
    ) -> tuple[CheckpointScore, ...]:
        names = self._names()
        return checkpoint_scores(
            {step: {name: nats[names[name]] for name in names} for step, nats in nats_by_step.items()},
            {name: part.text_bytes for name, part in measured.items()},
            self.spec.suite.shares(),
            self.place.protocol,
            is_even=is_even_stream(run.recipe, self.materials.plan(run)),
        )

    def _middles(
        self, run: RunSpec, measured: Mapping[str, SetResult], nats_by_middle: NatsByStep
    ) -> tuple[MiddleScore, ...]:
        """Without the steps that were scored before this suite was asked for."""
        needed = set(self._names().values())
        whole = {step: nats for step, nats in nats_by_middle.items() if needed <= nats.keys()}
        share = shares_at(self.place.protocol, whole)
        scores = self._checkpoints(run, measured, whole)
        return tuple(MiddleScore(**one.model_dump(), share=share[one.step]) for one in scores)

    def _names(self) -> dict[str, str]:
        return {part.name: set_name(part, self.spec.corpora[part.corpus]) for part in self.spec.suite.sets}


def _measure(
    nats_D: Float64Array,
    held_out: ValidationTokens,
    bounds: NgramBounds,
    overlap: NgramOverlap,
    source_share: float | None,
) -> SetResult:
    tokens = sum(len(document) for document in held_out.tokens)
    text_bytes = int(held_out.text_bytes.sum())
    return SetResult(
        bits_per_byte=float(nats_D.sum()) / (math.log(2) * text_bytes),
        nats_per_token=float(nats_D.sum()) / tokens,
        tokens=tokens,
        text_bytes=text_bytes,
        documents=len(nats_D),
        unigram_nats=bounds.unigram_nats,
        bigram_nats=bounds.bigram_nats,
        leaked_documents=overlap.leaked,
        comparable_documents=overlap.comparable,
        source_share=source_share,
    )
