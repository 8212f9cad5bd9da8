"""Architectures by name. A preset says the shape; the vocabulary is the tokenizer's.

nano: our own ladder, tied and normalised embeddings. gpt2-small: GPT-2's smallest model as published (Radford et al.
2019). pythia: layers, width, heads and context of Pythia (Biderman et al. 2023, table 1) in the llama family with an
output layer of its own. What differs there: RMSNorm for LayerNorm, SwiGLU of 8/3 × width (to a multiple of 64) for
GELU of 4 × width, so about the same count; no biases, the blocks' two parts one after the other instead of side by
side, rotary positions on all channels of a head instead of a quarter.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

from proxy.architectures import Architecture

PresetName = Literal[
    "nano-0.3m",
    "nano-1m",
    "nano-4m",
    "nano-10m",
    "nano-30m",
    "gpt2-small",
    "pythia-70m",
    "pythia-160m",
    "pythia-410m",
    "pythia-1b",
]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)

NANO_VOCABULARY = 4096
GPT2_VOCABULARY = 50_257
PYTHIA_VOCABULARY = 50_304


def _shape(
    layers: int, width: int, heads: int, hidden: int, context: int, vocabulary: int, **more: Any
) -> Architecture:
    return Architecture(
        layers=layers,
        width=width,
        heads=heads,
        hidden=hidden,
        context_tokens=context,
        vocabulary=vocabulary,
        **more,
    )


def _pythia(layers: int, width: int, heads: int, hidden: int) -> Architecture:
    return _shape(layers, width, heads, hidden, 2048, PYTHIA_VOCABULARY, tied_embeddings=False, plain_embedding=True)


PRESETS: Mapping[PresetName, Architecture] = MappingProxyType(
    {
        "nano-0.3m": _shape(2, 64, 2, 176, 128, NANO_VOCABULARY),
        "nano-1m": _shape(2, 128, 4, 352, 128, NANO_VOCABULARY),
        "nano-4m": _shape(4, 256, 4, 688, 128, NANO_VOCABULARY),
        "nano-10m": _shape(6, 320, 5, 960, 256, NANO_VOCABULARY),
        "nano-30m": _shape(8, 512, 8, 1536, 512, NANO_VOCABULARY),
        "gpt2-small": _shape(12, 768, 12, 3072, 1024, GPT2_VOCABULARY, family="gpt2"),
        "pythia-70m": _pythia(6, 512, 8, 1344),
        "pythia-160m": _pythia(12, 768, 12, 2048),
        "pythia-410m": _pythia(24, 1024, 16, 2752),
        "pythia-1b": _pythia(16, 2048, 8, 5440),
    }
)
