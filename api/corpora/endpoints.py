"""Registered sources of documents."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.corpora.schemas import CorpusIn, CorpusOut, RetirementOut, TokeniseIn, TokensIn, show, show_retirement
from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.jobs.endpoints import JobOut
from api.jobs.endpoints import show as show_job
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from worker import corpora, retirements, token_imports, tokenisings
from worker.lookup import or_not_found
from worker.parsing import validate
from worker.queue import Bell

router = APIRouter(tags=["corpora"])


@router.post("/corpora", status_code=202, openapi_extra=takes(CorpusIn))
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


@router.post("/corpora:import-tokens", status_code=202, openapi_extra=takes(TokensIn))
def import_tokens(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> CorpusOut:
    """Registers tokens of another tool as a corpus and queues the job that copies them; 200 if it is there with
    unchanged files. `lost` says what such a corpus cannot do: no text, so no filters, scores or overlap by text."""
    asked = validate(TokensIn, body)
    files = token_imports.TokenFiles(
        tokens=asked.tokens, offsets=asked.offsets, dtype=asked.dtype, text_bytes=asked.text_bytes
    )
    row, is_new = token_imports.import_corpus(writing.session, settings, asked.name, files, asked.tokenizer)
    if is_new:
        writing.ring_after_commit(Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/corpora/{row.id}"
    return show(row)


@router.get("/corpora")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[CorpusOut]:
    """All revisions of all corpora, oldest first."""
    return paginate(corpora.list_corpora(session), cursor, limit, show)


@router.get("/corpora/{corpus_id}")
def show_one(corpus_id: str, session: Reading) -> CorpusOut:
    """One revision."""
    return show(corpora.get_corpus(session, corpus_id))


@router.delete("/corpora/{corpus}")
def retire(
    key: Key,
    corpus: str,
    writing: Writing,
    settings: SettingsOf,
    reason: Annotated[str, Query(description="licence, takedown notice, …: shown with every result it is part of")],
) -> RetirementOut:
    """Retires a corpus (a name: all its revisions; name@revision, fingerprint or id: that one) and every registration
    of the same documents: copies, tables, columns and tokens are purged, results stay and say so. Your own files are
    not touched. Sent again it finishes what was broken off."""
    or_not_found(lambda: corpora.find_revisions(writing.session, corpus))
    return show_retirement(retirements.retire_corpus(writing.session, settings, corpus, reason))


@router.post("/corpora/{corpus}:tokenise", status_code=202, openapi_extra=takes(TokeniseIn))
def tokenise(corpus: str, key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> JobOut:
    """Queues the job that makes the corpus's tokens; 200 if it waits, runs or has made them. Trainings that find no
    tokens make them too: this is for doing it ahead."""
    asked = validate(TokeniseIn, body)
    job, is_new = tokenisings.tokenise(writing.session, settings, corpus, asked.tokenizer)
    if is_new:
        writing.ring_after_commit(Bell.JOBS)
    response.status_code = 202 if is_new else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return show_job(writing.session, job)
