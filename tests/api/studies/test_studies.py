"""A small study from its definition to its report, killed in between; trainings of four steps in real children."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from api.client import Client, ProblemError, Resource, UnreachableError
from api.studies.cost import Part, describe, estimate
from api.studies.markdown import edge_words
from api.studies.registration import Registered, register
from api.studies.report import make_folder, read_report, write_report
from api.studies.service import StudyService
from api.studies.training import Training, rates_of_more_seeds
from api.up import Stack
from proxy.errors import InvalidInputError
from proxy.studies import StudyDefinition
from tests.api.service import Service
from tests.proxy.studies.definitions import definition
from worker.settings import Settings
from worker.store.models import Reference, Run
from worker.store.sessions import read_scope


class Workers:
    """Stands where our own service's processes do: work is done whenever they are looked after."""

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


def registered_in(service: StudyService) -> Registered:
    return register(service, study(), corpora=None, folder=Path("unused"), say=lambda _: None)


def training_in(service: StudyService, said: list[str]) -> Training:
    return Training(service=service, definition=study(), registered=registered_in(service), say=said.append)


class KilledError(Exception):
    pass


def test_a_killed_study_goes_on_and_trains_nothing_twice(service: Service, tmp_path: Path) -> None:
    def die(_: str) -> None:
        raise KilledError

    first = training_in(service_of(service), [])
    first.say = die
    first.submit()
    before = read_report(study(), service.settings)
    assert before["is_partial"]
    with pytest.raises(KilledError):
        first.follow(poll_seconds=0.01)  # trained, and killed before a reference was registered or a seed asked for
    with read_scope(service.sessions) as session:
        trained = {run.id: run.finished_at for run in session.query(Run) if run.state.is_final}
    assert len(trained) == 3 * 2 * 2 + 3 * 3

    said: list[str] = []
    again = training_in(service_of(service), said)
    left = estimate(again.service, study(), again.registered)
    assert [(part.runs, part.runs_left) for part in left] == [(12, 0), (12, 3)]
    again.submit()
    again.follow(poll_seconds=0.01)
    assert "3 of 3 evaluations of more seeds" in said[-1]
    with read_scope(service.sessions) as session:
        runs = {run.id: run.finished_at for run in session.query(Run)}
        seeds = {(row.recipe_name, row.learning_rate): set[int | None]() for row in session.query(Reference)}
        for row in session.query(Reference):
            seeds[row.recipe_name, row.learning_rate].add(row.seed)
    assert {run: runs[run] for run in trained} == trained
    assert max(len(found) for (name, _), found in seeds.items() if name == "even") == 2

    report = read_report(study(), service.settings)
    assert (report["is_partial"], report["progress"]["recipes_with_references"]) == (False, 3)
    assert [row["rate"] for row in report["suites"][0]["table"]["rows"]] == [1e-3, 1e-2]
    assert report["suites"][0]["search"]["conclusion"] == "a rate search needs 3 rates and 2 seeds"
    paths = write_report(report, tmp_path / "out")
    told = (tmp_path / "out" / "README.md").read_text()
    assert "All has ended" in told
    assert all(name in told for name in ("even", "only-web", "only-code"))
    assert json.loads((tmp_path / "out" / "report.json").read_text())["study"] == "little"
    assert all(path.stat().st_size > 0 for path in paths)


def test_a_study_is_submitted_once_however_often_it_is_started(service: Service) -> None:
    once, twice = (training_in(service_of(service, is_working=False), []) for _ in range(2))
    once.submit()
    with read_scope(service.sessions) as session:
        runs = session.query(Run).count()
    twice.submit()
    assert (once.proxies, once.sweeps) == (twice.proxies, twice.sweeps)
    with read_scope(service.sessions) as session:
        assert session.query(Run).count() == runs == 3 * 2 * 2 + 3 * 3


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


def sweep(*outcomes: tuple[float, float | None]) -> Resource:
    """(rate, score), None for one that was given up."""
    runs = [
        {
            "learning_rate": rate,
            "seed": 0,
            "state": "stopped" if score is None else "finished",
            "scores": [] if score is None else [{"score": score}],
        }
        for rate, score in outcomes
    ]
    return {"runs": runs}


@pytest.mark.parametrize(
    ("sweeps", "rates"),
    [
        ([sweep((1, None), (2, 3.0), (4, 3.1))], [1, 2]),  # with one that is given up soon
        ([sweep((1, 3.5), (2, 3.0), (4, 3.1))], [2, 4]),  # with the second best
        ([sweep((1, 3.5), (2, 3.0)), sweep((1, 3.5), (2, 3.6))], [1, 2]),  # the best on each suite
        ([sweep((1, None), (2, None))], []),
    ],
)
def test_more_seeds_are_of_the_best_rate_and_one_beside_it(sweeps: list[Resource], rates: list[float]) -> None:
    assert rates_of_more_seeds(sweeps) == rates


def test_the_cost_says_runs_tokens_and_hours() -> None:
    part = Part(name="proxies", parameters=10, runs=8, runs_left=6, tokens_a_run=6_000_000, tokens_per_second=1000)
    assert part.hours(2) == pytest.approx(5)
    assert "about 5.0 hours with 2 at once" in describe([part], 2)[-1]
    unknown = Part(name="references", parameters=10, runs=8, runs_left=6, tokens_a_run=1, tokens_per_second=None)
    assert "time unknown" in describe([unknown], 2)[0]


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
