"""Tokenizers: a team's own, or trained here."""

import json

from fastapi import APIRouter, Response

from api.dependencies import Body, Key, Reading, SettingsOf, Writing
from api.openapi import takes
from api.pagination import Cursor, Limit, Page, paginate
from api.tokenizers.schemas import TokenizerIn, TokenizerOut, show
from worker import tokenizers
from worker.parsing import validate
from worker.queue import Bell

router = APIRouter(prefix="/tokenizers", tags=["tokenizers"])


@router.post("", status_code=201, openapi_extra=takes(TokenizerIn))
def register(key: Key, body: Body, writing: Writing, settings: SettingsOf, response: Response) -> TokenizerOut:
    """Stores a tokenizer.json (201) or queues a training (202); 200 if it is there."""
    asked = validate(TokenizerIn, body)
    if asked.train is not None:
        train = asked.train
        row, is_new = tokenizers.train_tokenizer(
            writing.session, asked.name, train.vocabulary, train.corpora, train.sample_bytes
        )
        writing.ring_after_commit(Bell.JOBS)
    else:
        content = asked.tokenizer if isinstance(asked.tokenizer, str) else json.dumps(asked.tokenizer)
        row, is_new = tokenizers.register_tokenizer(writing.session, settings, asked.name, content)
    response.status_code = (202 if asked.train else 201) if is_new else 200
    response.headers["Location"] = f"/v1/tokenizers/{row.id}"
    return show(row)


@router.get("")
def show_all(session: Reading, limit: Limit = 100, cursor: Cursor = None) -> Page[TokenizerOut]:
    """All tokenizers, oldest first."""
    return paginate(tokenizers.list_tokenizers(session), cursor, limit, show)


@router.get("/{tokenizer_id}")
def show_one(tokenizer_id: str, session: Reading) -> TokenizerOut:
    """One tokenizer."""
    return show(tokenizers.get_tokenizer(session, tokenizer_id))
