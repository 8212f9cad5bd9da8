"""A small study from its definition to its report, killed in between; trainings of four steps in real children."""

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest
from alembic import command
from sqlalchemy import inspect
from typer.testing import CliRunner, Result

from api.client import Client, ProblemError, Resource, UnreachableError
from api.studies import commands
from api.studies.cost import describe
from api.studies.markdown import as_markdown
from api.studies.registration import register, request_of
from api.studies.report import make_folder, read_report
from api.studies.running import run_study
from api.studies.service import StudyService
from api.studies.watching import follow
from api.studies.words import edge_words, search_remarks
from api.up import Stack
from proxy.errors import InvalidInputError
from proxy.studies import StudyDefinition
from proxy.studies.weighing import weigh_sets
from tests.api.service import Service, pointers_of, problem_of
from tests.proxy.studies.definitions import definition
from worker.queue import Bell
from worker.settings import Settings
from worker.store.migrate import make_alembic_config
from worker.store.models import Reference, Run, Study
from worker.store.sessions import make_engine, read_scope, session_scope
from worker.store.states import State


class Workers:
    """Stands where our own service's processes do: work is done whenever they are looked after."""

    url = "http://testserver"

    def __init__(self, service: Service) -> None:
        self.service = service

    def tend(self) -> list[str]:
        self.service.work()
        return []


def service_of(service: Service, *, is_working: bool = True) -> StudyService:
    client = Client("http://testserver", service.key)
    client._http = cast("Any", service.http)
    service.http.headers["Authorization"] = f"Bearer {service.key}"
    return StudyService(client=client, lanes=1, stack=cast("Stack", Workers(service)) if is_working else None)


def study() -> StudyDefinition:
    return StudyDefinition.model_validate(definition())


def posted_in(service: Service) -> Resource:
    """As the command posts it."""
    own = service_of(service, is_working=False)
    return own.post("/v1/studies", body_in(service))


def body_in(service: Service) -> dict[str, Any]:
    own = service_of(service, is_working=False)
    return request_of(study(), register(own, study(), corpora=None, folder=Path("unused"), say=lambda _: None))


class KilledError(Exception):
    pass


