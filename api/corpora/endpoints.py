"""Registered sources of documents."""

from fastapi import APIRouter, Response

from api.corpora.schemas import CorpusIn, CorpusOut, TokeniseIn, show
from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.jobs.endpoints import JobOut
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from worker import corpora, tokenisings
from worker.parsing import validate
from worker.queue import Bell

router = APIRouter(prefix="/corpora", tags=["corpora"])


@router.post("", status_code=202, openapi_extra=takes(CorpusIn))
def register(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> CorpusOut:
    """Registers a corpus and queues the job that reads it; 200 if it is there with unchanged files."""
    asked = validate(CorpusIn, body)
    row, is_new = corpora.register_corpus(
        writing.session, asked.name, asked.uri, asked.text_field, asked.fields, settings
    )
    if is_new:
        writing.ring_after_commit(Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/corpora/{row.id}"
    return show(row)


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[CorpusOut]:
    """All revisions of all corpora, oldest first."""
    return paginate(corpora.list_corpora(session), cursor, limit, show)


@router.get("/{corpus_id}")
def show_one(corpus_id: str, session: Reading) -> CorpusOut:
    """One revision."""
    return show(corpora.get_corpus(session, corpus_id))


@router.post("/{corpus}:tokenise", status_code=202, openapi_extra=takes(TokeniseIn))
def tokenise(corpus: str, key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> JobOut:
    """Queues the job that makes the corpus's tokens; 200 if it waits, runs or has made them. Trainings that find no
    tokens make them too: this is for doing it ahead."""
    asked = validate(TokeniseIn, body)
    job, is_new = tokenisings.tokenise(writing.session, settings, corpus, asked.tokenizer)
    if is_new:
        writing.ring_after_commit(Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return JobOut.model_validate(job)
