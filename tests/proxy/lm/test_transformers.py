"""Our models against `transformers`' own with the same weights, mapped by hand, and whole exports loaded by it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from proxy.architectures import Architecture
from proxy.data.tokenizers import END_OF_TEXT, Tokenizer, train_tokenizer
from proxy.errors import ConflictError
from proxy.exports import checkpoint_files, tar_bytes, tar_chunks, write_folder
from proxy.lm.checkpoints import join_checkpoints, save_checkpoint
from proxy.lm.model import ProxyModel
from tests.proxy.lm.small import ARCHITECTURE
from tests.proxy.lm.test_options import OPTIONS, SHAPES, drawn, tokens

pytestmark = pytest.mark.filterwarnings("ignore")  # what `transformers` deprecates in its own code is not ours to mend
TOLERANCE = {"rtol": 0.0, "atol": 1e-4}
TEXTS = ["the cat sat on the mat", "the dog sat on the log", "naïve café 123"] * 20
TOKENIZER = train_tokenizer(TEXTS, 300)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")


def randomised(model: torch.nn.Module, seed: int = 3) -> torch.nn.Module:
    """Every weight moved, gains and biases too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


def logits_of(model: torch.nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(inputs).logits
    return found


def test_logits_equal_those_of_llama_with_the_same_weights() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    theirs = randomised(LlamaForCausalLM(LlamaConfig(vocab_size=300, max_position_embeddings=16, **shape)))
    weights = theirs.state_dict()
    ours = ProxyModel(Architecture(**ARCHITECTURE.model_dump() | {"tied_embeddings": False, "plain_embedding": True}))

    def our_weights() -> Iterator[tuple[str, Tensor]]:
        yield "embedding", weights["model.embed_tokens.weight"]
        yield "output", weights["lm_head.weight"]
        yield "final_norm", weights["model.norm.weight"]
        for layer in range(2):
            of = f"model.layers.{layer}"
            qkv = [weights[f"{of}.self_attn.{name}_proj.weight"] for name in "qkv"]
            yield f"blocks.{layer}.qkv", torch.cat(qkv)
            yield f"blocks.{layer}.attention_out", weights[f"{of}.self_attn.o_proj.weight"]
            gate_up = [weights[f"{of}.mlp.{name}_proj.weight"] for name in ("gate", "up")]
            yield f"blocks.{layer}.gate_up", torch.cat(gate_up)
            yield f"blocks.{layer}.down", weights[f"{of}.mlp.down_proj.weight"]
            yield f"blocks.{layer}.attention_norm", weights[f"{of}.input_layernorm.weight"]
            yield f"blocks.{layer}.mlp_norm", weights[f"{of}.post_attention_layernorm.weight"]

    ours.load_state_dict(dict(our_weights()))
    expected = logits_of(theirs, tokens())
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(tokens()), expected, **TOLERANCE)


def test_logits_equal_those_of_gpt2_with_the_same_weights() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_embd=32, n_inner=48, n_layer=2, n_head=2, vocab_size=300, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    theirs = randomised(GPT2LMHeadModel(config))
    weights = theirs.state_dict()
    ours = ProxyModel(Architecture(**ARCHITECTURE.model_dump() | {"family": "gpt2"}))
    pairs = {"qkv": "attn.c_attn", "attention_out": "attn.c_proj", "up": "mlp.c_fc", "down": "mlp.c_proj"}
    norms = {"attention_norm": "ln_1", "mlp_norm": "ln_2"}

    def our_weights() -> Iterator[tuple[str, Tensor]]:
        yield "embedding", weights["transformer.wte.weight"]
        yield "positions", weights["transformer.wpe.weight"]
        yield "final_norm", weights["transformer.ln_f.weight"]
        yield "final_norm_bias", weights["transformer.ln_f.bias"]
        for layer in range(2):
            for our, their in (pairs | norms).items():
                weight = weights[f"transformer.h.{layer}.{their}.weight"]
                yield f"blocks.{layer}.{our}", weight.T if our in pairs else weight
                yield f"blocks.{layer}.{our}_bias", weights[f"transformer.h.{layer}.{their}.bias"]

    ours.load_state_dict(dict(our_weights()))
    expected = logits_of(theirs, tokens())
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(tokens()), expected, **TOLERANCE)


def exported(architecture: Architecture, folder: Path, tokenizer: str = TOKENIZER) -> ProxyModel:
    """A drawn model, stored as a run stores it and exported to folder/hf."""
    model = drawn(architecture)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    earlier = {name: tensor + 1 for name, tensor in weights.items()}
    save_checkpoint(folder / "run.safetensors", join_checkpoints({5: earlier, 10: weights}))
    write_folder(checkpoint_files(architecture, folder / "run.safetensors", tokenizer), folder / "hf")
    return model


@pytest.mark.parametrize("architecture", SHAPES)
def test_an_export_loads_with_the_same_logits(architecture: Architecture, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    ours = exported(architecture, tmp_path)
    theirs, report = AutoModelForCausalLM.from_pretrained(tmp_path / "hf", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert theirs.dtype == torch.float32
    torch.testing.assert_close(logits_of(theirs.eval(), tokens()), ours(tokens()).detach(), **TOLERANCE)


def test_every_option_of_the_architecture_is_exported() -> None:
    later = {name for options in OPTIONS.values() for name in options}
    assert later == Architecture.later


def test_an_exported_tokenizer_gives_the_tokens_of_the_training(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    exported(ARCHITECTURE, tmp_path)
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path / "hf"), Tokenizer.from_json(TOKENIZER)
    texts = [*TEXTS[:3], " leading", f"spelt {END_OF_TEXT} out", "line\n\nline"]
    assert [theirs(text)["input_ids"] for text in texts] == [one.tolist() for one in ours.encode_batch(texts)]
    assert theirs.eos_token_id == ours.end_of_text
    assert theirs.model_max_length == ARCHITECTURE.context_tokens


def test_an_exported_model_generates(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    exported(ARCHITECTURE, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "hf")
    made = theirs.generate(tokens(rows=1)[:, :4], max_new_tokens=3, do_sample=False)
    assert made.shape[1] <= 7


def test_weights_of_another_architecture_are_not_exported(tmp_path: Path) -> None:
    exported(ARCHITECTURE, tmp_path)
    gpt2 = Architecture(**ARCHITECTURE.model_dump() | {"family": "gpt2"})
    with pytest.raises(ConflictError, match="positions"):
        checkpoint_files(gpt2, tmp_path / "run.safetensors", TOKENIZER)
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ConflictError, match="cannot be read"):
        checkpoint_files(ARCHITECTURE, tmp_path / "broken.safetensors", TOKENIZER)


def test_an_archive_is_as_long_as_it_says_and_holds_the_files(tmp_path: Path) -> None:
    import tarfile

    exported(ARCHITECTURE, tmp_path)
    files = checkpoint_files(ARCHITECTURE, tmp_path / "run.safetensors", TOKENIZER)
    archive = b"".join(tar_chunks(files))
    assert len(archive) == tar_bytes(files)
    (tmp_path / "export.tar").write_bytes(archive)
    with tarfile.open(tmp_path / "export.tar") as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    for file in files:
        content = (tmp_path / "unpacked" / file.name).read_bytes()
        assert content == (tmp_path / "hf" / file.name).read_bytes()
        assert len(content) == file.size_bytes
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["model_type"] == "llama"
