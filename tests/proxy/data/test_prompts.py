"""Sets of continuations: what is tokenised, what is scored after what, and what counts as a leak."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.data.columns import FILE_SAFE
from proxy.data.corpora import Document
from proxy.data.decontamination import overlap_name
from proxy.data.documents import DocumentTable, TableBuilder
from proxy.data.leaks import find_overlap
from proxy.data.ngrams import progress_bounds
from proxy.data.prompts import overlap_text, require_prompts
from proxy.data.tokenizers import Tokenizer, train_tokenizer
from proxy.data.tokens import TokenStore
from proxy.data.validation import NOT_SCORED, ScoringWindows, ValidationTokens, load_validation, pack
from proxy.errors import InvalidInputError
from proxy.protocols import Decontamination
from proxy.suites import ValidationSet
from tests.proxy.data.material import END, few

SET = ValidationSet(name="qa", corpus="qa-held-out", prompt_field="question")
TOKENIZER = Tokenizer.from_json(train_tokenizer(["what is the capital of France ? it is Paris"] * 20, 300))
lengths = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5)


def of_tokens(*pairs: tuple[list[int], list[int]]) -> ValidationTokens:
    """A set of these prompts and continuations."""
    count = len(pairs)
    return ValidationTokens(
        name="qa",
        tokens=tuple(np.array(tokens, dtype=np.uint16) for _, tokens in pairs),
        text_bytes=np.full(count, 10, dtype=np.int64),
        clusters=np.arange(count, dtype=np.int64),
        keys=np.arange(count, dtype=np.uint64),
        prompts=tuple(np.array(prompt, dtype=np.uint16) for prompt, _ in pairs),
    )


def table_of(*documents: tuple[object, str]) -> DocumentTable:
    return builder_of(*documents).table()


def builder_of(*documents: tuple[object, str]) -> TableBuilder:
    builder = TableBuilder()
    for prompt, text in documents:
        builder.add(Document(text=text, fields={"question": prompt}))
    return builder


def load(*documents: tuple[object, str]) -> ValidationTokens:
    """The set as a run would load it, out of a store of the continuations' tokens."""
    builder = builder_of(*documents)
    texts = [documents[place][1] for place in np.argsort(builder.reading_order())]
    store = TokenStore.in_memory(builder.table(), TOKENIZER.encode_batch(texts))
    return load_validation(SET, store, 0, TOKENIZER)


def refusal(*documents: tuple[object, str], part: ValidationSet = SET) -> tuple[str, object, str]:
    with pytest.raises(InvalidInputError) as refused:
        require_prompts(part, table_of(*documents), "/sets/0")
    (problem,) = refused.value.problems
    return problem.pointer, problem.value, problem.message


def scored(windows: ScoringWindows, document: int) -> list[tuple[int, list[int]]]:
    """Each scored token of a document, and what stands before it in its window."""
    return [
        (int(targets[place]), inputs[: place + 1].tolist())
        for inputs, targets, index in zip(windows.inputs_WT, windows.targets_WT, windows.document_W, strict=True)
        for place in np.flatnonzero(targets != NOT_SCORED)
        if index == document
    ]