def test_a_study_goes_on_when_its_command_is_killed_and_is_found_again(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings of a few steps in real children. The command is killed once the study is posted; what waits for a sweep
    is done without it."""
    own = service_of(service)
    monkeypatch.setattr("api.studies.cost.SPEED_STEPS", 2)
    monkeypatch.setattr("api.studies.running.study_service", lambda *_: nullcontext(own))

    def run(say: Callable[[str], None], out: Path | None = None, *, agrees: bool = True) -> None:
        paths: dict[str, Any] = {"corpora": None, "folder": tmp_path, "out": out, "url": "http://there", "key": None}
        run_study(study(), **paths, agrees=lambda: agrees, say=say, poll_seconds=0.01)

    said: list[str] = []
    run(said.append, agrees=False)
    assert sum("measuring the speed" in line for line in said) == 2
    assert any("proxies" in line and "12 runs, 12 to train" in line and "tokens/s" in line for line in said)
    assert any("references" in line and "15 runs, 15 to train" in line for line in said)
    assert service.get("/v1/studies").json()["items"] == []

    def die(line: str) -> None:
        if "ended: 0 of 6 proxy evaluations" in line:
            raise KilledError

    with pytest.raises(KilledError):
        run(die)
    first = service.get("/v1/studies/little").json()
    assert (first["state"], first["progress"]["runs"]["queued"]) == ("running", 21)
    assert Bell.RUNS in service.rung
    assert service.get("/v1/studies/little/report").json()["is_partial"]

    service.work()

    ended = service.get("/v1/studies/little").json()
    assert (ended["id"], ended["state"], ended["error"]) == (first["id"], "finished", None)
    assert ended["progress"]["more_seeds"] == {"evaluations": 3, "ended": 3, "failed": 0}
    with read_scope(service.sessions) as session:
        seeds = {(row.recipe_name, row.learning_rate): set[int | None]() for row in session.query(Reference)}
        for row in session.query(Reference):
            seeds[row.recipe_name, row.learning_rate].add(row.seed)
    assert max(len(found) for (name, _), found in seeds.items() if name == "even") == 2

    said.clear()
    run(said.append, tmp_path / "out")
    assert any("12 runs, 0 to train" in line for line in said)
    assert "  ended: 6 of 6 proxy evaluations, 3 of 3 sweeps, 3 of 3 evaluations of more seeds" in said
    assert "All has ended." in said
    assert (service.get("/v1/studies/little").json(), service.work()) == (ended, 0)
    shown = service.get(f"/v1/studies/{first['id']}/report").json()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == {**shown, "machine": {"trained_by": "http://there"}}
    here = read_report(study(), service.settings)
    assert shown == json.loads(json.dumps({name: part for name, part in here.items() if name != "machine"}))
    assert (report["is_partial"], report["progress"]["recipes_with_references"]) == (False, 3)
    assert [row["rate"] for row in report["suites"][0]["table"]["rows"]] == [1e-3, 1e-2]
    assert report["suites"][0]["search"]["conclusion"] == "a rate search needs 3 rates and 2 seeds"
    check_reference_table(service, tmp_path / "out" / "references.csv", report)
    told = (tmp_path / "out" / "README.md").read_text()
    assert "All has ended" in told
    assert all(name in told for name in ("even", "only-web", "only-code"))
    shown_page = service.http.get("/study").text
    assert all(f'<th scope="row">{name}</th>' in shown_page for name in ("even", "only-web", "only-code"))
    assert 'aria-label="Agreement with the references against the rate' in shown_page
    assert "<progress" not in shown_page


def check_reference_table(service: Service, file: Path, report: dict[str, Any]) -> None:
    """The service that trained them learns nothing new from it, and another set gets the same values and labels."""
    rows = sum(len(recipe["sweep"]) for recipe in report["suites"][0]["recipes"])
    again = service.post("/v1/references:import", content=file.read_bytes()).json()
    assert (again["imported"], again["unchanged"], again["errors"]) == (0, rows, [])
    assert file.read_text().count(",study little\n") == rows
    elsewhere = file.read_text().replace("little-held-out", "elsewhere")
    assert service.post("/v1/references:import", content=elsewhere.encode()).json()["imported"] == rows
    found, theirs = (
        {
            (row["recipe"]["name"], row["learning_rate"], row["seed"], row["value"], row["label"], row["stopped_early"])
            for row in service.get(f"/v1/references?reference_set={name}").json()["items"]
        }
        for name in ("elsewhere", "little-held-out")
    )
    assert found == theirs


def test_a_report_needs_no_row_where_ordinary_requests_trained(service: Service) -> None:
    """What was trained before there were rows of studies is read by its names."""
    posted_in(service)
    by_row = read_report(study(), service.settings)
    with session_scope(service.sessions) as session:
        session.delete(session.query(Study).one())
    assert read_report(study(), service.settings) == {**by_row, "state": None}
    assert "this study has not ended" in as_markdown(read_report(study(), service.settings))


@pytest.mark.parametrize(
    ("state", "error", "told"),
    [
        (State.RUNNING, None, "**Partial: this study has not ended.** 0 of 6"),
        (State.FINISHED, None, "All has ended: 0 of 6"),
        (State.CANCELLED, None, "**This study was cancelled.** Run again, it goes on. 0 of 6"),
        (
            State.FAILED,
            "every run <x> failed",
            "**This study has failed: every run <x> failed** Run again, it goes on.",
        ),
    ],
)
def test_a_report_says_the_state_of_its_study(service: Service, state: State, error: str | None, told: str) -> None:
    posted_in(service)
    with session_scope(service.sessions) as session:
        row = session.query(Study).one()
        row.state, row.error = state, error
    report = service.get("/v1/studies/little/report").json()
    assert (report["state"], report["error"], report["is_partial"]) == (state, error, state != State.FINISHED)
    words = as_markdown({**report, "machine": {}})
    assert told in words
    assert ("has not ended" in words) == (state == State.RUNNING)


def test_a_description_is_told_as_it_was_written(service: Service) -> None:
    posted_in(service)
    report = {**service.get("/v1/studies/little/report").json(), "machine": {}}
    for written in ("DCLM against FineWeb-Edu at 1B.", "fineweb-edu alone"):
        assert as_markdown({**report, "description": written}).splitlines()[2] == written


def test_the_report_of_a_study_at_a_service_is_written_here(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted_in(service)
    file, out = tmp_path / "study.json", tmp_path / "out"
    file.write_text(json.dumps(definition()))
    client = service_of(service).client
    monkeypatch.setattr("api.studies.commands.connect", lambda *_: nullcontext(client))

    def write(*options: str) -> Result:
        return CliRunner().invoke(commands.study, ["report", str(file), "--out", str(out), *options])

    refused = write("--url", "http://there", "--folder", str(tmp_path))
    assert isinstance(refused.exception, InvalidInputError)
    assert "--folder" in str(refused.exception)
    assert not out.exists()
    done = write("--url", "http://there")
    assert done.exit_code == 0, done.output
    shown = service.get("/v1/studies/little/report").json()
    assert json.loads((out / "report.json").read_text()) == {**shown, "machine": {"trained_by": "http://there"}}
    assert "trained by: http://there." in (out / "README.md").read_text()
    content = definition()
    content["proxies"]["protocol"]["steps"] *= 2
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidInputError, match=r"/proxies/tokens: the study that was trained has \d+; run this def"):
        raise write("--url", "http://there").exception or AssertionError
    content = definition()
    content["recipes"] = [*content["recipes"][:-1], {**content["recipes"][-1], "name": "other"}]
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidInputError, match=r"/recipes: the study that was trained has"):
        raise write("--url", "http://there").exception or AssertionError
    file.write_text(json.dumps(definition(name="nobodys")))
    with pytest.raises(ProblemError, match="nobodys"):
        raise write("--url", "http://there").exception or AssertionError


def test_a_report_is_read_from_the_database_of_an_earlier_version_which_is_left_as_it_is(service: Service) -> None:
    posted_in(service)
    now = read_report(study(), service.settings)
    config = make_alembic_config(service.settings.resolved_database_url)
    for revision, state in (("0011", now["state"]), ("0010", None)):  # no first seeds; no rows of studies
        command.downgrade(config, revision)
        assert read_report(study(), service.settings) == {**now, "state": state}
        engine = make_engine(service.settings.resolved_database_url)
        assert "first_seed" not in {column["name"] for column in inspect(engine).get_columns("evaluations")}
        engine.dispose()


def test_a_study_is_submitted_once_however_often_it_is_started(service: Service) -> None:
    body = body_in(service)
    answers = [service.post("/v1/studies", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert answers[0].headers["location"] == f"/v1/studies/{answers[0].json()['id']}"
    assert answers[0].json() == answers[1].json()
    listed = service.get("/v1/studies", params={"limit": 1}).json()
    assert ([row["name"] for row in listed["items"]], listed["next_cursor"]) == (["little"], None)
    with read_scope(service.sessions) as session:
        assert session.query(Run).count() == 3 * 2 * 2 + 3 * 3


def test_a_study_that_is_cancelled_says_so_and_goes_on_when_it_is_sent_again(service: Service) -> None:
    first = posted_in(service)
    cancelled = service.delete("/v1/studies/little")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert service.work() == 0
    with pytest.raises(ProblemError, match=r"study little cancelled.*run it again to go on"):
        follow(service_of(service), first, lambda _: None, poll_seconds=0.001)
    with pytest.raises(ProblemError, match="404"):
        service_of(service).client.delete("/v1/studies/litle")
    again = posted_in(service)
    assert (again["id"], again["state"], again["progress"]["runs"]["queued"]) == (first["id"], "running", 21)


def test_what_is_wrong_is_named_and_nothing_is_queued(service: Service) -> None:
    body = body_in(service)
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"name": 3}, "/name"),
        ({"suites": "held-out"}, "/suites"),
        ({"suites": ["held-uot"]}, "/suites/0"),
        ({"recipes": ["even", "only-web", "only-code"]}, "/recipes/0"),
        ({"recipes": body["recipes"][:2]}, "/recipes"),
        ({"proxies": {**body["proxies"], "rates": [float("nan"), 1e-3]}}, "/proxies/rates/0"),
        ({"proxies": {**body["proxies"], "protocol": []}}, "/proxies/protocol"),
        ({"proxies": {**body["proxies"], "first_seed": -1}}, "/proxies/first_seed"),
        ({"references": {**body["references"], "first_seed": 10**9 + 1}}, "/references/first_seed"),
        ({"references": {**body["references"], "rates": [1e-3]}}, "/references/rates"),
        ({"corpora": []}, "/corpora"),
    )
    for change, pointer in wrong:
        content = json.dumps({**body, **change}).encode()
        for path in ("/v1/studies", "/v1/studies:estimate"):
            answer = service.post(path, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 422, (change, answer.text)
            assert pointer in pointers_of(answer), answer.text
    for answer in (service.get("/v1/studies/stu_x"), service.get("/v1/studies/stu_x/report")):
        assert answer.status_code == 404
        assert "stu_x" in problem_of(answer)["detail"]
    with read_scope(service.sessions) as session:
        assert (session.query(Study).count(), session.query(Run).count()) == (0, 0)


def test_a_study_that_was_never_run_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--folder"):
        read_report(study(), Settings(_env_file=None, data_dir=tmp_path))


def test_a_report_that_cannot_be_written_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InvalidInputError, match=r"--out.*taken"):
        make_folder(tmp_path / "taken")


def test_a_best_rate_at_the_edge_of_the_grid_is_told_with_what_to_do() -> None:
    rows = [
        {"recipe": "even", "label": "swept, at the edge", "best_rate": 0.1},
        {"recipe": "only-web", "label": "tuned", "best_rate": 0.01},
    ]
    told = edge_words({"recipes": rows})
    assert "0.1 for even)" in told
    assert "only-web" not in told
    assert edge_words({"recipes": rows[1:]}) == ""


def test_what_measures_the_gates_that_a_study_does_not_is_a_search_of_its_own_seeds() -> None:
    shape = {"seeds": 2, "first_seed": 100}
    report = {"study": "again", "shapes": {"proxies": shape}}
    suite = {"suite": "held", "search": {"remarks": ("Not measured at the rate that passes: shuffled tokens.",)}}
    command = "foretaste rate-search again-proxy … --suite held --seeds 2"
    assert f"`{command} --first-seed 100`" in search_remarks(report, suite)[-1]
    shape["first_seed"] = 0
    assert f"`{command}`" in search_remarks(report, suite)[-1]


def test_the_cost_says_runs_tokens_and_hours() -> None:
    part = {"parameters": 10, "runs": 8, "runs_to_train": 6, "tokens": 36_000_000, "tokens_per_second": 1000.0}
    known = {**part, "device_seconds": 36_000.0}
    lines = describe({"proxies": known, "references": known, "recipes_given": 0, "device_seconds": 72_000.0}, 2)
    assert "8 runs, 6 to train, 36.0M tokens; 1,000 tokens/s a lane, 5.0 hours" in lines[0]
    assert "about 10.0 hours with 2 at once" in lines[-1]
    unknown = {**part, "tokens_per_second": None, "device_seconds": None}
    lines = describe({"proxies": known, "references": unknown, "recipes_given": 2, "device_seconds": None}, 2)
    assert "time unknown" in lines[1]
    assert lines[2:] == ["  the references of 2 recipes are registered already, and taken as they are"]


def test_a_service_that_is_away_is_waited_for_and_a_refusal_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.studies.service.PAUSE_SECONDS", 0.001)
    service = StudyService(client=Client("http://127.0.0.1:9"), patience_seconds=0.005)
    answers: list[Exception | int] = [UnreachableError("away"), ProblemError({"title": "busy"}, 503), 7]

    def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert service.patiently(ask) == 7
    answers = [ProblemError({"title": "no"}, 422), 7]
    with pytest.raises(ProblemError):
        service.patiently(ask)
    answers = [UnreachableError("away")] * 50
    with pytest.raises(UnreachableError):
        service.patiently(ask)
    assert len(answers) > 40


def test_the_rules_numbers_stand_beside_what_they_are_to_foretell(service: Service) -> None:
    posted_in(service)
    report = {**service.get("/v1/studies/little/report").json(), "machine": {}}
    gates = [{"name": "progress", "verdict": "failed"}, {"name": "reliability", "verdict": "not looked at"}]
    numbers = {"travel": 0.402, "progress_median": 0.68, "progress_reached": 0.594, "reliability": 0.9541}
    rates = [
        {"rate": 1e-3, **numbers, "gates": gates, "is_low_enough": True},
        {"rate": 1e-2, **dict.fromkeys(numbers), "travel": 4.0, "gates": gates[1:], "is_low_enough": False},
    ]
    suite = report["suites"][0]
    asked = {"progress": 0.8, "share_of_pairs": 0.9, "reliability": 0.9, "highest_share_of_optimum": 1 / 3}
    suite["search"] = {
        "rate": None,
        "thresholds": asked,
        "conclusion": "None.",
        "rates": rates,
        "remarks": [],
        "left_out": {"web": "it broke"},
    }
    suite["table"]["rows"][0]["figures"]["spearman"] = 0.8
    words = as_markdown(report)
    assert (
        "Asked for: φ of at least 0.8 in 90% of the pairs, reliability of at least 0.9, a rate of at most 0.33" in words
    )
    assert "| 0.001 | 0.402 | 0.68 | 0.59 | 0.954 | progress | 0.800 |" in words
    assert "| 0.01 | 4 | – | – | – | above η*/3; none | – |" in words
    assert "- web was left out: it broke." in words


def test_sets_are_told_apart_from_their_weighing(service: Service) -> None:
    """The page and the file have the same numbers."""
    posted_in(service)
    report = {**service.get("/v1/studies/little/report").json(), "machine": {}}
    assert "### Within sets" not in as_markdown(report)
    references = {f"r{place}": {"slow": 2.0 + 0.1 * place, "quick": 2.0 - 0.02 * place} for place in range(8)}
    proxies = {f"r{place}": {"slow": 4.0 + 0.01 * place, "quick": 3.0 - 0.02 * place} for place in range(8)}
    learned = {1e-3: {name: {"slow": 0.2, "quick": 0.7} for name in proxies}}
    rows = weigh_sets(
        {1e-3: proxies, 1e-2: references}, references, {"slow": 0.5, "quick": 0.5}, standard=1e-2, progress=learned
    )
    suite = report["suites"][0]
    suite |= {"sets": ["slow", "quick"], "weighing": [row.as_json() for row in rows]}
    words = as_markdown(report)
    assert "| 0.001 | 0.20 | 1.00, 0.10, 0.20 | 1.00, 1.00, 0.70 |" in words
    assert re.search(r"\| 0.001 \| mean \| 8 \| -1.000 \[-1.000, [-.0-9]+\] \| 0.2800 \| – \|", words)
    assert re.search(r"\| standard spreads \| 8 \| 1.000 \[[.0-9]+, 1.000\] \| 0.0000 \| \+2.000 \[\+1.801, ", words)
