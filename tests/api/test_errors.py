"""Every error is a problem+json that names field and value, and nothing half-written stays behind."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DataError
from starlette.types import Message, Receive, Scope, Send

from api.dependencies import LARGEST_BODY_BYTES, Writing
from api.main import create_app
from tests.api.conftest import serving
from tests.api.service import PROTOCOL, RECIPE, REFERENCE, SUITE, Service, pointers_of, problem_of
from worker.queue import Bell
from worker.settings import Settings
from worker.store import sessions as stored_sessions
from worker.store.models import EvaluationRun, Recipe
from worker.store.sessions import read_scope

WEB = {"corpus": "web", "weight": 1}


def recipe(**changes: Any) -> dict[str, Any]:
    return {"name": "mix", "sources": [WEB], **changes}


@pytest.mark.parametrize(
    ("body", "pointer", "value"),
    [
        (recipe(sources=[WEB, {"corpus": "wbe", "weight": 1}]), "/sources/1/corpus", "wbe"),
        (recipe(sources=[{"corpus": "web", "weight": -1}]), "/sources/0/weight", -1),
        (recipe(sources=[{"corpus": "web", "weight": float("nan")}]), "/sources/0/weight", "NaN"),
        (recipe(sources=[{"corpus": "web", "weight": float("-inf")}]), "/sources/0/weight", "-inf"),
        (recipe(sources=[{"corpus": "web", "weight": 1e308}] * 2), "/sources/0/weight", 1e308),
        (recipe(sources=[WEB | {"wieght": 2}]), "/sources/0/wieght", 2),
        (recipe(sources=[]), "/sources", []),
        (recipe(sources=[WEB | {"filters": [{"kind": "width"}]}]), "/sources/0/filters/0/kind", "width"),
        (recipe(**{"a/b~c": 1}), "/a~1b~0c", 1),
        (recipe(name="no spaces"), "/name", "no spaces"),
        ({"sources": [WEB]}, "/name", {"sources": [WEB]}),
    ],
)
def test_a_wrong_recipe_is_named_by_field_and_value(
    service: Service, body: dict[str, Any], pointer: str, value: object
) -> None:
    answer = service.post("/v1/recipes", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert (pointer, value) in [(error["pointer"], error["value"]) for error in problem_of(answer)["errors"]]
    assert service.get("/v1/recipes").json()["items"] == []


def test_weights_that_are_all_zero_are_shown(service: Service) -> None:
    answer = service.post("/v1/recipes", recipe(sources=[{"corpus": "web", "weight": 0}]))
    assert answer.status_code == 422
    assert "weights are all zero (got [0.0])" in problem_of(answer)["detail"]


def test_a_misspelt_corpus_brings_the_nearest_name(service: Service) -> None:
    assert (
        "did you mean web?"
        in problem_of(service.post("/v1/recipes", recipe(sources=[WEB | {"corpus": "wbe"}])))["detail"]
    )


@pytest.mark.parametrize(
    ("content", "media_type", "word"),
    [
        (b"", "application/json", "no JSON"),
        (b"name=mix", "application/json", "no JSON"),
        (b"\xff\xfe", "application/json", "no JSON"),
        (b"[" * 100_000, "application/json", "no JSON"),
        (b"1" * 5000, "application/json", "no JSON"),
        (b"name: [", "application/yaml", "no YAML"),
        (b"name: !!int ''", "application/yaml", "no YAML"),
        (b"name: !!bool maybe", "application/yaml", "no YAML"),
        (b"name: !!timestamp soon", "application/yaml", "no YAML"),
        (b"name: !!python/object/apply:os.getcwd []", "application/yaml", "no YAML"),
        (b"[" * 80 + b"]" * 80, "application/json", "nested more than 64 deep"),
        (b"&a [*a]", "application/yaml", "nested more than 64 deep"),
        (b"day: 2026-01-01", "application/yaml", "is a date"),
        (b"1: one", "application/yaml", "keys must be strings"),
        (b'{"name": "\\ud800"}', "application/json", "half a surrogate pair"),
        (b'{"na\\u0000me": 1}', "application/json", "NUL"),
        (b'{"name": 99999999999999999999}', "application/json", "larger than 64 bits"),
    ],
)
def test_a_body_that_cannot_be_read_is_malformed(empty: Service, content: bytes, media_type: str, word: str) -> None:
    answer = empty.post("/v1/recipes", content=content, headers={"Content-Type": media_type})
    assert (answer.status_code, problem_of(answer)["title"]) == (400, "Malformed body")
    assert word in problem_of(answer)["detail"]


def test_yaml_aliases_that_stand_for_billions_of_values_are_refused(empty: Service) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.bodies.MOST_VALUES", 10_000)
        answer = empty.post(
            "/v1/recipes", content="\n".join(lines).encode(), headers={"Content-Type": "application/yaml"}
        )
    assert answer.status_code == 400
    assert "once aliases are written out" in problem_of(answer)["detail"]


def test_another_content_type_is_not_read(empty: Service) -> None:
    answer = empty.post("/v1/recipes", content=b"<recipe/>", headers={"Content-Type": "text/xml; charset=utf-8"})
    assert (answer.status_code, problem_of(answer)["title"]) == (415, "Unsupported media type")
    assert "'text/xml'" in problem_of(answer)["detail"]


def exchange(service: Service, headers: dict[str, str], chunks: Iterator[bytes]) -> tuple[int, int]:
    """Posts a body without a client; the status and how many chunks were asked for."""
    asked, answers = 0, []

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": next(chunks), "more_body": True}

    async def send(message: Message) -> None:
        answers.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/recipes", "raw_path": b"/v1/recipes", "query_string": b"", "root_path": "", "headers": raw,
        "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    asyncio.run(service.app(scope, receive, send))
    return answers[0]["status"], asked


def endless() -> Iterator[bytes]:
    while True:
        yield b" " * 1_000_000


def test_a_body_that_says_it_is_too_large_is_not_read_at_all(empty: Service) -> None:
    headers = {"x-api-key": empty.key, "content-length": str(LARGEST_BODY_BYTES + 1)}
    assert exchange(empty, headers, endless()) == (413, 0)


def test_a_body_that_does_not_say_its_size_is_read_to_the_limit_only(empty: Service) -> None:
    status, asked = exchange(empty, {"x-api-key": empty.key, "transfer-encoding": "chunked"}, endless())
    assert (status, asked) == (413, LARGEST_BODY_BYTES // 1_000_000 + 1)


def test_yaml_has_a_smaller_limit_because_it_is_slow_to_read(empty: Service) -> None:
    status, asked = exchange(empty, {"x-api-key": empty.key, "content-type": "text/yaml"}, endless())
    assert (status, asked) == (413, 1)


def test_without_a_key_the_body_is_not_read(empty: Service) -> None:
    assert exchange(empty, {}, endless()) == (401, 0)


def test_the_answer_to_a_large_body_is_a_problem(empty: Service) -> None:
    answer = empty.post("/v1/recipes", content=b" " * (LARGEST_BODY_BYTES + 1))
    assert (answer.status_code, problem_of(answer)["title"]) == (413, "Body too large")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/evaluations?state=asleep", "/state"),
        ("/v1/evaluations?kind=guess", "/kind"),
        ("/v1/evaluations?protocol=nothing", "/protocol"),
        ("/v1/recipes?limit=0", "/limit"),
        ("/v1/recipes?limit=many", "/limit"),
        ("/v1/recipes?cursor=rec_0", "/cursor"),
        ("/v1/leaderboard?format=xml", "/format"),
        ("/v1/leaderboard?suite=nothing", "/suite"),
        ("/v1/references?recipe=nothing", "/recipe"),
    ],
)
def test_a_query_value_that_means_nothing_is_named_by_its_parameter(empty: Service, path: str, pointer: str) -> None:
    answer = empty.get(path)
    assert answer.status_code == 422
    assert pointers_of(answer) == [pointer]


@pytest.mark.parametrize("noun", ["corpora", "tokenizers", "recipes", "protocols", "suites", "evaluations", "runs"])
def test_an_unknown_id_is_not_found(empty: Service, noun: str) -> None:
    answer = empty.get(f"/v1/{noun}/nothing")
    assert answer.status_code == 404
    assert "nothing" in problem_of(answer)["detail"]


@pytest.mark.parametrize("path", ["/v1/jobs/x", "/v1/references/x", "/v1/schedules/x", "/v1/runs/x/curve", "/v1/nouns"])
def test_so_is_whatever_else_is_not_there(empty: Service, path: str) -> None:
    assert problem_of(empty.get(path))["status"] == 404


def test_a_wrong_method_says_which_is_right(empty: Service) -> None:
    answer = empty.http.put("/v1/recipes", json={})
    assert problem_of(answer)["status"] == 405
    assert answer.headers["allow"]


def test_a_database_that_stays_locked_is_unavailable(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_sessions, "BUSY_SECONDS", 0.05)
    with serving(settings) as service, sqlite3.connect(settings.data_dir / "foretaste.db") as other:
        other.execute("BEGIN IMMEDIATE")
        answer = service.post("/v1/keys", {"name": "ci"})
        assert problem_of(answer)["title"] == "Database unavailable"
        assert answer.status_code == 503
        assert service.get("/v1/recipes").status_code == 200
        other.rollback()
        assert service.post("/v1/keys", {"name": "ci"}).status_code == 201
    other.close()


def test_a_database_without_tables_is_unavailable(tmp_path: Any) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path))
    with TestClient(app, raise_server_exceptions=False) as http:
        assert http.get("/healthz").json() == {"status": "ok"}
        assert problem_of(http.get("/readyz"))["status"] == 503
        assert problem_of(http.get("/v1/recipes"))["status"] == 503


def test_so_is_a_postgres_without_tables(postgres_url: str, tmp_path: Any) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, database_url=postgres_url))
    with TestClient(app, raise_server_exceptions=False) as http:
        answer = http.get("/readyz")
        assert (answer.status_code, problem_of(answer)["title"]) == (503, "Not ready")


def test_a_value_that_postgres_cannot_store_is_the_senders_fault(postgres_url: str, tmp_path: Any) -> None:
    from worker.store.migrate import upgrade_database

    settings = Settings(_env_file=None, data_dir=tmp_path, database_url=postgres_url)
    upgrade_database(settings)
    with TestClient(create_app(settings), raise_server_exceptions=False) as http:
        assert http.get("/readyz").json() == {"status": "ready"}
        assert problem_of(http.get("/v1/corpora/%00"))["status"] == 422


def test_an_unexpected_error_is_logged_and_shows_nothing(empty: Service, caplog: pytest.LogCaptureFixture) -> None:
    @empty.app.get("/boom")
    def boom() -> None:
        raise ZeroDivisionError("secret detail")

    answer = empty.get("/boom")
    assert (answer.status_code, problem_of(answer)["title"]) == (500, "Internal error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    (record,) = [record for record in caplog.records if record.name == "api.errors"]
    assert "GET /boom failed" in record.getMessage()
    assert record.exc_info


def test_an_error_of_ours_is_logged_too(empty: Service, caplog: pytest.LogCaptureFixture) -> None:
    from proxy.errors import LossDivergedError

    @empty.app.get("/diverge")
    def diverge() -> None:
        raise LossDivergedError(7, float("nan"))

    assert problem_of(empty.get("/diverge"))["title"] == "Loss diverged"
    assert "at step 7" in caplog.text


def test_a_commit_that_fails_is_an_error_and_rings_no_bell(empty: Service) -> None:
    @empty.app.post("/late")
    def late(writing: Writing) -> dict[str, str]:
        writing.session.execute(text("PRAGMA defer_foreign_keys = ON"))
        writing.session.add(EvaluationRun(evaluation_id="eva_none", run_id="run_none"))
        writing.session.flush()
        writing.ring_after_commit(Bell.RUNS)
        return {"status": "stored"}

    answer = empty.post("/late")
    assert (answer.status_code, problem_of(answer)["title"]) == (409, "Conflict")
    assert empty.rung == []
    with read_scope(empty.sessions) as session:
        assert session.query(EvaluationRun).count() == 0


def test_the_row_is_committed_before_the_answer_and_the_bell(service: Service) -> None:
    seen: list[tuple[str, int]] = []

    def recipes() -> int:
        with read_scope(service.sessions) as session:
            return session.query(Recipe).count()

    @service.app.post("/ringing")
    def ringing(writing: Writing) -> None:
        writing.session.add(Recipe(name="a", fingerprint="a", spec={}, corpora={}))
        writing.ring_after_commit(Bell.RUNS)
        seen.append(("endpoint", recipes()))

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def looking(message: Message) -> None:
            seen.append((message["type"], recipes()))
            await send(message)

        await service.app(scope, receive, looking)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.dependencies.ring", lambda bell, _: seen.append((bell, recipes())))
        assert TestClient(watched).post("/ringing").status_code == 200
    assert seen == [("endpoint", 0), ("runs", 1), ("http.response.start", 1), ("http.response.body", 1)]


def test_without_a_broker_the_work_waits_and_the_answer_is_the_same(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    from worker.queue import ring

    def unanswered(bell: Bell, settings: Settings) -> bool:
        return ring(bell, settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"}))

    train = {"vocabulary": 280, "corpora": ["web"], "sample_bytes": 5000}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.dependencies.ring", unanswered)
        assert service.post("/v1/tokenizers", {"name": "small", "train": train}).status_code == 202
    assert "does not answer" in caplog.text


def test_numbers_that_the_database_cannot_hold_are_refused_before_it(ranked: Service) -> None:
    for field, value in (("seed", 2**40), ("hyperparameters", {"beta": float("nan")}), ("unit", "x" * 41)):
        content = json.dumps(REFERENCE | {field: value})
        answer = ranked.post("/v1/references", content=content)
        assert (answer.status_code, pointers_of(answer)) == (422, [f"/{field}"])
    assert ranked.get("/v1/references").json()["items"] == []


def test_suite_weights_stay_numbers(service: Service) -> None:
    part = SUITE["sets"][0]
    sets = [{**part, "name": name, "weight": 1e308} for name in ("a", "b")]
    assert pointers_of(service.post("/v1/suites", {"name": "s", "sets": sets})) == ["/sets/0/weight", "/sets/1/weight"]


def test_an_error_of_the_database_driver_is_told_without_its_statement(empty: Service) -> None:
    @empty.app.get("/overflow")
    def overflow() -> None:
        raise DataError("INSERT secret", {}, Exception("integer out of range"))

    answer = empty.get("/overflow")
    assert answer.status_code == 422
    assert "integer out of range" in problem_of(answer)["detail"]
    assert "secret" not in answer.text


def test_a_long_value_is_shortened(service: Service) -> None:
    for name in ("x" * 5000, ["y" * 100] * 100):
        answer = service.post("/v1/recipes", recipe(name=name))
        (error,) = problem_of(answer)["errors"]
        assert error["value"].endswith("…")
        assert len(error["value"]) <= 501


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
WEIGHTS = st.one_of(st.floats(), st.integers(), JSON)
SOURCES = st.fixed_dictionaries(
    {"corpus": st.sampled_from(["web", "code@1", "web@2", ""]) | JSON, "weight": WEIGHTS},
    optional={
        "filters": st.lists(st.fixed_dictionaries({}, optional={"minimum": JSON, "maximum": st.integers()})) | JSON,
        "dedup": st.sampled_from(["none", "exact"]) | JSON,
        "subset": st.floats() | JSON,
        "max_epochs": st.floats() | JSON,
    },
)
BODIES = JSON | st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"]) | JSON, "sources": st.lists(SOURCES, max_size=3)},
    optional={"tags": JSON, "description": JSON, "schema_version": JSON},
)


@given(body=BODIES, path=st.sampled_from(["/v1/recipes", "/v1/recipes:validate"]))
@effort(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_body_makes_a_recipe_endpoint_fail(service: Service, body: object, path: str) -> None:
    answer = service.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code < 500, answer.text
    if not answer.is_success:
        problem_of(answer)


@given(body=JSON, field=st.sampled_from([*PROTOCOL, *SUITE, *RECIPE, *REFERENCE, "learning_rates", "train", "tags"]))
@effort(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_nor_does_a_wrong_field_make_another_fail(service: Service, body: object, field: str) -> None:
    nouns = {
        "protocols": PROTOCOL,
        "suites": SUITE,
        "references": REFERENCE,
        "corpora": {"name": "c", "uri": "/nowhere/c.jsonl"},
        "tokenizers": {"name": "t", "tokenizer": "{}"},
        "evaluations": {"recipe": RECIPE, "protocol": "tiny", "suite": "s"},
        "schedules": {"name": "s", "cron": "* * * * *", "protocol": "tiny", "suite": "s"},
        "keys": {"name": "k"},
    }
    for noun, known in nouns.items():
        content = json.dumps(known | {field: body})
        answer = service.post(f"/v1/{noun}", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (noun, answer.text)
