"""What the supervisor and its child say to each other.

The supervisor writes one specification file; the child answers with one JSON object a line on its standard output.
On standard input the child hears `cancel RUN_ID` and `stop` (keep the states and end), and the end of the input tells
it that its supervisor has gone.
Losses are nats a token unless a name says otherwise; a number that is not finite travels as null.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from proxy.data.files import ANY_LOCAL_PATH
from proxy.data.tokens.spans import SHARD_BYTES
from proxy.protocols import Protocol
from proxy.recipes import Recipe
from proxy.seeds import SEED_BITS
from proxy.suites import Suite

CANCEL = "cancel"
STOP = "stop"
NEAR_SHARE = 0.05  # of a level of Σ rates: a step that is further from it is another level
READING = {"activity", "corpus", "documents", "bytes", "of_bytes", "megabytes_a_second"}


class Message(BaseModel):
    """Both sides are the same code version, so anything unknown is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusSpec(Message):
    """A registered corpus: where it lies, and what it must still contain (None while it is being registered). One that
    was imported as tokens has `tokenizer`, by fingerprint, and nothing to read."""

    uri: str
    text_field: str
    fields: tuple[str, ...]
    fingerprint: str | None = None
    tokenizer: str | None = None


class SuiteSpec(Message):
    """A suite to score; `corpora` maps the references in its sets to registered corpora."""

    id: str
    suite: Suite
    corpora: dict[str, CorpusSpec]


class RunSpec(Message):
    """One run of a cohort; `suites` are the ids of those to score it on.

    A replicate starts from the same weights as the run it repeats and draws its own documents, as another recipe of the
    same content would: what differs between replicates is noise alone. `attempt` and `claim` name who keeps its state.
    It is scored on the way too, where it has travelled these `middles`, shares of its whole Σ rates.
    """

    id: str
    recipe: Recipe
    corpora: dict[str, CorpusSpec]
    learning_rate: float
    seed: int
    replicate: int = 0
    sweep: str | None
    suites: tuple[str, ...]
    attempt: int = 1
    claim: str = "alone"
    middles: tuple[float, ...] = ()

    @property
    def data_seed(self) -> int:
        """Decides which documents are drawn and in which order."""
        return self.seed + (self.replicate << SEED_BITS)


class ChildSpec(Message):
    """What every child needs to know."""

    artifact_dir: Path
    shared_store: str = ""
    corpus_roots: tuple[str, ...] = ANY_LOCAL_PATH
    threads: int
    compile: bool
    shard_bytes: int = SHARD_BYTES


class ProtocolSpec(ChildSpec):
    """What works under a protocol; `decontamination` is where its decontamination set lies, if it has one."""

    protocol: Protocol
    decontamination: CorpusSpec | None = None


class CohortSpec(ProtocolSpec):
    """Runs that share everything but recipe, rate and seed. The protocol's own rate is not used.

    Their states are kept every `checkpoint_seconds` (0: never). Each batch is computed in `micro_batches` parts. At
    most `stacked_runs` train at once (0: what pays on the device and fits its memory). Several `ranks` train them one
    after the other, each with its rows of every batch and `threads` of its own.
    """

    kind: Literal["cohort"] = "cohort"
    suites: tuple[SuiteSpec, ...]
    runs: tuple[RunSpec, ...]
    checkpoint_seconds: float = 0.0
    micro_batches: int = 1
    stacked_runs: int = 0
    ranks: int = 1


class RegisterCorpusSpec(ChildSpec):
    """Read a corpus to its end: fingerprint, counts and the table of its documents."""

    kind: Literal["register_corpus"] = "register_corpus"
    job: str
    corpus: CorpusSpec


class TrainTokenizerSpec(ChildSpec):
    """Learn a byte-level BPE from at most `sample_bytes` of text, the corpora in turn."""

    kind: Literal["train_tokenizer"] = "train_tokenizer"
    job: str
    vocabulary: int
    sample_bytes: int
    corpora: tuple[CorpusSpec, ...]


class ScoreRunSpec(ProtocolSpec):
    """Score a stored checkpoint on another suite; `checkpoint` is relative to the artifact folder.

    The run says what it was trained on: the progress bounds are estimated on the same stream.
    """

    kind: Literal["score_run"] = "score_run"
    job: str
    run: RunSpec
    suite: SuiteSpec
    checkpoint: str


