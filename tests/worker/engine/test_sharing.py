"""Two machines with a database and a shared store in common, and no disk: each takes what the other made."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from proxy.data.needs import statistic_column
from proxy.data.tokens import open_tokens
from proxy.errors import InvalidInputError, SharedStoreError
from tests.proxy.data.material import listed, stored
from tests.worker.engine.corpora import Laboratory, add_corpus, write_corpus
from tests.worker.engine.rows import protocol_spec
from tests.worker.engine.test_parts import after_jobs, job_of, parts_of
from worker.artifacts import documents_folder, documents_path, read_losses, stored_path, tokens_folder
from worker.cohorts.materials import Materials
from worker.cohorts.specs import build_cohort_spec
from worker.corpora import find_corpus, load_documents
from worker.engine import work_until_idle
from worker.exports import export_files
from worker.reconciler import reconcile
from worker.retirements import retire_corpus
from worker.settings import Settings
from worker.sharing import column_of, find_file, has_tokens, load_tokenizer, share_all, shared_store, tokens_of
from worker.store.models import Job, Recipe, Run, RunScore
from worker.store.sessions import Sessions, read_scope, session_scope
from worker.store.states import State
from worker.tokenisings import tokenise


@pytest.fixture
def here(settings: Settings, tmp_path: Path) -> Settings:
    """The machine where people ask."""
    (tmp_path / "mnt").mkdir()
    changes = {"shared_store": f"file://{tmp_path}/mnt", "shard_bytes": 3_500, "broker_url": "redis://127.0.0.1:1"}
    return settings.model_copy(update=changes)


@pytest.fixture
def there(here: Settings, tmp_path: Path) -> Settings:
    """A machine that works."""
    return here.model_copy(update={"data_dir": tmp_path / "there", "database_url": here.resolved_database_url})


@pytest.fixture
def laboratory(here: Settings, sessions: Sessions, tmp_path: Path) -> Laboratory:
    """Two corpora, one of several spans."""
    made = Laboratory(settings=here, sessions=sessions, folder=tmp_path)
    made.register(web=100, held=12)
    return made


def queue(laboratory: Laboratory, corpus: str = "web") -> str:
    with session_scope(laboratory.sessions) as session:
        return tokenise(session, laboratory.settings, corpus, "bpe")[0].id


def work(laboratory: Laboratory, machine: Settings, jobs: int | None = None) -> int:
    if jobs is None:
        return work_until_idle(laboratory.sessions, machine)
    return work_until_idle(laboratory.sessions, machine, is_told_to_stop=after_jobs(jobs))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_machines_tokenise_a_corpus_together_and_each_can_read_it(laboratory: Laboratory, there: Settings) -> None:
    here = laboratory.settings
    job_id = queue(laboratory)
    work(laboratory, here, jobs=1)  # the plan
    spans = len(parts_of(laboratory, job_id))
    assert spans > 2
    work(laboratory, there, jobs=spans // 2)
    assert len([name for name in names_in(tokens_folder(there)) if name.endswith(".tokens")]) == spans // 2
    work(laboratory, here, jobs=spans - spans // 2)
    work(laboratory, there)  # joins
    job = job_of(laboratory, job_id)
    assert (job.state, job.error, (job.result or {})["documents"]) == (State.FINISHED, None, 100)
    assert queue(laboratory) == job_id
    content = laboratory.fingerprints["web"]
    rows = []
    for machine in (here, there):
        found = tokens_of(machine, content, laboratory.tokenizer)
        assert found is not None
        rows.append([found.row(row).tolist() for row in range(len(found))])
        assert has_tokens(machine, content, laboratory.tokenizer)
    assert rows[0] == rows[1]


def test_a_span_of_a_job_that_was_cancelled_is_not_made_again_elsewhere(
    laboratory: Laboratory, there: Settings
) -> None:
    job_id = queue(laboratory)
    work(laboratory, there, jobs=3)
    spans = len(parts_of(laboratory, job_id))
    with session_scope(laboratory.sessions) as session:
        for job in session.scalars(select(Job).where(Job.state.not_in([State.FINISHED]))):
            job.state = State.CANCELLED
    made = [name for name in names_in(tokens_folder(there)) if name.endswith(".tokens")]
    assert len(made) == 2
    again = queue(laboratory)
    work(laboratory, laboratory.settings)
    assert job_of(laboratory, again).state is State.FINISHED
    made_here = [name for name in names_in(tokens_folder(laboratory.settings)) if name.endswith(".tokens")]
    assert len(made_here) == spans - 2
    assert not set(made_here) & set(made)


def test_a_machine_that_never_saw_the_text_trains_and_the_other_ranks(laboratory: Laboratory, there: Settings) -> None:
    here = laboratory.settings
    for corpus in ("web", "held"):
        queue(laboratory, corpus)
    work(laboratory, here)
    for name in ("web", "held"):
        (laboratory.folder / f"{name}.jsonl").unlink()
    run_id = submit(laboratory)
    work(laboratory, there)
    with read_scope(laboratory.sessions) as session:
        run = session.get_one(Run, run_id)
        assert (run.state, run.error, run.attempt) == (State.FINISHED, None, 1)
        score = session.scalars(select(RunScore)).one()
        assert not stored_path(here, score.artifact).exists()
        here_losses = read_losses(find_file(here, score.artifact))["held"]
        np.testing.assert_array_equal(here_losses.nats, read_losses(stored_path(there, score.artifact))["held"].nats)
        assert len(export_files(session, here, run_id)) > 2
        assert load_tokenizer(there, laboratory.tokenizer).fingerprint == laboratory.tokenizer


def submit(laboratory: Laboratory, filters: list[dict[str, object]] | None = None) -> str:
    with session_scope(laboratory.sessions) as session:
        protocol = laboratory.add_protocol(session, protocol_spec(steps=6))
        suite = laboratory.add_suite(session, "held")
        made = laboratory.add_evaluation(session, protocol, suite, {"web": 1.0})
        if filters is not None:
            (recipe,) = session.scalars(select(Recipe)).all()
            recipe.spec = {**recipe.spec, "sources": [{**recipe.spec["sources"][0], "filters": filters}]}
        return made.runs[0].id


MANY_WORDS: list[dict[str, object]] = [{"kind": "statistic", "statistic": "words", "minimum": 3}]


def test_the_columns_of_one_machine_are_read_on_the_other(laboratory: Laboratory, there: Settings) -> None:
    here, content = laboratory.settings, laboratory.fingerprints["web"]
    run_id = submit(laboratory, filters=MANY_WORDS)
    work(laboratory, there)
    with read_scope(laboratory.sessions) as session:
        run = session.get_one(Run, run_id)
        assert (run.state, run.error) == (State.FINISHED, None)
    name = statistic_column("words").name
    assert not (documents_folder(here) / content / "columns" / f"{name}.npy").exists()
    column = column_of(here, content, name)
    assert column is not None
    assert len(column) == 100
    assert (column > 3).all()
    assert column_of(here, content, "never-made-1") is None


def test_a_table_is_fetched_where_it_is_asked_for(laboratory: Laboratory, there: Settings) -> None:
    content = laboratory.fingerprints["web"]
    with read_scope(laboratory.sessions) as session:
        corpus = find_corpus(session, "web")
        here = load_documents(laboratory.settings, corpus)
        assert not documents_path(there, content).exists()
        np.testing.assert_array_equal(load_documents(there, corpus).key, here.key)


def test_what_is_retired_goes_from_the_store_and_from_every_machine(laboratory: Laboratory, there: Settings) -> None:
    here, content = laboratory.settings, laboratory.fingerprints["web"]
    queue(laboratory)
    work(laboratory, there)
    tokens = tokens_of(here, content, laboratory.tokenizer)
    assert tokens is not None
    shared = shared_store(here)
    assert shared is not None
    assert any(content in name for name in listed(shared))
    with session_scope(laboratory.sessions) as session:
        retirement = retire_corpus(session, here, "web", "licence ended")
    assert retirement.purged.files > 10
    assert [name for name in listed(shared) if content in name] == []
    assert any(laboratory.fingerprints["held"] in name for name in listed(shared))
    assert not (tokens_folder(here) / content).exists()
    assert (tokens_folder(there) / content).exists()
    lost = there.model_copy(update={"shared_store": "file:///nowhere/mounted"})
    assert reconcile(laboratory.sessions, lost).freed_runs == ()
    assert (tokens_folder(there) / content).exists()
    reconcile(laboratory.sessions, there)
    assert not (tokens_folder(there) / content).exists()
    assert not documents_path(there, content).exists()


def test_a_store_that_does_not_answer_keeps_a_corpus_from_being_retired(laboratory: Laboratory) -> None:
    lost = laboratory.settings.model_copy(update={"shared_store": "file:///nowhere/mounted"})
    with (
        pytest.raises(SharedStoreError, match="/nowhere/mounted cannot be used") as caught,
        session_scope(laboratory.sessions) as session,
    ):
        retire_corpus(session, lost, "web", "licence ended")
    assert caught.value.status == 503
    with read_scope(laboratory.sessions) as session:
        assert find_corpus(session, "web").retired_at is None
    assert documents_path(laboratory.settings, laboratory.fingerprints["web"]).exists()


def test_a_store_that_does_not_answer_is_tried_again_and_named(laboratory: Laboratory, there: Settings) -> None:
    shutil.rmtree(laboratory.folder / "mnt")
    job_id = queue(laboratory)
    work(laboratory, laboratory.settings)
    job = job_of(laboratory, job_id)
    assert (job.state, job.attempt) == (State.FAILED, laboratory.settings.max_attempts)
    assert f"the shared store file://{laboratory.folder}/mnt cannot be used" in str(job.error)
    run_id = submit(laboratory)
    work(laboratory, there)
    with read_scope(laboratory.sessions) as session:
        run = session.get_one(Run, run_id)
        assert (run.state, run.attempt) == (State.FAILED, there.max_attempts)
        assert str(run.error).startswith(f"the shared store file://{laboratory.folder}/mnt cannot be used")


def test_a_driver_that_is_not_installed_fails_a_job_at_once(laboratory: Laboratory) -> None:
    with session_scope(laboratory.sessions) as session:
        add_corpus(session, "late", write_corpus(laboratory.folder / "late.jsonl", 5, 3))
    bucket = laboratory.settings.model_copy(update={"shared_store": "s3://bucket/folder"})
    work(laboratory, bucket)
    with read_scope(laboratory.sessions) as session:
        failed = [one for one in session.scalars(select(Job)) if one.state is State.FAILED]
        assert [(one.attempt, "s3fs" in str(one.error)) for one in failed] == [(1, True)]


def test_a_shard_that_is_damaged_in_the_store_is_mended_by_who_needs_it(
    laboratory: Laboratory, there: Settings
) -> None:
    queue(laboratory)
    work(laboratory, laboratory.settings)
    shared = shared_store(there)
    assert shared is not None
    damaged = [name for name in listed(shared) if name.endswith(".tokens")]
    for name in damaged:
        stored(shared, name.rpartition("/")[0], name.rpartition("/")[2]).hurt("truncate")
    run_id = submit(laboratory)
    work(laboratory, there)
    with read_scope(laboratory.sessions) as session:
        run = session.get_one(Run, run_id)
        assert (run.state, run.error) == (State.FINISHED, None)


def test_what_a_service_made_before_it_had_a_store_can_be_shared(
    laboratory: Laboratory, here: Settings, there: Settings
) -> None:
    before = here.model_copy(update={"shared_store": ""})
    with pytest.raises(InvalidInputError, match="FORETASTE_SHARED_STORE"):
        share_all(before, print)
    shutil.rmtree(laboratory.folder / "mnt")
    (laboratory.folder / "mnt").mkdir()
    run_id = submit(laboratory, filters=MANY_WORDS)
    work(laboratory, before)
    shared = shared_store(here)
    assert shared is not None
    assert listed(shared) == []
    told: list[str] = []
    share_all(here, told.append)
    assert len(told) == len(set(told)) == 2 + 2 + 3
    published = listed(shared)
    share_all(here, told.append)
    assert listed(shared) == published
    with read_scope(laboratory.sessions) as session:
        run = session.get_one(Run, run_id)
        assert (run.state, run.error) == (State.FINISHED, None)
        assert len(export_files(session, there, run_id)) > 2
        score = session.scalars(select(RunScore)).one()
        assert find_file(there, score.artifact).exists()
    content = laboratory.fingerprints["web"]
    tokens = tokens_of(there, content, laboratory.tokenizer)
    assert tokens is not None
    assert len(tokens.documents) == 100
    assert column_of(there, content, statistic_column("words").name) is not None


def test_one_disk_for_all_is_as_it_was(settings: Settings, sessions: Sessions, tmp_path: Path) -> None:
    laboratory = Laboratory(settings=settings, sessions=sessions, folder=tmp_path)
    laboratory.register(web=20)
    assert shared_store(settings) is None
    queue(laboratory)
    work(laboratory, settings)
    content = laboratory.fingerprints["web"]
    assert open_tokens(tokens_folder(settings), content, laboratory.tokenizer) is not None
    assert has_tokens(settings, content, laboratory.tokenizer)
    assert tokens_of(settings, content, "another") is None


def test_what_is_read_for_a_plan_is_told(laboratory: Laboratory) -> None:
    run_id = submit(laboratory, filters=MANY_WORDS)
    with read_scope(laboratory.sessions) as session:
        spec = build_cohort_spec(session, [session.get_one(Run, run_id)], laboratory.settings)
    materials, heard = Materials(spec), list[dict[str, object]]()
    materials.tell = lambda **words: heard.append(words)
    materials.plan(spec.runs[0])
    text_bytes = int(materials.store(spec.runs[0].corpora["web"]).documents.text_bytes.sum())
    for activity in ("tokenising", "computing columns"):
        last = [words for words in heard if words["activity"] == activity][-1]
        assert last["corpus"] == str(laboratory.folder / "web.jsonl")
        assert (last["documents"], last["bytes"], last["of_bytes"]) == (100, text_bytes, text_bytes)
        assert {"megabytes_a_second", "seconds_left"} < last.keys()
    heard.clear()
    materials.plan(spec.runs[0])
    Materials(spec).plan(spec.runs[0])
    assert heard == []
