"""Protocols: everything about a proxy that is neither data nor seed nor suite, immutable and versioned.

Units: rates are Adam's step size; lengths are tokens; a step is one optimizer update on
`batch_sequences × context_tokens` tokens.
"""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from proxy import NUMERICS_VERSION
from proxy.architectures import Architecture
from proxy.fingerprints import fingerprint
from proxy.recipes import Name, Specification
from proxy.recipes.specification import fault

__all__ = [
    "AdamW",
    "Anchor",
    "Architecture",
    "Averaging",
    "Decontamination",
    "Protocol",
    "ProtocolBase",
    "Schedule",
    "Scoring",
    "fingerprint_protocol",
    "fingerprint_run",
]


class AdamW(Specification):
    """Decoupled weight decay applies to matrices only; gradients are clipped to `clip_norm` over all parameters."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)


class Schedule(Specification):
    """Linear warm-up over `warmup_steps` (default 2 / (1 − β₂), statistics.md 6), then the kind's closed form
    (proxy.lm.schedules). A moderate decay is `cosine` or `linear` with a `final_fraction` such as 0.3."""

    later: ClassVar[frozenset[str]] = frozenset({"decay", "decay_share"})

    kind: Literal["constant", "cosine", "linear", "wsd"] = "constant"
    warmup_steps: int | None = Field(default=None, ge=0)
    final_fraction: float = Field(default=0.1, ge=0, le=1, description="a decay's last rate as a share of the peak")
    decay: Literal["linear", "1-sqrt"] = Field(default="linear", description="the form of wsd's decay")
    decay_share: float = Field(default=0.2, gt=0, lt=1, description="wsd: share of all steps, the last, that decay")

    @model_validator(mode="after")
    def _decay_belongs_to_wsd(self) -> "Schedule":
        for name in sorted(self.later):
            value = getattr(self, name)
            if self.kind != "wsd" and value != type(self).model_fields[name].default:
                raise fault(f"/{name}", value, f"is an option of kind wsd, and kind is {self.kind}")
        return self


class Scoring(Specification):
    """The score averages the last `checkpoints` checkpoints' losses, `spacing` (a share of all steps) apart."""

    checkpoints: int = Field(default=3, ge=1, le=5)
    spacing: float = Field(default=0.05, gt=0, le=0.2)


class Averaging(Specification):
    """The weights of the last `checkpoints` checkpoints, `spacing` (a share of all steps) apart, are averaged; the mean
    is what is scored and stored (as in Luo et al. 2025, arXiv 2511.18903, in place of a decay)."""

    checkpoints: int = Field(ge=2, le=50)
    spacing: float = Field(default=0.05, gt=0, le=0.2)

    @model_validator(mode="after")
    def _all_come_after_the_start(self) -> "Averaging":
        reach = (self.checkpoints - 1) * self.spacing
        if reach >= 1:
            raise fault("/checkpoints", self.checkpoints, f"at {self.spacing} of the steps apart, the first is no step")
        return self


class Anchor(Specification):
    """Seed variance of one run of a recipe, in (bits per byte)² of a suite's score, measured under this protocol."""

    recipe: str = Field(min_length=1, description="fingerprint of a recipe")
    suite: str = Field(min_length=1, description="fingerprint of a suite")
    variance: float = Field(gt=0, allow_inf_nan=False)
    degrees_of_freedom: float = Field(gt=0, allow_inf_nan=False)


class Decontamination(Specification):
    """Held-out texts that no proxy may train on: documents that hold at least `share` of one's word n-grams are
    removed. Half is Tülu 3's limit (Lambert et al. 2024). With `prompt_field` the texts are continuations, and only
    n-grams that end in one count."""

    later: ClassVar[frozenset[str]] = frozenset({"prompt_field"})

    corpus: str = Field(min_length=1, description="name, name@revision or fingerprint of a registered corpus")
    words: int = Field(default=13, ge=5, le=50, description="length of an n-gram")
    share: float = Field(default=0.5, gt=0, le=1, allow_inf_nan=False)
    prompt_field: str | None = Field(default=None, description="document field with what the document's text continues")


def _decontamination_tag(value: Any) -> str:
    return "(word)" if isinstance(value, str) else "(set)"