class RescoreRunsSpec(ProtocolSpec):
    """Measure what logits in bf16 change about the scores of runs of one architecture on a suite; `checkpoints` by run,
    relative to the artifact folder."""

    kind: Literal["rescore_runs"] = "rescore_runs"
    job: str
    suite: SuiteSpec
    checkpoints: dict[str, str]


class TokeniseCorpusSpec(ChildSpec):
    """Make the tokens of a registered corpus, or plan the spans that others make where it has several; `tokenizer` is
    its fingerprint. With `shards` (proxy.data.tokens.Shard), all spans are made and are joined."""

    kind: Literal["tokenise_corpus"] = "tokenise_corpus"
    job: str
    corpus: CorpusSpec
    tokenizer: str
    text_bytes: int
    shards: tuple[dict[str, Any], ...] | None = None


class TokeniseSpanSpec(ChildSpec):
    """Make the shards of one span (proxy.data.tokens.Span) of a corpus."""

    kind: Literal["tokenise_span"] = "tokenise_span"
    job: str
    corpus: CorpusSpec
    tokenizer: str
    span: dict[str, Any]


class ImportTokensSpec(ChildSpec):
    """Make a corpus of tokens of another tool, as proxy.data.tokens.import_tokens; `tokenizer` is a fingerprint."""

    kind: Literal["import_tokens"] = "import_tokens"
    job: str
    tokenizer: str
    tokens: Path
    offsets: Path | None
    dtype: Literal["uint16", "uint32"] | None
    text_bytes: Path | Literal["decode"] | None


JobSpec = (
    RegisterCorpusSpec
    | TrainTokenizerSpec
    | ScoreRunSpec
    | RescoreRunsSpec
    | TokeniseCorpusSpec
    | TokeniseSpanSpec
    | ImportTokensSpec
)
Spec = CohortSpec | JobSpec


class SetResult(Message):
    """One validation set of one run. `unigram_nats` and `bigram_nats` are its progress bounds, if computed. Of
    `comparable_documents` (long enough to be told), `leaked_documents` are largely in the run's training stream.
    `source_share`: of the training tokens, those from the corpus that the set says it was held out from."""

    bits_per_byte: float
    nats_per_token: float
    tokens: int
    text_bytes: int
    documents: int
    unigram_nats: float | None = None
    bigram_nats: float | None = None
    leaked_documents: int | None = None
    comparable_documents: int | None = None
    source_share: float | None = None

    @property
    def progress(self) -> float | None:
        """φ = (H_uni − L) / (H_uni − H_bi): 0 at the unigram entropy, 1 at the bigram entropy."""
        if self.unigram_nats is None or self.bigram_nats is None or self.unigram_nats <= self.bigram_nats:
            return None
        return (self.unigram_nats - self.nats_per_token) / (self.unigram_nats - self.bigram_nats)

    @property
    def leaked_share(self) -> float | None:
        """None where nothing was compared."""
        if self.leaked_documents is None or not self.comparable_documents:
            return None
        return self.leaked_documents / self.comparable_documents


class CheckpointScore(Message):
    """One suite at one checkpoint of a run, in bits per byte. `is_budget`: a run of the same protocol with this many
    tokens would have ended here, on another draw of the same mixture."""

    step: int
    tokens: int
    score: float
    sets: dict[str, float]
    is_budget: bool


class MiddleScore(CheckpointScore):
    """One suite on the way, after a `share` of the run's whole Σ rates."""

    share: float


class SuiteResult(Message):
    """One suite of one run; `score` is the share-weighted bits per byte. It is the mean of `checkpoints`, which older
    runs did not keep. `middles` are no part of it, and left out where nobody asked for any."""

    suite: str
    score: float
    sets: dict[str, SetResult]
    artifact: str
    checkpoints: tuple[CheckpointScore, ...] = ()
    middles: tuple[MiddleScore, ...] = Field(default=(), exclude_if=lambda middles: not middles)


