"""Tokenizers: deterministic, lossless, and a document cannot end itself."""

import json

import numpy as np
import pytest
from hypothesis import given

from proxy.data.tokenizers import END_OF_TEXT, Tokenizer, train_tokenizer
from proxy.errors import InvalidInputError
from tests.proxy.data.material import few, texts

PROSE = ["the cat sat on the mat", "the dog sat on the log"] * 20
TRAINED = train_tokenizer(PROSE, 300)


def test_training_is_deterministic_and_independent_of_the_order_of_texts() -> None:
    assert train_tokenizer(PROSE, 300) == TRAINED == train_tokenizer(iter(PROSE[::-1]), 300)


def test_a_trained_tokenizer_has_the_asked_vocabulary_and_merges_what_is_common() -> None:
    tokenizer = Tokenizer.from_json(TRAINED)
    assert 257 < tokenizer.vocabulary <= 300
    assert len(tokenizer.encode_batch(["the"])[0]) == 1
    assert tokenizer.dtype is np.uint16


@few
@given(texts)
def test_any_text_survives_the_round_trip(text: str) -> None:
    tokenizer = Tokenizer.from_json(TRAINED)
    (tokens,) = tokenizer.encode_batch([text])
    assert tokens.dtype == np.uint16
    assert tokenizer.decode(tokens.tolist()) == text


def test_a_document_that_spells_the_end_of_text_does_not_end() -> None:
    tokenizer = Tokenizer.from_json(TRAINED)
    (tokens,) = tokenizer.encode_batch([f"a{END_OF_TEXT}b"])
    assert tokenizer.end_of_text not in tokens
    assert tokenizer.decode(tokens.tolist()) == f"a{END_OF_TEXT}b"


def test_the_fingerprint_is_of_the_content_not_of_its_layout() -> None:
    relaid = json.dumps(json.loads(TRAINED), indent=3)
    other = train_tokenizer(PROSE, 265)
    assert Tokenizer.from_json(relaid).fingerprint == Tokenizer.from_json(TRAINED).fingerprint
    assert Tokenizer.from_json(other).fingerprint != Tokenizer.from_json(TRAINED).fingerprint


@pytest.mark.parametrize("name", ["</s>", "<|end_of_text|>", "[EOS]"])
def test_other_names_of_the_end_of_text_are_known(name: str) -> None:
    tokenizer = Tokenizer.from_json(TRAINED.replace(END_OF_TEXT, name))
    assert tokenizer.end_of_text == 0


def test_padding_and_truncation_of_a_foreign_tokenizer_are_switched_off() -> None:
    content = json.loads(TRAINED)
    content["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    content["padding"] = {
        "strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": END_OF_TEXT,
    }  # fmt: skip
    lengths = [len(tokens) for tokens in Tokenizer.from_json(json.dumps(content)).encode_batch(["xyz", ""])]
    assert lengths == [3, 0]


@pytest.mark.parametrize("content", ["", "{}", "no JSON", "[]", '{"model": {"type": "Magic"}}', '{"a": NaN}'])
def test_what_is_no_tokenizer_is_refused(content: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^/tokenizer: is no tokenizer\.json: "):
        Tokenizer.from_json(content)


def test_a_tokenizer_without_an_end_of_text_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="has no end-of-text token; known are"):
        Tokenizer.from_json(TRAINED.replace(END_OF_TEXT, "<pad>"))


def test_a_vocabulary_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"^/vocabulary: needs at least 257 \(got 256\)"):
        train_tokenizer(PROSE, 256)


def published() -> str:
    """A file as GPT-2's is: byte-level BPE without special tokens in its model, the end of text added behind it, an
    offset-trimming post-processor, and a second added token."""
    content = json.loads(TRAINED)
    model = content["model"]
    del model["vocab"][END_OF_TEXT]
    model["vocab"] = {piece: index for index, piece in enumerate(sorted(model["vocab"], key=model["vocab"].get))}
    size = len(model["vocab"])
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content["added_tokens"] = [
        {"id": size, "content": "<|padding|>", **added},
        {"id": size + 1, "content": END_OF_TEXT, **added},
    ]
    content["post_processor"] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": False,
        "use_regex": True,
    }
    return json.dumps(content)


def test_a_published_file_with_added_tokens_loads_with_all_its_ids() -> None:
    tokenizer = Tokenizer.from_json(published())
    size = len(json.loads(published())["model"]["vocab"])
    assert (tokenizer.end_of_text, tokenizer.vocabulary) == (size + 1, size + 2)
    assert tokenizer.end_of_text_name == END_OF_TEXT
    texts = ["the cat sat", f"spelt {END_OF_TEXT} out", "<|padding|>", " ünïcode \n"]
    tokens = tokenizer.encode_batch(texts)
    assert tokenizer.decode_batch(tokens) == texts
    assert all(token.max() < size for token in tokens)