@few
@given(lengths, st.integers(1, 16))
def test_each_token_of_a_continuation_is_scored_once_and_none_of_its_prompt(
    pairs: list[tuple[int, int]], context: int
) -> None:
    made = [(list(range(1, 1 + prompt)), list(range(100, 100 + own))) for prompt, own in pairs]
    windows = pack(of_tokens(*made), context, END)
    for index, (prompt, own) in enumerate(made):
        whole = [END, *prompt, *own]
        found = scored(windows, index)
        assert [target for target, _ in found] == own
        for target, before in found:
            position = whole.index(target)
            assert before == whole[position - len(before) : position]
            assert len(before) >= min(position, context // 2)


@few
@given(st.integers(1, 40), st.integers(1, 8), st.integers(8, 16))
def test_a_prompt_is_cut_from_its_beginning_and_no_further_than_it_must_be(prompt: int, own: int, context: int) -> None:
    tokens = list(range(100, 100 + min(own, context // 2)))
    windows = pack(of_tokens((list(range(1, 1 + prompt)), tokens)), context, END)
    assert len(windows.document_W) == 1
    last, before = scored(windows, 0)[-1]
    assert last == tokens[-1]
    assert len(before) == min(context, prompt + len(tokens))  # the end of text and all but the last token, if they fit


def test_windows_by_hand() -> None:
    windows = pack(of_tokens(([1, 2], [7, 8]), ([1, 2, 3, 4, 5, 6], [7]), ([1, 2, 3], [5, 6, 7, 8, 9])), 4, END)
    columns = (windows.document_W, windows.inputs_WT, windows.targets_WT)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        (0, [END, 1, 2, 7], [-1, -1, 7, 8]),
        (1, [3, 4, 5, 6], [-1, -1, -1, 7]),
        (2, [1, 2, 3, 5], [-1, -1, 5, 6]),
        (2, [3, 5, 6, 7], [-1, -1, 7, 8]),
        (2, [6, 7, 8, END], [-1, -1, 9, -1]),
    ]


def test_the_two_are_tokenised_apart_and_bytes_are_the_continuations() -> None:
    made = load(("what is the capital of France ?", " it is Paris"), ("what is", " the capital é"))
    assert made.prompts is not None
    for index, tokens in enumerate(made.tokens):
        prompt, continuation = (TOKENIZER.decode(part.tolist()) for part in (made.prompts[index], tokens))
        assert made.text_bytes[index] == len(continuation.encode())
        assert (prompt, continuation) in {
            ("what is the capital of France ?", " it is Paris"),
            ("what is", " the capital é"),
        }


@few
@given(st.sampled_from(["what is the", "a?", "Paris!", "12", "é"]), st.sampled_from([" it", " Paris 3", "\n is", " ?"]))
def test_a_continuation_that_begins_with_white_space_has_the_tokens_of_the_joint_text(prompt: str, text: str) -> None:
    apart = [token for part in TOKENIZER.encode_batch([prompt, text]) for token in part.tolist()]
    assert apart == TOKENIZER.encode_batch([prompt + text])[0].tolist()


def test_documents_with_the_same_prompt_share_its_tokens() -> None:
    made = load(*(("what is it ?", f" {word}") for word in ("Paris", "France", "the")))
    assert made.prompts is not None
    assert len({id(prompt) for prompt in made.prompts}) == 1


@pytest.mark.parametrize("wrong", [None, "", 5, 0.5, True, ["what"], {"q": "what"}])
def test_a_document_without_a_prompt_is_named_with_what_it_has(wrong: Any) -> None:
    pointer, value, message = refusal(("what is", " it"), (wrong, " it"), ("the", " Paris"))
    assert (pointer, value) == ("/sets/0/prompt_field", "question")
    assert message.startswith("1 of 3 documents have no text in this field to continue")
    assert message.endswith(f"such as {wrong!r}")


def test_a_field_of_nothing_but_numbers_holds_no_prompts() -> None:
    assert refusal((1, " it"), (2, " it"))[2].startswith("2 of 2 documents")


def test_an_empty_continuation_is_refused() -> None:
    pointer, value, message = refusal(("what is", ""), ("the", " Paris"))
    assert (pointer, value) == ("/sets/0/corpus", "qa-held-out")
    assert message.startswith("1 of 2 documents have an empty text")


def test_a_field_the_corpus_lacks_is_named() -> None:
    pointer, value, message = refusal(("a", "b"), part=SET.model_copy(update={"prompt_field": "ask"}))
    assert (pointer, value) == ("/sets/0/prompt_field", "ask")
    assert message.endswith("it has question")


def test_the_first_bigram_of_a_continuation_begins_in_its_prompt() -> None:
    stream = np.array([END, 1, 2, 1, 2, 3, END], dtype=np.uint16)
    bounds = progress_bounds(stream, of_tokens(([4, 1], [2]), ([3], [1])), 5)
    trained = stream[:-1].tolist()
    unigram = {token: (count + 1) / (len(trained) + 5) for token, count in Counter(trained).items()}
    after_1 = (2 + unigram[2]) / (2 + 1)  # 2 follows 1 twice; one kind of follower
    after_3 = unigram[1]  # nothing was seen after 3
    assert bounds.unigram_nats == pytest.approx(-(math.log(unigram[2]) + math.log(unigram[1])) / 2)
    assert bounds.bigram_nats == pytest.approx(-(math.log(after_1) + math.log(after_3)) / 2)


def test_overlap_looks_at_n_grams_that_end_in_the_continuation() -> None:
    prompt = " ".join(f"p{number}" for number in range(20))
    assert overlap_text(f"{prompt} c0 c1", " c0 c1").split() == [*(f"p{n}" for n in range(8, 20)), "c0", "c1"]
    assert overlap_text(f"{prompt} c0", " c0", words=5).split() == ["p16", "p17", "p18", "p19", "c0"]
    assert overlap_text("who ? Paris", " Paris") == "who paris"
    assert overlap_text("multiplication table", "plication table", words=2) == "multiplication table"
    assert overlap_text("what ? !", " !") == ""


def test_columns_of_overlap_keep_the_names_they_had() -> None:
    plain = Decontamination(corpus="c" * 32)
    names = {
        overlap_name(plain.model_copy(update={"prompt_field": field})) for field in ("question", "ask/e", "é" * 99)
    }
    assert overlap_name(plain) == f"overlap-words-v1-13-{'c' * 32}"
    assert len(names) == 3
    assert all(FILE_SAFE.fullmatch(name) for name in names)


def test_a_short_continuation_that_is_a_document_elsewhere_leaks_only_with_its_prompt() -> None:
    long = " ".join(f"word{number}" for number in range(12))
    held_out = table_of(("is it ?", "yes"), ("go on", long))
    answers = table_of((None, "yes"), ("another", "Yes"))
    assert find_overlap(answers, held_out, has_prompts=True).count == 0
    assert find_overlap(answers, held_out).count == 1
    assert find_overlap(table_of(("is it ?", "yes")), held_out, has_prompts=True).count == 1
    assert find_overlap(table_of((None, long)), held_out, has_prompts=True).count == 1
