"""A service in this process on real small corpora, its workers' work done when a test asks for it."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select

from tests.worker.engine.corpora import write_corpus
from worker.engine import work_until_idle
from worker.queue import Bell
from worker.settings import Settings
from worker.store.models import Leaderboard
from worker.store.sessions import Sessions, session_scope

CORPORA = {"web": 60, "code": 60, "held": 12}
RECIPE: dict[str, Any] = {
    "name": "even",
    "description": "Every corpus the same share",
    "sources": [{"corpus": "web", "weight": 1, "max_epochs": 50}, {"corpus": "code", "weight": 1, "max_epochs": 50}],
}
SUITE: dict[str, Any] = {"name": "held-out", "sets": [{"name": "held", "corpus": "held", "cluster_field": "page"}]}
PROTOCOL: dict[str, Any] = {
    "name": "tiny",
    "architecture": {"layers": 1, "width": 16, "heads": 1, "hidden": 16, "context_tokens": 16, "vocabulary": 300},
    "tokenizer": "bpe",
    "batch_sequences": 2,
    "steps": 4,
    "standard_rate": 0.01,
    "precision": "fp32",
}
EVALUATION: dict[str, Any] = {"recipe": "even", "protocol": "tiny", "suite": "held-out", "seeds": 2}
REFERENCE: dict[str, Any] = {
    "reference_set": "big",
    "recipe": "even",
    "metric": "bits_per_byte",
    "direction": "lower",
    "value": 0.9,
    "learning_rate": 1e-3,
    "parameters": 10**10,
    "tokens": 10**12,
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """`rung` are the bells that workers would have heard."""

    http: TestClient
    app: FastAPI
    settings: Settings
    sessions: Sessions
    key: str
    rung: list[Bell] = field(default_factory=list)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.http.get(path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> httpx2.Response:
        """With the key, and JSON unless told otherwise."""
        content: dict[str, Any] = {} if body is None else {"json": body}
        headers = {"X-API-Key": self.key, **options.pop("headers", {})}
        return self.http.post(path, headers=headers, **content, **options)

    def delete(self, path: str) -> httpx2.Response:
        return self.http.delete(path, headers={"X-API-Key": self.key})

    def made(self, path: str, body: object) -> dict[str, Any]:
        """What a post that must succeed answers."""
        answer = self.post(path, body)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def work(self) -> int:
        """Drains the queue with real children."""
        return work_until_idle(self.sessions, self.settings)


def register_corpora(service: Service, folder: Path) -> None:
    """Corpora and a tokenizer called bpe, by HTTP and by real jobs."""
    for seed, (name, documents) in enumerate(CORPORA.items()):
        path = write_corpus(folder / f"{name}.jsonl", documents, seed)
        service.made("/v1/corpora", {"name": name, "uri": str(path), "fields": ["page"]})
    service.work()
    train = {"vocabulary": 300, "corpora": ["web", "code"], "sample_bytes": 20_000}
    service.made("/v1/tokenizers", {"name": "bpe", "train": train})
    service.work()


def rank_two_recipes(service: Service) -> None:
    """Two recipes, trained with two seeds each, and so a leaderboard."""
    service.made("/v1/suites", SUITE)
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/recipes", RECIPE)
    service.made("/v1/recipes", {"name": "only-web", "sources": RECIPE["sources"][:1]})
    for recipe in ("even", "only-web"):
        service.made("/v1/evaluations", {**EVALUATION, "recipe": recipe})
    service.work()


def refuse_rankings(service: Service, reason: str) -> None:
    """Every snapshot says that its protocol is refused."""
    with session_scope(service.sessions) as session:
        for board in session.scalars(select(Leaderboard)):
            board.body = {**board.body, "refused": reason}


def problem_of(answer: httpx2.Response) -> dict[str, Any]:
    """The body of an answer that must be a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "errors"}
    assert problem["status"] == answer.status_code
    assert all(set(error) == {"pointer", "detail", "value"} for error in problem["errors"])
    return problem


def pointers_of(answer: httpx2.Response) -> list[str]:
    """Where the problem says that it lies."""
    return [error["pointer"] for error in problem_of(answer)["errors"]]


def wait_for(is_so: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
