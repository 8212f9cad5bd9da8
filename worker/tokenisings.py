"""Tokenising ahead of a training: a durable job a (corpus, tokenizer), so that no run waits for it.

A training that finds no tokens makes them itself; a job that was broken off goes on from the shards that are there.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.corpora import find_text
from worker.jobs import JobKind
from worker.settings import Settings
from worker.sharing import has_tokens
from worker.store.models import Job
from worker.store.states import State
from worker.tokenizers import find_tokenizer


def tokenise(session: Session, settings: Settings, corpus: str, tokenizer: str) -> tuple[Job, bool]:
    """The job and True if it is new: one that waits, runs, or finished with tokens that are still there is the same.

    Both are names, fingerprints or ids. InvalidInputError at /corpus or /tokenizer, ConflictError for what is not
    usable yet.
    """
    payload = {
        "corpus": str(find_text(session, corpus, "/corpus").fingerprint),
        "tokenizer": str(find_tokenizer(session, tokenizer).fingerprint),
    }
    for job in _same(session, payload):
        if not job.state.is_final:
            return job, False
        if job.state == State.FINISHED and has_tokens(settings, payload["corpus"], payload["tokenizer"]):
            return job, False
    job = Job(kind=JobKind.TOKENISE_CORPUS, payload=payload)
    session.add(job)
    session.flush()
    return job, True


def _same(session: Session, payload: dict[str, str]) -> Sequence[Job]:
    """Newest first."""
    asked = (
        Job.kind == JobKind.TOKENISE_CORPUS,
        Job.payload["corpus"].as_string() == payload["corpus"],
        Job.payload["tokenizer"].as_string() == payload["tokenizer"],
    )
    return session.scalars(select(Job).where(*asked).order_by(Job.created_at.desc(), Job.id)).all()
