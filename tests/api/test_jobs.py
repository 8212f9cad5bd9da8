"""Jobs over HTTP: their progress with that of their parts, and how they are cancelled."""

from pathlib import Path

import pytest

from tests.api.conftest import Service
from tests.api.service import problem_of
from tests.worker.engine.corpora import write_corpus
from worker.engine import work_until_idle
from worker.store.models import Job
from worker.store.sessions import read_scope, session_scope
from worker.store.states import State


@pytest.fixture
def planned(service: Service) -> tuple[Service, str]:
    """A tokenising whose spans wait for workers."""
    settings = service.settings.model_copy(update={"shard_bytes": 2_000})
    job = service.made("/v1/corpora/web:tokenise", {"tokenizer": "bpe"})
    told = iter((False, *[True] * 1000))
    work_until_idle(service.sessions, settings, is_told_to_stop=lambda: is_planned(service, job["id"]) and next(told))
    return service, job["id"]


def is_planned(service: Service, job_id: str) -> bool:
    with read_scope(service.sessions) as session:
        job = session.get_one(Job, job_id)
        return job.state == State.RUNNING and job.lease_owner is None


def parts_of(service: Service, job_id: str) -> list[Job]:
    with read_scope(service.sessions) as session:
        return session.query(Job).filter(Job.parent_id == job_id).all()


def test_a_job_in_parts_shows_their_progress_and_is_cancelled_with_them(planned: tuple[Service, str]) -> None:
    service, job_id = planned
    shown = service.get(f"/v1/jobs/{job_id}").json()
    assert (shown["state"], shown["progress"]["parts"]) == ("running", len(parts_of(service, job_id)))
    assert shown["progress"]["of_bytes"] > 0
    part = parts_of(service, job_id)[0].id
    refused = service.delete(f"/v1/jobs/{part}")
    assert (refused.status_code, job_id in problem_of(refused)["detail"]) == (409, True)

    cancelled = service.delete(f"/v1/jobs/{job_id}")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert {one.state for one in parts_of(service, job_id)} <= {State.CANCELLED, State.FINISHED}
    assert service.work() == 0
    assert service.delete(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"
    assert service.post("/v1/corpora/web:tokenise", {"tokenizer": "bpe"}).status_code == 202


def test_the_parts_of_a_retired_corpus_end_with_it(planned: tuple[Service, str]) -> None:
    service, job_id = planned
    service.delete("/v1/corpora/web?reason=gone")
    job = service.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], "gone" in job["error"]) == ("failed", True)
    assert all(one.state.is_final for one in parts_of(service, job_id))
    assert service.work() == 0


def test_a_cancelled_registration_can_be_asked_for_again(empty: Service, tmp_path: Path) -> None:
    body = {"name": "web", "uri": str(write_corpus(tmp_path / "web.jsonl", 5, 0))}
    first = empty.made("/v1/corpora", body)
    assert empty.delete(f"/v1/jobs/{first['job_id']}").json()["state"] == "cancelled"
    assert empty.get(f"/v1/corpora/{first['id']}").json()["state"] == "cancelled"
    assert empty.work() == 0
    second = empty.made("/v1/corpora", body)
    assert second["revision"] == 2
    empty.work()
    assert empty.get(f"/v1/corpora/{second['id']}").json()["state"] == "finished"


def test_a_finished_job_is_left_alone(service: Service) -> None:
    row = service.get("/v1/corpora").json()["items"][0]
    assert service.delete(f"/v1/jobs/{row['job_id']}").json()["state"] == "finished"
    assert service.get(f"/v1/corpora/{row['id']}").json()["state"] == "finished"


def test_a_scoring_is_cancelled_with_its_evaluation(service: Service) -> None:
    with session_scope(service.sessions) as session:
        job = Job(kind="score_run", payload={"run_id": "run", "suite_id": "suite"})
        session.add(job)
    refused = service.delete(f"/v1/jobs/{job.id}")
    assert (refused.status_code, "evaluation" in problem_of(refused)["detail"]) == (409, True)


def test_a_cancellation_needs_a_job_and_a_key(service: Service) -> None:
    assert service.delete("/v1/jobs/none").status_code == 404
    assert service.http.delete("/v1/jobs/none").status_code == 401
