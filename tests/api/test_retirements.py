"""Retiring a corpus over HTTP: what goes, what stays, and what is refused from then on."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.conftest import Service
from tests.api.service import EVALUATION, RECIPE, SUITE, pointers_of, problem_of
from tests.worker.engine.corpora import write_corpus
from worker.artifacts import documents_folder, documents_path, tokens_folder
from worker.reconciler import reconcile
from worker.settings import Settings
from worker.store.models import Corpus, utc_now
from worker.store.sessions import session_scope

REASON = "licence ended"


def retire(service: Service, corpus: str, reason: str = REASON) -> dict[str, Any]:
    answer = service.delete(f"/v1/corpora/{corpus}?{urlencode({'reason': reason})}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def corpus_named(service: Service, name: str) -> dict[str, Any]:
    rows = [row for row in service.get("/v1/corpora").json()["items"] if row["name"] == name]
    newest: dict[str, Any] = rows[-1]
    return newest


def files_of(settings: Settings, content: str) -> list[Path]:
    return [path for path in settings.artifact_dir.rglob("*") if content in str(path)]


def test_copies_go_and_results_stay_and_say_so(ranked: Service) -> None:
    before = ranked.get("/v1/leaderboard").json()
    row = corpus_named(ranked, "code")
    own = Path(row["uri"]).read_bytes()
    assert (tokens_folder(ranked.settings) / row["fingerprint"]).exists()
    found = retire(ranked, "code")
    assert [one["name"] for one in found["corpora"]] == ["code"]
    assert found["purged_files"] > 0
    assert row["uri"] in found["notes"][0]
    assert files_of(ranked.settings, row["fingerprint"]) == []
    assert Path(row["uri"]).read_bytes() == own

    after = ranked.get("/v1/leaderboard").json()
    assert after["entries"] == before["entries"]
    assert after["standing"] == before["standing"]
    even = ranked.get("/v1/recipes/even").json()
    ((recipe, [words]),) = after["retired"]["recipes"].items()
    assert recipe == even["id"]
    assert "corpus code@1 was retired on" in words
    assert words.endswith(f": {REASON}")
    assert even["retired"] == [words]
    assert ranked.get("/v1/recipes/only-web").json()["retired"] == []
    entry = next(entry for entry in after["entries"] if entry["recipe"]["id"] == even["id"])
    assert ranked.get(f"/v1/evaluations/{entry['evaluation']}").json()["retired"] == [words]
    assert words in ranked.get("/").text


def test_retired_twice_is_retired_once_and_finishes_what_was_broken_off(ranked: Service) -> None:
    first = retire(ranked, "code")["corpora"][0]
    left = documents_path(ranked.settings, first["fingerprint"])
    left.mkdir()
    (left / "key.npy").write_bytes(b"left by a kill")
    again = retire(ranked, "code", "another reason")
    assert (again["corpora"][0], again["purged_files"]) == (first, 1)
    assert not left.exists()


def test_the_reconciler_removes_what_is_made_again(ranked: Service) -> None:
    content = retire(ranked, "code")["corpora"][0]["fingerprint"]
    (tokens_folder(ranked.settings) / content).mkdir()
    reconcile(ranked.sessions, ranked.settings)
    assert files_of(ranked.settings, content) == []


def test_nothing_new_is_trained_on_a_retired_corpus(ranked: Service) -> None:
    retire(ranked, "code")
    assert ranked.post("/v1/evaluations", EVALUATION).status_code == 200
    reused = ranked.post("/v1/evaluations", {**EVALUATION, "seeds": 1, "recipe": RECIPE})
    assert (reused.status_code, reused.json()["state"]) == (202, "finished")
    for recipe in ("even", RECIPE):
        more = ranked.post("/v1/evaluations", {**EVALUATION, "recipe": recipe, "seeds": 3})
        assert (more.status_code, pointers_of(more)) == (422, ["/recipe/sources/1/corpus"])
        assert REASON in problem_of(more)["errors"][0]["detail"]
    other = {"name": "other", "sources": [{"corpus": "web", "weight": 2}, {"corpus": "code", "weight": 1}]}
    for path in ("/v1/recipes", "/v1/recipes:validate"):
        answer = ranked.post(path, other)
        assert (answer.status_code, pointers_of(answer)) == (422, ["/sources/1/corpus"])
    tokenised = ranked.post("/v1/corpora/code:tokenise", {"tokenizer": "bpe"})
    assert pointers_of(tokenised) == ["/corpus"]


def test_a_suite_with_a_retired_set_keeps_its_scores_and_takes_no_new_ones(ranked: Service) -> None:
    retire(ranked, "held")
    board = ranked.get("/v1/leaderboard").json()
    assert len(board["entries"]) == 2
    assert REASON in board["retired"]["suite"][0]
    assert ranked.post("/v1/evaluations", EVALUATION).status_code == 200
    more = ranked.post("/v1/evaluations", {**EVALUATION, "seeds": 3})
    assert (more.status_code, pointers_of(more)) == (422, ["/suite"])
    assert pointers_of(ranked.post("/v1/suites", {**SUITE, "name": "next"})) == ["/sets/0/corpus"]
    assert REASON in ranked.get("/").text


def test_what_is_queued_fails_with_the_reason_and_the_others_are_trained(ranked: Service) -> None:
    doomed = ranked.made("/v1/evaluations", {**EVALUATION, "seeds": 3})
    spared = ranked.made("/v1/evaluations", {**EVALUATION, "recipe": "only-web", "seeds": 3})
    tokenising = ranked.made("/v1/corpora/code:tokenise", {"tokenizer": "bpe"})
    found = retire(ranked, "code")
    assert (len(found["failed_runs"]), found["failed_jobs"]) == (1, [tokenising["id"]])
    failed = ranked.get(f"/v1/evaluations/{doomed['id']}").json()
    assert REASON in failed["error"]
    ranked.work()
    assert ranked.get(f"/v1/evaluations/{spared['id']}").json()["state"] == "finished"
    again = ranked.post("/v1/evaluations", {**EVALUATION, "seeds": 3})
    assert (again.status_code, pointers_of(again)) == (422, ["/recipe/sources/1/corpus"])


def test_a_run_that_was_submitted_meanwhile_fails_alone(ranked: Service) -> None:
    doomed = ranked.made("/v1/evaluations", {**EVALUATION, "seeds": 3})
    spared = ranked.made("/v1/evaluations", {**EVALUATION, "recipe": "only-web", "seeds": 3})
    with session_scope(ranked.sessions) as session:
        row = session.get_one(Corpus, corpus_named(ranked, "code")["id"])
        row.retired_at, row.retired_reason = utc_now(), REASON
    ranked.work()
    failed = ranked.get(f"/v1/evaluations/{doomed['id']}").json()
    assert failed["state"] != "running"
    assert REASON in failed["error"]
    assert ranked.get(f"/v1/evaluations/{spared['id']}").json()["state"] == "finished"


def test_all_registrations_of_the_content_go_and_it_is_not_registered_again(service: Service, tmp_path: Path) -> None:
    row = corpus_named(service, "web")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(Path(row["uri"]).read_bytes())
    mirror = service.made("/v1/corpora", {"name": "mirror", "uri": str(copy), "fields": ["page"]})
    service.work()
    found = retire(service, "mirror@1")
    assert [one["name"] for one in found["corpora"]] == ["web", "mirror"]

    same = service.post("/v1/corpora", {"name": "web", "uri": row["uri"], "fields": ["page"]})
    assert (same.status_code, pointers_of(same)) == (422, ["/uri"])
    other = service.made("/v1/corpora", {"name": "third", "uri": str(copy), "fields": ["page"]})
    service.work()
    third = service.get(f"/v1/corpora/{other['id']}").json()
    assert (third["state"], third["fingerprint"]) == ("failed", None)
    assert REASON in third["error"]
    assert files_of(service.settings, service.get(f"/v1/corpora/{mirror['id']}").json()["fingerprint"]) == []
    assert documents_folder(service.settings).exists()


def test_a_name_means_all_revisions_and_one_that_is_read_ends(service: Service, tmp_path: Path) -> None:
    path = write_corpus(tmp_path / "web.jsonl", 7, 7)
    waiting = service.made("/v1/corpora", {"name": "web", "uri": str(path), "fields": ["page"]})
    assert waiting["revision"] == 2
    found = retire(service, "web@1")
    assert [one["revision"] for one in found["corpora"]] == [1]
    found = retire(service, "web")
    assert sorted(one["revision"] for one in found["corpora"]) == [1, 2]
    assert found["failed_jobs"] == [waiting["job_id"]]
    assert service.work() == 0
    assert service.get(f"/v1/corpora/{waiting['id']}").json()["state"] == "failed"


@pytest.mark.parametrize(
    ("corpus", "query", "status"),
    [
        ("nowhere", {"reason": "x"}, 404),
        ("web@9", {"reason": "x"}, 404),
        ("web", {}, 422),
        ("web", {"reason": "  "}, 422),
        ("web", {"reason": "x" * 1001}, 422),
    ],
)
def test_a_retirement_names_what_is_wrong_and_changes_nothing(
    service: Service, corpus: str, query: dict[str, str], status: int
) -> None:
    answer = service.delete(f"/v1/corpora/{corpus}?{urlencode(query)}")
    problem = problem_of(answer)
    assert answer.status_code == status
    if status == 422:
        assert [error["pointer"] for error in problem["errors"]] == ["/reason"]
    row = corpus_named(service, "web")
    assert row["retired_at"] is None
    assert documents_path(service.settings, row["fingerprint"]).exists()


def test_a_retirement_asks_for_a_key(service: Service) -> None:
    assert service.http.delete("/v1/corpora/web?reason=x").status_code == 401
