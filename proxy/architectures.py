"""Shapes of proxies: two families of decoder-only transformers, and what each has to train.

llama: RMSNorm, rotary positions, SwiGLU, no biases (Touvron et al. 2023). gpt2: LayerNorm with bias, learned
positions, GELU (its tanh form), biases (Radford et al. 2019). Lengths are tokens; parameters are counted by hand here
and against the model in the tests.
"""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from proxy.recipes.specification import Specification, fault


class Architecture(Specification):
    """A decoder-only transformer. By default a Llama whose embedding is tied to its output layer and normalised."""

    later: ClassVar[frozenset[str]] = frozenset({"family", "tied_embeddings", "plain_embedding", "qk_norm"})

    layers: int = Field(ge=1, le=200)
    width: int = Field(ge=16, le=16384, multiple_of=16)
    heads: int = Field(ge=1, le=256)
    hidden: int = Field(ge=16, description="width of the layer between: SwiGLU's (llama), GELU's (gpt2)")
    context_tokens: int = Field(ge=16, le=32768)
    vocabulary: int = Field(ge=258, le=1_000_000)
    family: Literal["llama", "gpt2"] = "llama"
    tied_embeddings: bool = Field(default=True, description="false: the output layer has weights of its own")
    plain_embedding: bool = Field(
        default=False, description="llama: the embedding enters as it is, not normalised; as published Llamas do"
    )
    qk_norm: bool = Field(default=False, description="llama: RMSNorm on each head's queries and keys, as in Qwen3")

    @model_validator(mode="after")
    def _width_divides_into_even_heads(self) -> "Architecture":
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads of even size")
        return self

    @model_validator(mode="after")
    def _options_fit_the_family(self) -> "Architecture":
        if self.family == "gpt2":
            for name in ("plain_embedding", "qk_norm"):
                if getattr(self, name):
                    raise fault(f"/{name}", True, "is an option of the llama family, and family is gpt2")
        return self

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.width // self.heads

    @property
    def non_embedding_parameters(self) -> int:
        """All but the embedding, learned positions and an output layer of its own."""
        w, h = self.width, self.hidden
        if self.family == "gpt2":  # attention 4 w² + 4 w, GELU 2 w h + h + w, two norms of 2 w; the last norm
            return self.layers * (4 * w * w + 2 * w * h + 9 * w + h) + 2 * w
        # attention 4 w², SwiGLU 3 w h, two norms of w, gains of queries and keys; the last norm
        gains = 2 * self.head_width if self.qk_norm else 0
        return self.layers * (4 * w * w + 3 * w * h + 2 * w + gains) + w

    @property
    def parameters(self) -> int:
        """All trained numbers; an embedding that is tied to the output layer is counted once."""
        matrices = self.vocabulary * (1 if self.tied_embeddings else 2)
        positions = self.context_tokens if self.family == "gpt2" else 0
        return self.non_embedding_parameters + (matrices + positions) * self.width
