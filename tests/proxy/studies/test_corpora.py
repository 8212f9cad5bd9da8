"""Corpora that a study makes of files."""

import json
from pathlib import Path

import pytest

from proxy.errors import InvalidInputError
from proxy.studies import Beginnings, CorpusMaking, PlantedNearDuplicates
from proxy.studies.corpora import make_corpus

TEXTS = [
    f"document {index} says " + " ".join(f"word{index * place % 97}" for place in range(60)) for index in range(200)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, texts in (("a", TEXTS[:100]), ("b", TEXTS[100:])):
        lines = [json.dumps({"text": text, "source": f"{name}-{place // 2}"}) for place, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def made(making: CorpusMaking, folder: Path) -> list[dict[str, str]]:
    path = make_corpus(making, folder, folder / "made")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_file_as_it_is_is_not_copied(folder: Path) -> None:
    path = make_corpus(CorpusMaking(name="a", files=("a.jsonl",)), folder, folder / "made")
    assert path == (folder / "a.jsonl").resolve()
    assert not (folder / "made").exists()


def test_a_share_is_chosen_by_content_wherever_a_document_stands(folder: Path) -> None:
    both = made(CorpusMaking(name="half", files=("a.jsonl", "b.jsonl"), share=0.5), folder)
    second = made(CorpusMaking(name="half", files=("b.jsonl",), share=0.5), folder)
    assert 70 <= len(both) <= 130
    assert [document for document in both if document["source"].startswith("b")] == second


def test_beginnings_end_once_there_is_enough(folder: Path) -> None:
    wanted = Beginnings(document_characters=100, characters=1000)
    found = made(CorpusMaking(name="short", files=("a.jsonl",), beginnings=wanted), folder)
    assert [document["text"] for document in found] == [text[:100] for text in TEXTS[:10]]
    assert found[3]["source"] == "a-1"


def test_planted_copies_stand_beside_their_originals(folder: Path) -> None:
    planted = PlantedNearDuplicates(originals=0.2, copies=10, exact=0.5, changed_words=0.2)
    texts = [d["text"] for d in made(CorpusMaking(name="p", files=("a.jsonl",), near_duplicates=planted), folder)]
    own = set(TEXTS[:100])
    copies = len(texts) - 100
    assert set(texts) > own
    assert copies % 10 == 0
    assert 50 <= copies <= 400
    inexact = [text for text in texts if text not in own]
    assert 0.3 < len(inexact) / copies < 0.7
    for text in inexact:
        words = text.split(" ")
        near = max(sum(a == b for a, b in zip(words, other.split(" "), strict=True)) for other in own)
        assert 0.5 * len(words) < near < len(words)


def test_the_same_corpus_is_made_once_and_another_seed_makes_another(folder: Path) -> None:
    planted = PlantedNearDuplicates(originals=0.2, copies=3)
    making = CorpusMaking(name="p", files=("a.jsonl",), near_duplicates=planted)
    path = make_corpus(making, folder, folder / "made")
    before = path.stat().st_mtime_ns
    assert make_corpus(making, folder, folder / "made") == path
    assert path.stat().st_mtime_ns == before
    other = making.model_copy(update={"near_duplicates": planted.model_copy(update={"seed": 1})})
    changed = make_corpus(other, folder, folder / "made")
    assert changed.read_text() != path.read_text()


def test_a_file_that_is_not_there_is_named_and_nothing_is_written(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"corpus p: files/1.*nowhere\.jsonl"):
        make_corpus(CorpusMaking(name="p", files=("a.jsonl", "nowhere.jsonl")), folder, folder / "made")
    assert not (folder / "made").exists()


def test_a_file_that_is_broken_leaves_no_half_corpus(folder: Path) -> None:
    (folder / "c.jsonl").write_text('{"text": "good"}\nnot json\n')
    with pytest.raises(InvalidInputError, match=r"c\.jsonl:2"):
        make_corpus(CorpusMaking(name="p", files=("a.jsonl", "c.jsonl")), folder, folder / "made")
    assert list((folder / "made").iterdir()) == []
