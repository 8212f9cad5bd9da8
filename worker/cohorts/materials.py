"""What training and scoring are made of, each loaded once a child: tokens, plans, held-out windows.

A corpus that cannot be used fails every run that needs it, and no other: its error is kept and raised again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.data.corpora import CorpusLocation
from proxy.data.ngrams import NgramBounds, progress_bounds
from proxy.data.plans import SamplingPlan, plan_stream
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokens import TokenStore, tokenise_corpus
from proxy.data.validation import ScoringWindows, ValidationTokens, load_validation, pack
from proxy.errors import ForetasteError
from proxy.protocols import Protocol
from proxy.suites import ValidationSet
from worker.artifacts import SetLosses, new_losses_path, relative_path, tokenizer_path, tokens_folder, write_losses
from worker.cohorts.messages import ChildSpec, CorpusSpec, RunSpec, SetResult, SuiteResult, SuiteSpec

Float64Array = npt.NDArray[np.float64]
SetKey = tuple[str, str | None]  # corpus fingerprint and cluster field: equal sets of two suites are scored once


class Materials:
    """Everything of one protocol, cached for the life of the child."""

    def __init__(self, spec: ChildSpec, protocol: Protocol) -> None:
        self._place, self._protocol = spec, protocol
        self.tokenizer = Tokenizer.from_json(tokenizer_path(spec, protocol.tokenizer).read_text())
        self._stores: dict[str, TokenStore | ForetasteError] = {}
        self._held_out: dict[SetKey, ValidationTokens] = {}
        self._plans: dict[str, SamplingPlan] = {}
        self._bounds: dict[tuple[str, SetKey], NgramBounds] = {}

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
            self._plans[key] = plan_stream(
                run.recipe,
                {reference: self.store(corpus) for reference, corpus in run.corpora.items()},
                self._protocol.token_budget,
                run.data_seed,
                self.tokenizer.end_of_text,
            )
        return self._plans[key]

    def held_out(self, part: ValidationSet, corpus: CorpusSpec) -> ValidationTokens:
        """One validation set."""
        key = set_key(part, corpus)
        if key not in self._held_out:
            self._held_out[key] = load_validation(part, self.store(corpus))
        return self._held_out[key]

    def windows(self, held_out: ValidationTokens) -> ScoringWindows:
        """The set in rows of the protocol's context."""
        return pack(held_out, self._protocol.architecture.context_tokens, self.tokenizer.end_of_text)

    def bounds(self, run: RunSpec, part: ValidationSet, corpus: CorpusSpec) -> NgramBounds:
        """Unigram and bigram entropies of the set under the run's own training stream."""
        key = (stream_key(run), set_key(part, corpus))
        if key not in self._bounds:
            self._bounds[key] = progress_bounds(
                self.plan(run).stream(), self.held_out(part, corpus), self._protocol.architecture.vocabulary
            )
        return self._bounds[key]

    def _tokenise(self, corpus: CorpusSpec, fingerprint: str) -> TokenStore | ForetasteError:
        location = locate(corpus)
        try:
            return tokenise_corpus(location, fingerprint, self.tokenizer, tokens_folder(self._place))
        except ForetasteError as error:
            return error


def locate(corpus: CorpusSpec) -> CorpusLocation:
    """Where the reader finds it."""
    return CorpusLocation(uri=corpus.uri, text_field=corpus.text_field, fields=corpus.fields)


def set_key(part: ValidationSet, corpus: CorpusSpec) -> SetKey:
    """What makes two validation sets the same documents in the same clusters."""
    assert corpus.fingerprint is not None
    return corpus.fingerprint, part.cluster_field


def set_name(part: ValidationSet, corpus: CorpusSpec) -> str:
    """The set's key as one word."""
    return "/".join(word or "" for word in set_key(part, corpus))


def stream_key(run: RunSpec) -> str:
    """Runs with the same key train on the same stream."""
    corpora = {reference: corpus.fingerprint for reference, corpus in run.corpora.items()}
    return f"{run.recipe.model_dump_json(exclude={'name', 'description', 'tags'})}{corpora}{run.data_seed}"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Scores one suite for many runs."""

    spec: SuiteSpec
    materials: Materials
    place: ChildSpec

    def result(self, run: RunSpec, nats: Mapping[str, Float64Array]) -> SuiteResult:
        """Writes the losses of each document and sums them up; `nats` by `set_name`."""
        losses: dict[str, SetLosses] = {}
        measured: dict[str, SetResult] = {}
        for part in self.spec.suite.sets:
            corpus = self.spec.corpora[part.corpus]
            held_out = self.materials.held_out(part, corpus)
            nats_D = nats[set_name(part, corpus)]
            losses[part.name] = SetLosses(nats=nats_D, text_bytes=held_out.text_bytes, clusters=held_out.clusters)
            measured[part.name] = _measure(nats_D, held_out, self.materials.bounds(run, part, corpus))
        path = new_losses_path(self.place, run.id, self.spec.id)
        write_losses(path, losses)
        shares = self.spec.suite.shares()
        return SuiteResult(
            suite=self.spec.id,
            score=math.fsum(shares[name] * part.bits_per_byte for name, part in measured.items()),
            sets=measured,
            artifact=relative_path(self.place, path),
        )


def _measure(nats_D: Float64Array, held_out: ValidationTokens, bounds: NgramBounds) -> SetResult:
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
    )
