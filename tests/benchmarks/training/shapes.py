"""The models that are measured, ours and the peers' of the same size: layers, width, heads, and what a step is."""

from dataclasses import dataclass
from typing import Literal

from proxy.protocols import Architecture, Protocol

CONTEXT_TOKENS = 128
BATCH_SEQUENCES = 16
VOCABULARY = 4096
BATCH_TOKENS = BATCH_SEQUENCES * CONTEXT_TOKENS


@dataclass(frozen=True, kw_only=True)
class Shape:
    """`hidden` is our SwiGLU's width, chosen so that a layer has the parameters of a peer's GELU layer of 4 × width."""

    name: str
    layers: int
    width: int
    heads: int
    hidden: int
    context_tokens: int = CONTEXT_TOKENS
    batch_sequences: int = BATCH_SEQUENCES
    vocabulary: int = VOCABULARY
    family: Literal["llama", "gpt2"] = "llama"
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def batch_tokens(self) -> int:
        """Tokens of one step."""
        return self.batch_sequences * self.context_tokens

    def protocol(self, steps: int) -> Protocol:
        """Ours, in bf16 where that is fast."""
        architecture = Architecture(
            family=self.family,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            hidden=self.hidden,
            context_tokens=self.context_tokens,
            vocabulary=self.vocabulary,
        )
        return Protocol(
            name="bench",
            architecture=architecture,
            tokenizer="none",
            batch_sequences=self.batch_sequences,
            steps=steps,
            standard_rate=1e-3,
            device_class=self.device,
        )


SHAPES = (
    Shape(name="1M", layers=2, width=128, heads=4, hidden=336),
    Shape(name="4M", layers=5, width=224, heads=4, hidden=592),
)
SMALL_ON_GPU = Shape(name="10M-cuda", layers=6, width=320, heads=5, hidden=848, context_tokens=256, device="cuda")
GPT2_ON_GPU = Shape(
    name="124M-cuda",
    layers=12,
    width=768,
    heads=12,
    hidden=3072,
    context_tokens=1024,
    batch_sequences=32,
    vocabulary=50_257,
    family="gpt2",
    device="cuda",
)
ALL_SHAPES = (*SHAPES, SMALL_ON_GPU, GPT2_ON_GPU)