class SourceUse(Message):
    """What the plan drew from one source."""

    corpus: str
    share: float
    documents: int
    removed: dict[str, int]
    kept_documents: int
    available_tokens: int
    drawn_tokens: int
    epochs: float
    target_epochs: float | None = None
    phase: int = 0
    pointer: str = ""


class Environment(Message):
    """Where a run was computed, by so many `ranks` with so many `threads` each."""

    device: str
    compute_dtype: str
    is_compiled: bool
    threads: int
    ranks: int = 1
    torch: str
    python: str
    code_version: str
    notes: tuple[str, ...]


class RunResult(Message):
    """What is stored with a run that ended by itself.

    `curve`: [step, loss, gradient norm, rate, update-to-weight ratio, FLOPs so far, tokens/s], at most 200 rows; those
    of older runs end with the rate. `seconds` are those of the steps, of which `data_wait_seconds` waited for tokens;
    `checkpoint_seconds` went into keeping the state. `resumed_from_step`: the step that each further beginning of the
    run went on from, 0 where it began anew. `weight_bits`: mantissa bits of the stored weights (23 in fp32, 7 in bf16).
    `notes`: what was not as it should be.
    """

    initial_loss: float | None
    final_loss: float | None
    steps: int
    tokens: int
    parameters: int
    tokens_per_second: float | None
    seconds: float
    failed_step: int | None = None
    curve: list[list[float | None]]
    suites: dict[str, SuiteResult] = Field(default_factory=dict)
    plan: list[SourceUse]
    environment: Environment
    flops: float | None = None
    data_wait_seconds: float | None = None
    checkpoint_seconds: float | None = None
    resumed_from_step: tuple[int, ...] = ()
    weight_bits: int | None = None
    notes: tuple[str, ...] = ()


class RunProgress(Message):
    """How far a run is; `loss` is the training loss. `resumed_from_step`: what an earlier attempt had kept.

    While a corpus is read for it, `activity` says what for (tokenising, computing columns) and `corpus` which;
    `documents` and `bytes` of text are read, of `of_bytes`.
    """

    kind: Literal["progress"] = "progress"
    run: str
    phase: Literal["preparing", "training", "scoring"] = "training"
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    resumed_from_step: int | None = None
    activity: str | None = None
    corpus: str | None = None
    documents: int | None = None
    bytes: int | None = None
    of_bytes: int | None = None
    megabytes_a_second: float | None = None

    def shown(self) -> dict[str, Any]:
        """As people see it: without what is said only of a corpus that is read."""
        hidden = {"kind", "run"} | (READING if self.activity is None else set())
        return self.model_dump(mode="json", exclude=hidden)


class RunsTraining(Message):
    """These runs train now, all at once: if the child breaks, it was one of them."""

    kind: Literal["training"] = "training"
    runs: tuple[str, ...]


class RunEnded(Message):
    """A run that ended by itself. `is_retryable`: the fault may lie with the machine rather than with the run."""

    kind: Literal["run"] = "run"
    run: str
    state: Literal["finished", "stopped", "failed", "cancelled"]
    error: str | None = None
    is_retryable: bool = False
    result: RunResult | None = None
    checkpoint: str | None = None


class JobProgress(Message):
    """How far a job is."""

    kind: Literal["job_progress"] = "job_progress"
    job: str
    progress: dict[str, Any]


class JobEnded(Message):
    """A job that ended by itself, with its result or its error."""

    kind: Literal["job"] = "job"
    job: str
    error: str | None = None
    is_retryable: bool = False
    result: dict[str, Any] | None = None


Line = Annotated[RunProgress | RunsTraining | RunEnded | JobProgress | JobEnded, Field(discriminator="kind")]

_LINE: TypeAdapter[Line] = TypeAdapter(Line)
_SPEC: TypeAdapter[Spec] = TypeAdapter(Annotated[Spec, Field(discriminator="kind")])


def write_line(message: Line) -> str:
    """One JSON object and a newline."""
    return message.model_dump_json() + "\n"


def read_line(line: str | bytes) -> Line:
    """The message of one line; ValueError (pydantic) names what does not fit."""
    return _LINE.validate_json(line)


def read_spec(content: str | bytes) -> Spec:
    """The specification in a file's content."""
    return _SPEC.validate_json(content)
