"""Other systems' recipes over HTTP and in the terminal."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from typer.testing import CliRunner, Result

from api import cli
from proxy.errors import InvalidInputError
from tests.api.service import Service, pointers_of
from tests.proxy.importers.examples import DATATROVE, DCLM_DATASET, EXAMPLES, PAIRS, REGMIX

OURS = [("corpus", "train_web=web"), ("corpus", "train_books=code"), ("corpus", "train_code=held")]


def send(service: Service, text: str, media: str = "text/yaml", params: Any = ()) -> httpx2.Response:
    options = {"content": text.encode(), "params": params, "headers": {"Content-Type": media}}
    return service.post("/v1/recipes:import", **options)


@pytest.mark.parametrize(("format", "text"), PAIRS)
def test_a_file_is_answered_with_recipes_and_an_account(empty: Service, format: str, text: str) -> None:
    answer = send(empty, text)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["format"], report["registered"]) == (format, [])
    assert report["carried"]
    assert all({"pointer", "value", "kind", "reason"} == set(loss) for loss in report["not_carried"])
    assert empty.get("/v1/recipes").json()["items"] == []


@pytest.mark.parametrize("media", ["application/json", "text/yaml", "application/yaml", "text/plain; charset=utf-8"])
def test_json_comes_as_any_of_the_media_types(empty: Service, media: str) -> None:
    assert send(empty, DCLM_DATASET, media).json()["corpora"] == ["web_clean", "books_all", "wiki"]


def test_registered_recipes_are_stored_as_if_they_were_sent(service: Service) -> None:
    report = send(service, REGMIX, params=[*OURS, ("register", "true"), ("name", "from-regmix")]).json()
    assert [row["name"] for row in report["registered"]] == ["from-regmix"]
    assert service.get("/v1/recipes").json()["items"] == report["registered"]
    again = service.post("/v1/recipes", report["recipes"][0])
    assert (again.status_code, again.json()) == (200, report["registered"][0])


def test_a_corpus_that_is_not_there_registers_nothing(service: Service) -> None:
    answer = send(service, REGMIX, params=[*OURS[:2], ("register", "true")])
    assert pointers_of(answer) == ["/recipes/0/sources/2/corpus"]
    assert service.get("/v1/recipes").json()["items"] == []


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"format": "regmx"}, "/format"),
        ({"corpus": "train_web"}, "/corpus"),
        ({"corpus": "=web"}, "/corpus"),
        ({"corpus": ["train_web=a", "train_web=b"]}, "/corpus"),
        ({"corpus": "train_wbe=web"}, "/corpora/train_wbe"),
        ({"name": "not a name"}, "/name"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(empty: Service, params: dict[str, Any], pointer: str) -> None:
    answer = send(empty, REGMIX, params=params)
    assert answer.status_code == 422
    assert [one.lstrip("/") for one in pointers_of(answer)] == [pointer.lstrip("/")]


def test_what_cannot_be_imported_is_refused_with_a_field(empty: Service) -> None:
    assert pointers_of(send(empty, REGMIX.replace("0.7", "-1"))) == ["/train/train_web"]
    assert send(empty, "a: [").status_code == 422
    assert send(empty, REGMIX, "text/csv").status_code == 415
    assert send(empty, '{"a": "' + "x" * 10_000_001 + '"}', "application/json").status_code == 413
    refused = empty.http.post("/v1/recipes:import", content=REGMIX, headers={"Content-Type": "text/yaml"})
    assert refused.status_code == 401


def test_values_that_json_lacks_are_shown_as_text(empty: Service) -> None:
    answer = send(empty, '{"train": {"a": 1}, "odd": [NaN, 1e999]}', "application/json")
    assert answer.json()["not_carried"][0]["value"] == ["NaN", "inf"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["recipe", "import", *map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.yaml"
    path.write_text(DATATROVE)
    return path


def test_the_command_needs_no_service_and_writes_recipes(file: Path, tmp_path: Path) -> None:
    result = run(file, "--out", tmp_path / "ours", "--corpus", "crawl=web", "--name", "mine")
    assert result.exit_code == 0, result.output
    for said in ("mine: read as datatrove", "corpora web", "LanguageFilter", "written:"):
        assert said in result.output
    written = yaml.safe_load((tmp_path / "ours" / "mine.yaml").read_text())
    assert (written["name"], written["sources"][0]["corpus"]) == ("mine", "web")


def test_the_command_shows_the_recipe_where_it_writes_none(file: Path) -> None:
    assert "heuristic: gopher_quality_datatrove" in run(file).output


def test_the_other_commands_do_not_load_the_service() -> None:
    look = "import sys, api.cli; print([name for name in ('fastapi', 'sqlalchemy') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", look], text=True).strip() == "[]"


def test_the_command_overwrites_nothing(file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("kept")
    result = run(file, "--out", tmp_path, "--name", "mine")
    assert isinstance(result.exception, InvalidInputError)
    assert (tmp_path / "mine.yaml").read_text() == "kept"


def test_the_command_answers_programs_with_json(file: Path) -> None:
    report = json.loads(run(file, "--json").stdout)
    assert report["format"] == "datatrove"
    assert report["recipes"][0]["name"] == "as-a-list"


def test_the_command_knows_every_format(file: Path) -> None:
    for format in EXAMPLES:
        assert format in run("--help").output.replace("\n", " ") or format in str(run(file, "--format", "x").exception)


def test_the_command_registers(service: Service, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Any] = {}

    def request(_: object, method: str, path: str, **options: Any) -> httpx2.Response:
        sent.update(options["params"])
        options.pop("timeout")
        headers = {"X-API-Key": service.key, **options.pop("headers")}
        return service.http.request(method, path, headers=headers, **options)

    monkeypatch.setattr("api.client.Client.request", request)
    result = run(file, "--register", "--corpus", "crawl=web")
    assert result.exit_code == 0, (result.output, result.exception)
    assert sent == {"register": True, "format": "auto", "corpus": ["crawl=web"]}
    assert "registered: as-a-list" in result.output
    assert [row["name"] for row in service.get("/v1/recipes").json()["items"]] == ["as-a-list"]
