"""Corpora over HTTP."""

from pathlib import Path

import pytest

from tests.api.service import CORPORA, Service, pointers_of, problem_of
from tests.worker.engine.corpora import write_corpus
from worker.artifacts import tokens_folder
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


def test_a_corpus_is_tokenised_ahead_once(service: Service) -> None:
    answer = service.post("/v1/corpora/web:tokenise", {"tokenizer": "bpe"})
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert service.post("/v1/corpora/web@1:tokenise", {"tokenizer": "bpe"}).json()["id"] == answer.json()["id"]
    assert service.rung == [Bell.JOBS]
    assert service.work() == 1
    job = service.get(answer.headers["location"]).json()
    assert (job["kind"], job["state"], job["error"]) == ("tokenise_corpus", "finished", None)
    (row,) = (row for row in service.get("/v1/corpora").json()["items"] if row["name"] == "web")
    assert job["result"]["documents"] == row["documents"]
    again = service.post("/v1/corpora/web:tokenise", {"tokenizer": "bpe"})
    assert (again.status_code, again.json()["id"]) == (200, job["id"])
    (manifest,) = tokens_folder(service.settings).rglob("manifest.json")
    manifest.unlink()
    assert service.post("/v1/corpora/web:tokenise", {"tokenizer": "bpe"}).status_code == 202


@pytest.mark.parametrize(
    ("corpus", "body", "pointer"),
    [
        ("none", {"tokenizer": "bpe"}, "/corpus"),
        ("web", {"tokenizer": "none"}, "/tokenizer"),
        ("web", {}, "/tokenizer"),
    ],
)
def test_what_cannot_be_tokenised_is_named(service: Service, corpus: str, body: dict[str, str], pointer: str) -> None:
    answer = service.post(f"/v1/corpora/{corpus}:tokenise", body)
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])


def test_a_corpus_that_changed_fails_its_tokenising_with_the_reason(service: Service, tmp_path: Path) -> None:
    service.made("/v1/corpora", {"name": "own", "uri": str(write_corpus(tmp_path / "own.jsonl", 5, 0))})
    service.work()
    write_corpus(tmp_path / "own.jsonl", 3, 9)
    answer = service.post("/v1/corpora/own:tokenise", {"tokenizer": "bpe"})
    service.work()
    job = service.get(answer.headers["location"]).json()
    assert job["state"] == "failed"
    assert "no longer holds what was registered" in job["error"]
