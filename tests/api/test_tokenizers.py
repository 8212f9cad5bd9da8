"""Tokenizers over HTTP."""

import json

import pytest

from proxy.data.tokenizers import train_tokenizer
from tests.api.service import Service, pointers_of
from worker.queue import Bell

OWN = train_tokenizer(["one small text"] * 5, 270)


@pytest.mark.parametrize("tokenizer", [OWN, json.loads(OWN)])
def test_a_teams_own_tokenizer_is_usable_at_once(empty: Service, tokenizer: object) -> None:
    answer = empty.post("/v1/tokenizers", {"name": "own", "tokenizer": tokenizer})
    row = answer.json()
    assert (answer.status_code, row["state"]) == (201, "finished")
    assert row["fingerprint"]
    assert empty.post("/v1/tokenizers", {"name": "own", "tokenizer": OWN}).status_code == 200
    assert empty.get(answer.headers["location"]).json() == row
    assert empty.get("/v1/tokenizers").json()["items"] == [row]


def test_a_training_is_queued_once(service: Service) -> None:
    body = {"name": "small", "train": {"vocabulary": 280, "corpora": ["web"], "sample_bytes": 5000}}
    answers = [service.post("/v1/tokenizers", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert answers[0].json() == answers[1].json()
    assert set(service.rung) == {Bell.JOBS}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"tokenizer": "{}", "train": {"vocabulary": 300, "corpora": ["web"]}}, ""),
        ({"tokenizer": "{}"}, "/tokenizer"),
        ({"train": {"vocabulary": 10, "corpora": ["web"]}}, "/train/vocabulary"),
        ({"train": {"vocabulary": 300, "corpora": []}}, "/train/corpora"),
        ({"train": {"vocabulary": 300, "corpora": ["web", "none"]}}, "/train/corpora/1"),
    ],
)
def test_a_tokenizer_that_cannot_be_is_refused(service: Service, body: dict[str, object], pointer: str) -> None:
    answer = service.post("/v1/tokenizers", {"name": "t", **body})
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
