"""Keys, corpora, tokenizers, protocols, suites and recipes: registered once, found by what people call them."""

import json
import threading
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError, NotFoundError, UnauthorizedError
from proxy.suites import Suite
from tests.worker.cases.conftest import VOCABULARY, Bureau, recipe
from worker import corpora, keys, protocols, recipes, suites, tokenizers
from worker.parsing import parse_body
from worker.store.models import Corpus, Job, Recipe
from worker.store.sessions import session_scope
from worker.store.states import State


def test_a_key_opens_until_it_is_revoked(session: Session) -> None:
    row, plain = keys.create_key(session, "mine")
    assert keys.require_key(session, plain).id == row.id
    assert plain not in row.digest
    keys.revoke_key(session, row.id)
    for wrong in (plain, "guess", "", None):
        with pytest.raises(UnauthorizedError):
            keys.require_key(session, wrong)
    with pytest.raises(NotFoundError):
        keys.revoke_key(session, "key_none")
    assert row in keys.list_keys(session)


def test_the_first_key_is_written_once_for_its_owner_only(session: Session, tmp_path: Path) -> None:
    plain = keys.ensure_first_key(session, tmp_path / "new")
    assert plain is not None
    path = tmp_path / "new" / "api-key"
    assert path.read_text().strip() == plain
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys.ensure_first_key(session, tmp_path / "new") is None
    for row in keys.list_keys(session):
        keys.revoke_key(session, row.id)
    assert keys.ensure_first_key(session, tmp_path / "new") not in (plain, None)


def test_unchanged_files_are_the_same_revision(session: Session, bureau: Bureau) -> None:
    path = bureau.folder / "web.jsonl"
    row, is_new = corpora.register_corpus(session, "web", str(path), fields=("page",))
    assert (row.revision, is_new) == (1, False)


