"""The two models that are measured, ours and the peers' of the same size: layers, width, heads; 4,096 tokens of
vocabulary, batches of 16 sequences of 128 tokens."""

from dataclasses import dataclass

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

    def protocol(self, steps: int) -> Protocol:
        """Ours, in bf16 where that is fast."""
        architecture = Architecture(
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            hidden=self.hidden,
            context_tokens=CONTEXT_TOKENS,
            vocabulary=VOCABULARY,
        )
        return Protocol(
            name="bench",
            architecture=architecture,
            tokenizer="none",
            batch_sequences=BATCH_SEQUENCES,
            steps=steps,
            standard_rate=1e-3,
        )


SHAPES = (
    Shape(name="1M", layers=2, width=128, heads=4, hidden=336),
    Shape(name="4M", layers=5, width=224, heads=4, hidden=592),
)
