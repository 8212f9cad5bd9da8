"""What a child makes of sets and decontamination sets before it trains."""

import json
from pathlib import Path

import pytest

from proxy.data.corpora import CorpusLocation
from proxy.errors import InvalidInputError
from proxy.protocols import Decontamination
from proxy.suites import ValidationSet
from worker.cohorts.materials import set_name
from worker.cohorts.messages import CorpusSpec
from worker.cohorts.overlaps import decontamination_ngrams

CORPUS = CorpusSpec(uri="x", text_field="text", fields=(), fingerprint="f" * 32)
QUESTION = " ".join(f"word{number}" for number in range(20))


def name_of(cluster: str | None = None, prompt: str | None = None) -> str:
    return set_name(ValidationSet(name="any", corpus="c", cluster_field=cluster, prompt_field=prompt), CORPUS)


def test_sets_without_prompts_are_called_as_in_the_states_of_earlier_runs() -> None:
    assert (name_of(), name_of("page")) == ("f" * 32 + "/", "f" * 32 + "/page")


def test_no_two_sets_share_a_name() -> None:
    fields = [(cluster, prompt) for cluster in (None, "a", "a/b", '"a"') for prompt in (None, "a", "b", '"a"')]
    assert len({name_of(*pair) for pair in fields}) == len(fields)


def location(folder: Path, *records: object) -> CorpusLocation:
    path = folder / "qa.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return CorpusLocation(uri=str(path), text_field="answer", fields=("question",))


def test_decontamination_against_continuations_reaches_back_into_the_prompt(tmp_path: Path) -> None:
    place = location(tmp_path, {"question": QUESTION, "answer": " Paris it is"})
    plain = decontamination_ngrams(place, Decontamination(corpus="qa"))
    prompted = decontamination_ngrams(place, Decontamination(corpus="qa", prompt_field="question"))
    assert (len(plain.hashes), len(prompted.hashes)) == (0, 3)  # three words alone are too few to compare


@pytest.mark.parametrize("wrong", [None, 5, ["why?"]])
def test_a_document_of_a_decontamination_set_without_its_prompt_is_named(tmp_path: Path, wrong: object) -> None:
    place = location(tmp_path, {"question": "why?", "answer": " so"}, {"question": wrong, "answer": " so"})
    with pytest.raises(InvalidInputError, match=r"qa\.jsonl:2 holds") as refused:
        decontamination_ngrams(place, Decontamination(corpus="qa", prompt_field="question"))
    assert refused.value.problems[0].pointer == "/decontamination/prompt_field"