def test_changed_files_are_the_next_revision(session: Session, bureau: Bureau, tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    path.write_text('{"text": "one"}\n')
    first, _ = corpora.register_corpus(session, "new", str(path))
    path.write_text('{"text": "one and two"}\n')
    second, is_new = corpora.register_corpus(session, "new", str(path))
    assert (first.revision, second.revision, is_new) == (1, 2, True)


def test_wrong_corpora_leave_nothing(session: Session, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.zst"
    cut.write_bytes(zstandard.compress(json.dumps({"text": "x" * 50_000}).encode())[:20])
    plain = tmp_path / "plain.jsonl"
    plain.write_text('{"body": "x"}\n')
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    counts = [session.scalar(select(func.count()).select_from(model)) for model in (Corpus, Job)]
    for uri, pointer in ((cut, "/uri"), (plain, "/text_field"), (empty, "/uri"), (tmp_path / "none.jsonl", "/uri")):
        with pytest.raises(InvalidInputError) as refused:
            corpora.register_corpus(session, "wrong", str(uri))
        assert refused.value.problems[0].pointer == pointer
    assert [session.scalar(select(func.count()).select_from(model)) for model in (Corpus, Job)] == counts


def test_corpora_are_found_by_every_name(session: Session, bureau: Bureau) -> None:
    row = corpora.find_corpus(session, "web")
    assert row.fingerprint is not None
    assert [corpora.find_corpus(session, name).id for name in ("web@1", row.fingerprint, row.id)] == [row.id] * 3
    assert corpora.get_corpus(session, row.id) is row
    assert row in corpora.list_corpora(session)
    with pytest.raises(InvalidInputError, match="did you mean web"):
        corpora.find_corpus(session, "webb")
    with pytest.raises(InvalidInputError, match="known are"):
        corpora.find_corpus(session, "zzzzzz@9")
    with pytest.raises(NotFoundError):
        corpora.get_corpus(session, "cor_none")


def test_a_corpus_that_is_not_read_yet_cannot_be_used(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "waiting.jsonl"
    path.write_text('{"text": "one"}\n')
    row, _ = corpora.register_corpus(session, "waiting", str(path))
    with pytest.raises(ConflictError, match="queued"):
        corpora.find_corpus(session, "waiting")
    row.state, row.error = State.FAILED, "line 7 is not JSON"
    with pytest.raises(ConflictError, match="line 7"):
        corpora.find_corpus(session, "waiting")


def test_a_table_that_was_deleted_is_a_conflict(session: Session, bureau: Bureau, tmp_path: Path) -> None:
    elsewhere = bureau.settings.model_copy(update={"data_dir": tmp_path})
    with pytest.raises(ConflictError, match="register the corpus again"):
        corpora.load_documents(elsewhere, corpora.find_corpus(session, "web"))


def test_tokenizers_are_trained_once_and_found(session: Session, bureau: Bureau) -> None:
    row = tokenizers.find_tokenizer(session, "bpe")
    again, is_new = tokenizers.train_tokenizer(session, "bpe", VOCABULARY, ["web", "code"], 20_000)
    assert (again.id, is_new) == (row.id, False)
    other, is_new = tokenizers.train_tokenizer(session, "bpe", 301, ["web"], 20_000)
    assert is_new
    assert tokenizers.find_tokenizer(session, "bpe").id == row.id
    assert tokenizers.get_tokenizer(session, other.id) is other
    assert {row, other} <= set(tokenizers.list_tokenizers(session))
    for wrong, pointer in ((["wep"], "/train/corpora/0"), ([], "/train/corpora")):
        with pytest.raises(InvalidInputError) as refused:
            tokenizers.train_tokenizer(session, "bpe", 300, wrong, 20_000)
        assert refused.value.problems[0].pointer == pointer
    with pytest.raises(InvalidInputError):
        tokenizers.find_tokenizer(session, "none")
    with pytest.raises(NotFoundError):
        tokenizers.get_tokenizer(session, "tok_none")


def test_a_tokenizer_in_training_cannot_be_used(session: Session, bureau: Bureau) -> None:
    row, _ = tokenizers.train_tokenizer(session, "new", 300, ["web"], 20_000)
    row.error = "no text"
    with pytest.raises(ConflictError, match="no text"):
        tokenizers.find_tokenizer(session, "new")


def test_a_teams_own_tokenizer_is_stored(session: Session, bureau: Bureau) -> None:
    from worker.artifacts import tokenizer_path

    row = tokenizers.find_tokenizer(session, "bpe")
    content = tokenizer_path(bureau.settings, str(row.fingerprint)).read_text()
    mine, is_new = tokenizers.register_tokenizer(session, bureau.settings, "mine", content)
    again, is_new_again = tokenizers.register_tokenizer(session, bureau.settings, "mine", content)
    assert (is_new, is_new_again, again.id, mine.fingerprint) == (True, False, mine.id, row.fingerprint)
    with pytest.raises(InvalidInputError):
        tokenizers.register_tokenizer(session, bureau.settings, "mine", "{}")


def test_protocols_have_versions(session: Session, bureau: Bureau) -> None:
    first = protocols.find_protocol(session, "small")
    same, is_new = protocols.store_protocol(session, bureau.protocol())
    assert (same.id, is_new) == (first.id, False)
    second, _ = protocols.store_protocol(session, bureau.protocol(reduction=0.1))
    assert (second.version, second.cohort_key == first.cohort_key) == (2, True)
    assert second.learning_rate == pytest.approx(1e-3)
    assert protocols.find_protocol(session, "small").id == second.id
    assert protocols.find_protocol(session, "small@1").id == first.id
    assert protocols.get_protocol(session, second.fingerprint).id == second.id
    assert {first, second} <= set(protocols.list_protocols(session))
    with pytest.raises(NotFoundError):
        protocols.get_protocol(session, "small@3")


def test_a_protocol_must_fit_its_tokenizer_and_our_code(session: Session, bureau: Bureau) -> None:
    spec = bureau.protocol()
    larger = spec.architecture.model_copy(update={"vocabulary": 999})
    for change, pointer in (
        ({"architecture": larger}, "/architecture/vocabulary"),
        ({"tokenizer": "none"}, "/tokenizer"),
        ({"numerics_version": 99}, "/numerics_version"),
    ):
        with pytest.raises(InvalidInputError) as refused:
            protocols.store_protocol(session, spec.model_copy(update=change))
        assert refused.value.problems[0].pointer == pointer


def test_a_suite_names_content_not_names(session: Session, bureau: Bureau) -> None:
    stored = suites.find_suite(session, "suite")
    assert stored.spec["sets"][0]["corpus"] == corpora.find_corpus(session, "held").fingerprint
    part = {"name": "held", "corpus": "held@1", "cluster_field": "page"}
    same, is_new = suites.store_suite(session, Suite.model_validate({"name": "suite", "sets": [part]}))
    assert (same.id, is_new) == (stored.id, False)
    other, _ = suites.store_suite(session, Suite.model_validate({"name": "suite", "sets": [part | {"name": "h"}]}))
    assert (other.version, suites.find_suite(session, "suite@1").id) == (2, stored.id)
    assert suites.get_suite(session, other.id) in suites.list_suites(session)
    for change, pointer in (({"corpus": "none"}, "/sets/0/corpus"), ({"cluster_field": "x"}, "/sets/0/cluster_field")):
        with pytest.raises(InvalidInputError) as refused:
            suites.store_suite(session, Suite.model_validate({"name": "suite", "sets": [part | change]}))
        assert refused.value.problems[0].pointer == pointer
    with pytest.raises(InvalidInputError):
        suites.find_suite(session, "none")


def test_a_set_says_which_corpus_it_was_held_out_from(session: Session, bureau: Bureau) -> None:
    part = {"name": "held", "corpus": "held", "held_out_from": "web"}
    row, is_new = suites.store_suite(session, Suite.model_validate({"name": "suite", "sets": [part]}))
    assert (is_new, row.spec["sets"][0]["held_out_from"]) == (True, corpora.find_corpus(session, "web").fingerprint)
    with pytest.raises(InvalidInputError) as refused:
        suites.store_suite(
            session, Suite.model_validate({"name": "suite", "sets": [part | {"held_out_from": "nowhere"}]})
        )
    assert refused.value.problems[0].pointer == "/sets/0/held_out_from"


def test_recipes_are_their_content(session: Session, bureau: Bureau) -> None:
    first, is_new = recipes.store_recipe(session, recipes.parse_recipe(recipe("first", web=1, code=3)))
    second, is_new_again = recipes.store_recipe(session, recipes.parse_recipe(recipe("second", code=6, web=2)))
    assert (is_new, is_new_again, first.id) == (True, False, second.id)
    assert recipes.get_recipe(session, "first") in recipes.list_recipes(session)
    with pytest.raises(NotFoundError):
        recipes.get_recipe(session, "second")


def test_a_recipe_is_checked_without_being_stored(session: Session, bureau: Bureau) -> None:
    asked = recipes.parse_recipe(b"name: y\nsources: [{corpus: web, weight: 1, dedup: exact}]", "yaml")
    report = recipes.validate_recipe(session, bureau.settings, asked, "small", "suite")
    assert report["sources"][0]["kept_documents"] == 120
    assert (report["token_budget"], report["leaks"]) == (256, 0)
    assert session.scalars(select(Recipe).where(Recipe.name == "y")).first() is None
    assert "token_budget" not in recipes.validate_recipe(session, bureau.settings, asked)


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_named(body: bytes) -> None:
    with pytest.raises(InvalidInputError, match="no JSON"):
        parse_body(body, "json")


def test_two_that_register_at_once_get_one_row(bureau: Bureau) -> None:
    asked = recipes.parse_recipe(recipe("race", web=7, code=2))
    found: list[str] = []

    def register() -> None:
        with session_scope(bureau.sessions) as session:
            found.append(recipes.store_recipe(session, asked)[0].id)

    threads = [threading.Thread(target=register) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
