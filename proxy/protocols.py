"""Protocols: everything about a proxy that is neither data nor seed nor suite, immutable and versioned.

Units: rates are Adam's step size; lengths are tokens; a step is one optimizer update on
`batch_sequences × context_tokens` tokens.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from proxy import NUMERICS_VERSION
from proxy.fingerprints import fingerprint
from proxy.recipes import Name, Specification


class Architecture(Specification):
    """A decoder-only transformer: RMSNorm, rotary positions, SwiGLU, tied embeddings."""

    layers: int = Field(ge=1, le=200)
    width: int = Field(ge=16, le=16384, multiple_of=16)
    heads: int = Field(ge=1, le=256)
    hidden: int = Field(ge=16, description="width of the SwiGLU layer")
    context_tokens: int = Field(ge=16, le=32768)
    vocabulary: int = Field(ge=258, le=1_000_000)

    @model_validator(mode="after")
    def _width_divides_into_even_heads(self) -> "Architecture":
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads of even size")
        return self

    @property
    def non_embedding_parameters(self) -> int:
        """Attention (4 w²), SwiGLU (3 w h) and two norms a layer, and the last norm."""
        w = self.width
        return self.layers * (4 * w * w + 3 * w * self.hidden + 2 * w) + w

    @property
    def parameters(self) -> int:
        """All trained numbers; the embedding is tied to the output layer and counted once."""
        return self.non_embedding_parameters + self.vocabulary * self.width


class AdamW(Specification):
    """Decoupled weight decay applies to matrices only; gradients are clipped to `clip_norm` over all parameters."""

    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)


class Schedule(Specification):
    """Linear warm-up over `warmup_steps` (default 2 / (1 − β₂), statistics.md 6), then constant or cosine."""

    kind: Literal["constant", "cosine"] = "constant"
    warmup_steps: int | None = Field(default=None, ge=0)
    final_fraction: float = Field(default=0.1, ge=0, le=1, description="cosine's last rate as a share of the peak")


class Scoring(Specification):
    """The score averages the last `checkpoints` checkpoints' losses, `spacing` (a share of all steps) apart."""

    checkpoints: int = Field(default=3, ge=1, le=5)
    spacing: float = Field(default=0.05, gt=0, le=0.2)


class Anchor(Specification):
    """Seed variance of one run of a recipe, in (bits per byte)² of a suite's score, measured under this protocol."""

    recipe: str = Field(min_length=1, description="fingerprint of a recipe")
    suite: str = Field(min_length=1, description="fingerprint of a suite")
    variance: float = Field(gt=0, allow_inf_nan=False)
    degrees_of_freedom: float = Field(gt=0, allow_inf_nan=False)


class Decontamination(Specification):
    """Held-out texts that no proxy may train on: documents that hold at least `share` of one's word n-grams are
    removed. Half is Tülu 3's limit (Lambert et al. 2024)."""

    corpus: str = Field(min_length=1, description="name, name@revision or fingerprint of a registered corpus")
    words: int = Field(default=13, ge=5, le=50, description="length of an n-gram")
    share: float = Field(default=0.5, gt=0, le=1, allow_inf_nan=False)


def _decontamination_tag(value: Any) -> str:
    return "(word)" if isinstance(value, str) else "(set)"


class Protocol(Specification):
    """How proxies are trained. The learning rate is stored as `standard_rate × reduction`."""

    name: Name
    architecture: Architecture
    tokenizer: str = Field(min_length=1, description="fingerprint of a registered tokenizer")
    batch_sequences: int = Field(ge=1)
    steps: int = Field(ge=1)
    optimizer: AdamW = AdamW()
    schedule: Schedule = Schedule()
    scoring: Scoring = Scoring()
    standard_rate: float = Field(gt=0, le=1, allow_inf_nan=False)
    reduction: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    precision: Literal["bf16", "fp32"] = "bf16"
    device_class: Literal["cpu", "cuda"] = "cpu"
    decontamination: Annotated[
        Annotated[Literal["exact"], Tag("(word)")] | Annotated[Decontamination, Tag("(set)")],
        Discriminator(_decontamination_tag),
    ] = "exact"
    numerics_version: int = NUMERICS_VERSION
    anchors: tuple[Anchor, ...] = Field(default=(), description="known seed noise: pooled with what a ranking shows")

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

    def training_flops(self) -> float:
        """6 × non-embedding parameters × tokens + 12 × layers × width × context × tokens (attention)."""
        a = self.architecture
        return (6.0 * a.non_embedding_parameters + 12.0 * a.layers * a.width * a.context_tokens) * self.token_budget

    def treatment(self) -> dict[str, object]:
        """What decides a run's result besides recipe, seeds and rate: name, rate and anchors are left out."""
        return self.model_dump(mode="json", exclude={"name", "standard_rate", "reduction", "anchors"})

    def cohort_key(self) -> str:
        """Runs with the same key train in one process and share one compilation."""
        return fingerprint(self.treatment())


def fingerprint_protocol(protocol: Protocol) -> str:
    """Content address of a protocol; its name is not part of it. One without anchors reads as before there were any."""
    without = {"name"} if protocol.anchors else {"name", "anchors"}
    return fingerprint(protocol.model_dump(mode="json", exclude=without))


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
