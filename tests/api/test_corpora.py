"""Corpora over HTTP."""

from pathlib import Path

import pytest

from tests.api.service import CORPORA, Service, pointers_of, problem_of
from tests.worker.engine.corpora import write_corpus
from worker.queue import Bell


def test_a_corpus_is_accepted_counted_and_found_again(empty: Service, tmp_path: Path) -> None:
    body = {"name": "web", "uri": str(write_corpus(tmp_path / "web.jsonl", 5, 0)), "fields": ["page"]}
    answer = empty.post("/v1/corpora", body)
    row = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/corpora/{row['id']}")
    assert (row["state"], row["fingerprint"], row["revision"]) == ("queued", None, 1)
    assert empty.rung == [Bell.JOBS]
    assert empty.post("/v1/corpora", body).status_code == 200
    assert empty.rung == [Bell.JOBS]

    empty.work()
    counted = empty.get(answer.headers["location"]).json()
    assert (counted["state"], counted["documents"], counted["error"]) == ("finished", 5, None)
    job = empty.get(f"/v1/jobs/{counted['job_id']}").json()
    assert (job["kind"], job["state"], job["attempt"]) == ("register_corpus", "finished", 1)


def test_a_changed_file_is_the_next_revision(service: Service) -> None:
    (row,) = (row for row in service.get("/v1/corpora").json()["items"] if row["name"] == "web")
    other = write_corpus(Path(service.settings.data_dir) / "web.jsonl", 3, 9)
    answer = service.post("/v1/corpora", {"name": "web", "uri": str(other), "fields": ["page"]})
    assert (answer.status_code, answer.json()["revision"]) == (202, row["revision"] + 1)
    recipe = {"name": "r", "sources": [{"corpus": "web", "weight": 1}]}
    assert service.made("/v1/recipes", recipe)["corpora"] == {"web": row["fingerprint"]}
    pinned = service.post("/v1/recipes", {"name": "r", "sources": [{"corpus": "web@2", "weight": 1}]})
    assert (pinned.status_code, problem_of(pinned)["title"]) == (409, "Conflict")


def test_corpora_are_listed_in_order(service: Service) -> None:
    assert [row["name"] for row in service.get("/v1/corpora").json()["items"]] == list(CORPORA)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"uri": "/nowhere/web.jsonl"}, "/uri"),
        ({"uri": "/" + "x" * 5000}, "/uri"),
        ({"uri": ""}, "/uri"),
        ({"text_field": "body"}, "/text_field"),
        ({"colour": "red"}, "/colour"),
        ({"fields": "page"}, "/fields"),
    ],
)
def test_what_is_wrong_with_a_corpus_is_said_at_once(
    empty: Service, tmp_path: Path, change: dict[str, str], pointer: str
) -> None:
    body = {"name": "web", "uri": str(write_corpus(tmp_path / "web.jsonl", 5, 0))} | change
    answer = empty.post("/v1/corpora", body)
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
    assert empty.get("/v1/corpora").json()["items"] == []
    assert empty.rung == []