class ProtocolBase(Specification):
    """What a protocol says in one way only; how long, in which batches and which shape are said in several
    (proxy.protocol_requests) and stored in one."""

    name: Name
    tokenizer: str = Field(min_length=1, description="fingerprint of a registered tokenizer")
    optimizer: AdamW = AdamW()
    schedule: Schedule = Schedule()
    scoring: Scoring = Scoring()
    averaging: Averaging | None = Field(default=None, description="score and store averaged weights")
    z_loss: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="coefficient of (log Σ exp logits)²; PaLM's is 1e-4"
    )
    standard_rate: float = Field(gt=0, le=1, allow_inf_nan=False)
    reduction: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    precision: Literal["bf16", "fp32"] = "bf16"
    device_class: Literal["cpu", "cuda"] = "cpu"
    micro_batch_sequences: int | None = Field(
        default=None, ge=1, description="sequences at once; the batch's gradient is the mean of its parts'"
    )
    activation_checkpointing: bool = Field(
        default=False, description="compute each layer again in the backward pass instead of keeping it: less memory"
    )
    shuffled_tokens: bool = Field(
        default=False,
        description="a control, not a way to train: the tokens of each training document come in random order",
    )
    decontamination: Annotated[
        Annotated[Literal["exact"], Tag("(word)")] | Annotated[Decontamination, Tag("(set)")],
        Discriminator(_decontamination_tag),
    ] = "exact"
    numerics_version: int = NUMERICS_VERSION
    anchors: tuple[Anchor, ...] = Field(default=(), description="known seed noise: pooled with what a ranking shows")

    @model_validator(mode="before")
    @classmethod
    def _averaged_weights_are_scored_once(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("averaging") is not None and "scoring" not in content:
            return {**content, "scoring": {"checkpoints": 1}}
        return content

    @model_validator(mode="after")
    def _scores_and_weights_are_not_both_averaged(self) -> "ProtocolBase":
        if self.averaging is not None and self.scoring.checkpoints != 1:
            raise fault(
                "/scoring/checkpoints", self.scoring.checkpoints, "must be 1: averaging gives one set of weights"
            )
        return self


class Protocol(ProtocolBase):
    """How proxies are trained. The learning rate is stored as `standard_rate × reduction`."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"averaging", "z_loss", "micro_batch_sequences", "activation_checkpointing", "shuffled_tokens"}
    )

    architecture: Architecture
    batch_sequences: int = Field(ge=1)
    steps: int = Field(ge=1)

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> "Protocol":
        micro = self.micro_batch_sequences
        if micro is not None and self.batch_sequences % micro:
            raise fault("/micro_batch_sequences", micro, f"does not divide batch_sequences, {self.batch_sequences}")
        return self

    @model_validator(mode="after")
    def _decay_begins_after_the_warm_up(self) -> "Protocol":
        if self.schedule.kind == "wsd" and self.warmup_steps > self.steps - self.decay_steps:
            first = self.steps - self.decay_steps
            message = f"the decay would begin at step {first} of {self.steps}, within the warm-up's {self.warmup_steps}"
            raise fault("/schedule/decay_share", self.schedule.decay_share, message)
        return self

    @property
    def decontamination_set(self) -> Decontamination | None:
        """None: only documents that are also held-out documents of the suite are kept from training."""
        return None if isinstance(self.decontamination, str) else self.decontamination

    @property
    def learning_rate(self) -> float:
        """Peak rate of a run that says nothing else."""
        return self.standard_rate * self.reduction

    @property
    def batch_tokens(self) -> int:
        return self.batch_sequences * self.architecture.context_tokens

    @property
    def token_budget(self) -> int:
        """Training tokens of one run."""
        return self.steps * self.batch_tokens

    @property
    def warmup_steps(self) -> int:
        if self.schedule.warmup_steps is not None:
            return self.schedule.warmup_steps
        return math.ceil(2 / (1 - self.optimizer.beta2))

    @property
    def decay_steps(self) -> int:
        """The last steps of a wsd schedule, at least one."""
        return max(1, round(self.schedule.decay_share * self.steps))

    def has_budget_at(self, step: int) -> bool:
        """Whether the weights after `step` steps are those that a run of so many steps ends with: after the warm-up of
        a constant schedule, on the same tokens, and where the weights that are scored are no average."""
        return self.schedule.kind == "constant" and self.averaging is None and step >= self.warmup_steps

    def training_flops(self) -> float:
        """6 × non-embedding parameters × tokens + 12 × layers × width × context × tokens (attention). The output layer
        is not in it, tied or not, nor what micro-batches or activation checkpointing compute again."""
        a = self.architecture
        return (6.0 * a.non_embedding_parameters + 12.0 * a.layers * a.width * a.context_tokens) * self.token_budget

    def treatment(self) -> dict[str, object]:
        """What decides a run's result besides recipe, seeds and rate: name, rate and anchors are left out."""
        return _content(self, {"name", "standard_rate", "reduction", "anchors"})

    def cohort_key(self) -> str:
        """Runs with the same key train in one process and share one compilation."""
        return fingerprint(self.treatment())


def fingerprint_protocol(protocol: Protocol) -> str:
    """Content address of a protocol; its name is not part of it. One without anchors reads as before there were any."""
    without = {"name"} if protocol.anchors else {"name", "anchors"}
    return fingerprint(_content(protocol, without))


def _content(model: BaseModel, exclude: set[str]) -> dict[str, object]:
    """What is hashed. Options that came `later` are left out at their default, so that a protocol and its runs keep
    their fingerprints when the language grows: a finished run is never trained again."""
    found = model.model_dump(mode="json", exclude=exclude)
    later: frozenset[str] = getattr(model, "later", frozenset())
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if name in later and value == field.default:
            found.pop(name, None)
        elif name in found and isinstance(value, BaseModel):
            found[name] = _content(value, set())
    return found


def fingerprint_run(
    *,
    recipe_fingerprint: str,
    protocol: Protocol,
    learning_rate: float,
    seed: int,
    replicate: int = 0,
    early_stopping: bool = False,
) -> str:
    """Same recipe, treatment, rate and seed are the same run, never trained twice.

    `early_stopping` is part of it: a sweep's run that may be given up half-way is another treatment.
    """
    return fingerprint(
        {
            "recipe": recipe_fingerprint,
            "treatment": protocol.treatment(),
            "learning_rate": f"{learning_rate:.9e}",
            "seed": seed,
            "replicate": replicate,
            "early_stopping": early_stopping,
        }
    )
