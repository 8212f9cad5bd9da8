"""What a registration refuses at once: faults that a short look at the files finds."""

import gzip
import json
import random
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import parquet
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proxy.errors import FieldProblem, InvalidInputError
from worker import corpora
from worker.settings import Settings
from worker.store.models import Corpus, Job
from worker.store.sessions import Sessions, session_scope


def lines(documents: int, **wrong: object) -> bytes:
    """JSON lines that do not compress to nothing; `wrong` is the last one."""
    draw = random.Random(1)
    records: list[dict[str, object]] = [{"text": draw.randbytes(200).hex()} for _ in range(documents)]
    return "\n".join(json.dumps(record) for record in [*records, *([wrong] if wrong else [])]).encode()


def refusal(sessions: Sessions, uri: Path) -> FieldProblem:
    with session_scope(sessions) as session:
        with pytest.raises(InvalidInputError) as refused:
            corpora.register_corpus(session, "wrong", str(uri))
        assert count(session) == 0
    return refused.value.problems[0]


def count(session: Session) -> int:
    return sum(session.scalar(select(func.count()).select_from(model)) or 0 for model in (Corpus, Job))


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
def test_a_file_that_was_cut_off_is_refused_though_its_beginning_is_sound(
    sessions: Sessions, tmp_path: Path, suffix: str
) -> None:
    compress = zstandard.compress if suffix == ".zst" else gzip.compress
    whole = compress(lines(2000))
    path = tmp_path / f"cut.jsonl{suffix}"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    assert next(iter(corpora.read_documents(corpora.CorpusLocation(uri=str(path))))).text
    problem = refusal(sessions, path)
    assert (problem.pointer, str(problem.value).partition(":")[0]) == ("/uri", str(path))
    assert "truncated" in problem.message


def test_a_later_file_without_the_text_column_is_refused(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "LOOK_CHARACTERS", 1)
    (tmp_path / "a.jsonl").write_bytes(lines(10))
    parquet.write_table(pyarrow.table({"body": ["x"]}), tmp_path / "b.parquet")
    problem = refusal(sessions, tmp_path)
    assert (problem.pointer, problem.value) == ("/text_field", "text")
    assert "b.parquet has no such column; it has body" in problem.message


def test_a_fault_at_the_end_of_a_small_corpus_is_refused(sessions: Sessions, tmp_path: Path) -> None:
    path = tmp_path / "late.jsonl"
    path.write_bytes(lines(50, text=7))
    assert refusal(sessions, path).message == f"{path}:51 holds int there, not text"


def test_a_request_does_not_wait_for_a_large_corpus(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "LOOK_CHARACTERS", 1000)
    path = tmp_path / "large.jsonl"
    path.write_bytes(lines(50, text=7))
    with session_scope(sessions) as session:
        row, is_new = corpora.register_corpus(session, "large", str(path))
    assert is_new
    assert row.job_id is not None


def test_an_empty_file_beside_others_is_no_fault(sessions: Sessions, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.jsonl").touch()
    assert refusal(sessions, tmp_path / "texts").message == "holds no document"
    (tmp_path / "texts" / "b.jsonl").write_bytes(lines(3))
    with session_scope(sessions) as session:
        assert corpora.register_corpus(session, "both", str(tmp_path / "texts"))[1]


@pytest.mark.parametrize("uri", ["../secret.jsonl", "link.jsonl", "*.jsonl", "s3://bucket/a.jsonl"])
def test_a_corpus_outside_the_roots_is_refused_and_leaves_nothing(
    sessions: Sessions, settings: Settings, tmp_path: Path, uri: str
) -> None:
    inside = tmp_path / "corpora"
    inside.mkdir()
    (tmp_path / "secret.jsonl").write_bytes(lines(3))
    (inside / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    narrow = settings.model_copy(update={"corpus_roots": (str(inside),)})
    place = uri if "://" in uri else str(inside / uri)
    with session_scope(sessions) as session:
        with pytest.raises(InvalidInputError, match="lies outside of what may be read") as refused:
            corpora.register_corpus(session, "wrong", place, settings=narrow)
        assert count(session) == 0
    assert refused.value.problems[0].pointer == "/uri"


def test_unchanged_files_are_not_opened_again(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known.jsonl"
    path.write_bytes(lines(10))
    with session_scope(sessions) as session:
        corpora.register_corpus(session, "known", str(path))
    monkeypatch.setattr(corpora, "read_file", lambda *_: pytest.fail("a file was opened"))
    with session_scope(sessions) as session:
        assert not corpora.register_corpus(session, "known", str(path))[1]
