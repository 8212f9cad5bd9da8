"""What each weight of a Hugging Face checkpoint is made of.

Our matrices are [out, in], queries, keys and values stacked, so are gate and up; the two halves of a head's channels
turn together, as theirs do. GPT-2's are [in, out] there. An embedding that is normalised on its way in is exported
normalised: its rows are what the first layer sees.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.architectures import Architecture
from proxy.exports.configs import LLAMA_NORM_EPSILON, is_tied

Float32Array = npt.NDArray[np.float32]
Read = Callable[[str], Float32Array]
Change = Callable[[Float32Array], Float32Array]


@dataclass(frozen=True, kw_only=True)
class ExportedTensor:
    """One weight: its name there, ours that it comes from, and what is done to it."""

    name: str
    shape: tuple[int, ...]
    source: str
    change: Change

    def load(self, read: Read) -> Float32Array:
        """The weight in memory, contiguous."""
        made = np.ascontiguousarray(self.change(read(self.source)), dtype=np.float32)
        assert made.shape == self.shape, (self.name, made.shape, self.shape)
        return made


def exported_tensors(architecture: Architecture) -> Iterator[ExportedTensor]:
    """All weights of the checkpoint."""
    return _gpt2(architecture) if architecture.family == "gpt2" else _llama(architecture)


def _as_it_is(weight: Float32Array) -> Float32Array:
    return weight


def _transposed(weight: Float32Array) -> Float32Array:
    return weight.T


def _rows(part: int, parts: int) -> Change:
    """One of several matrices of the same size that lie one below the other."""
    return lambda weight: np.split(weight, parts)[part]


def _normalised(weight: Float32Array) -> Float32Array:
    """RMSNorm without a gain, as the model normalises an embedding."""
    mean_square = np.square(weight).mean(axis=-1, keepdims=True, dtype=np.float32)
    normal: Float32Array = weight / np.sqrt(mean_square + np.float32(LLAMA_NORM_EPSILON))
    return normal


def _tensor(name: str, source: str, *shape: int, change: Change = _as_it_is) -> ExportedTensor:
    return ExportedTensor(name=name, shape=shape, source=source, change=change)


def _output_layer(a: Architecture) -> Iterator[ExportedTensor]:
    if not is_tied(a):
        source = "embedding" if a.tied_embeddings else "output"
        yield _tensor("lm_head.weight", source, a.vocabulary, a.width)


def _llama(a: Architecture) -> Iterator[ExportedTensor]:
    w, h = a.width, a.hidden
    change = _as_it_is if a.plain_embedding else _normalised
    yield _tensor("model.embed_tokens.weight", "embedding", a.vocabulary, w, change=change)
    for layer in range(a.layers):
        theirs, ours = f"model.layers.{layer}", f"blocks.{layer}"
        yield _tensor(f"{theirs}.input_layernorm.weight", f"{ours}.attention_norm", w)
        for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
            yield _tensor(f"{theirs}.self_attn.{name}.weight", f"{ours}.qkv", w, w, change=_rows(part, 3))
        if a.qk_norm:
            yield _tensor(f"{theirs}.self_attn.q_norm.weight", f"{ours}.query_norm", a.head_width)
            yield _tensor(f"{theirs}.self_attn.k_norm.weight", f"{ours}.key_norm", a.head_width)
        yield _tensor(f"{theirs}.self_attn.o_proj.weight", f"{ours}.attention_out", w, w)
        yield _tensor(f"{theirs}.post_attention_layernorm.weight", f"{ours}.mlp_norm", w)
        for part, name in enumerate(("gate_proj", "up_proj")):
            yield _tensor(f"{theirs}.mlp.{name}.weight", f"{ours}.gate_up", h, w, change=_rows(part, 2))
        yield _tensor(f"{theirs}.mlp.down_proj.weight", f"{ours}.down", w, h)
    yield _tensor("model.norm.weight", "final_norm", w)
    yield from _output_layer(a)


def _gpt2(a: Architecture) -> Iterator[ExportedTensor]:
    w, h = a.width, a.hidden
    yield _tensor("transformer.wte.weight", "embedding", a.vocabulary, w)
    yield _tensor("transformer.wpe.weight", "positions", a.context_tokens, w)
    for layer in range(a.layers):
        theirs, ours = f"transformer.h.{layer}", f"blocks.{layer}"
        yield from _gain_and_bias(f"{theirs}.ln_1", f"{ours}.attention_norm", w)
        yield from _matrix_and_bias(f"{theirs}.attn.c_attn", f"{ours}.qkv", w, 3 * w)
        yield from _matrix_and_bias(f"{theirs}.attn.c_proj", f"{ours}.attention_out", w, w)
        yield from _gain_and_bias(f"{theirs}.ln_2", f"{ours}.mlp_norm", w)
        yield from _matrix_and_bias(f"{theirs}.mlp.c_fc", f"{ours}.up", w, h)
        yield from _matrix_and_bias(f"{theirs}.mlp.c_proj", f"{ours}.down", h, w)
    yield from _gain_and_bias("transformer.ln_f", "final_norm", w)
    yield from _output_layer(a)


def _gain_and_bias(theirs: str, ours: str, width: int) -> Iterator[ExportedTensor]:
    yield _tensor(f"{theirs}.weight", ours, width)
    yield _tensor(f"{theirs}.bias", f"{ours}_bias", width)


def _matrix_and_bias(theirs: str, ours: str, inputs: int, outputs: int) -> Iterator[ExportedTensor]:
    yield _tensor(f"{theirs}.weight", ours, inputs, outputs, change=_transposed)
    yield _tensor(f"{theirs}.bias", f"{ours}_bias", outputs)
