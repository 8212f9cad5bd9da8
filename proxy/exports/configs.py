"""config.json of an export: the `transformers` architecture that computes exactly what ours does.

| ours | theirs |
|---|---|
| llama | LlamaForCausalLM |
| llama with qk_norm | Qwen3ForCausalLM, which normalises each head's queries and keys before it turns them |
| gpt2 | GPT2LMHeadModel |

Dropout is zero everywhere: proxies are trained without.
"""

from typing import Any

from proxy.architectures import Architecture

Json = dict[str, Any]

LLAMA_NORM_EPSILON = 1e-6
GPT2_NORM_EPSILON = 1e-5
ROPE_BASE = 10_000.0


def model_config(architecture: Architecture, end_of_text: int) -> Json:
    """config.json; documents begin and end with `end_of_text`."""
    common: Json = {
        "dtype": "float32",
        "vocab_size": architecture.vocabulary,
        "tie_word_embeddings": is_tied(architecture),
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "use_cache": True,
    }
    return common | (_gpt2(architecture) if architecture.family == "gpt2" else _llama(architecture))


def is_tied(architecture: Architecture) -> bool:
    """Whether the exported embedding is the output layer. One that we normalise on its way in is exported normalised,
    so the output layer is written beside it."""
    enters_as_it_is = architecture.family == "gpt2" or architecture.plain_embedding
    return architecture.tied_embeddings and enters_as_it_is


def tokenizer_config(architecture: Architecture, end_of_text: str) -> Json:
    """tokenizer_config.json. A text that spells out a special token is text, as in training."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end_of_text,
        "eos_token": end_of_text,
        "model_max_length": architecture.context_tokens,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
    }


def generation_config(end_of_text: int) -> Json:
    """generation_config.json: sampling stops at the end of text."""
    return {"bos_token_id": end_of_text, "eos_token_id": end_of_text, "pad_token_id": end_of_text}


def _llama(a: Architecture) -> Json:
    return {
        "architectures": ["Qwen3ForCausalLM" if a.qk_norm else "LlamaForCausalLM"],
        "model_type": "qwen3" if a.qk_norm else "llama",
        "hidden_size": a.width,
        "intermediate_size": a.hidden,
        "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads,
        "num_key_value_heads": a.heads,
        "head_dim": a.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": a.context_tokens,
        "rms_norm_eps": LLAMA_NORM_EPSILON,
        "rope_theta": ROPE_BASE,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_BASE},
        "attention_bias": False,
        "attention_dropout": 0.0,
    }


def _gpt2(a: Architecture) -> Json:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": a.width,
        "n_inner": a.hidden,
        "n_layer": a.layers,
        "n_head": a.heads,
        "n_positions": a.context_tokens,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": GPT2_NORM_EPSILON,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    }
