"""The image and the compose file, without an engine: everything that they name exists."""

import importlib
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from fastapi.testclient import TestClient

from api.cli import app
from api.main import create_app
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("foretaste:")}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")
PASSWORD = "secret"


def filled(text: str) -> str:
    """What compose makes of `${NAME:-default}`; required variables get a sample."""
    return VARIABLE.sub(lambda found: found[3] if found[2] == "-" else PASSWORD, text)


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: filled(value) for name, value in service["environment"].items()}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def values(instruction: str) -> list[str]:
    return [rest for name, rest in instructions() if name == instruction]


def environment_of_image() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in values("ENV") for pair in shlex.split(rest))


def cli_commands() -> set[str]:
    group: Any = typer.main.get_command(app)
    return set(group.commands)


def test_every_part_of_the_service_is_there() -> None:
    commands = {service["command"][1] for service in OURS.values()}
    assert commands == {"api", "worker", "beat", "migrate"}
    assert {"postgres", "redis"} == SERVICES.keys() - OURS.keys()


@pytest.mark.parametrize("name", OURS)
def test_every_command_of_ours_exists(name: str) -> None:
    program, command = OURS[name]["command"]
    module, function = PROJECT["scripts"][program].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    assert command in cli_commands()


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_with_a_value_it_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = environment_of(OURS[name])
    assert {variable.removeprefix("FORETASTE_").lower() for variable in environment} <= Settings.model_fields.keys()
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = Settings(_env_file=None)
    assert settings.api_host == "0.0.0.0"
    assert str(settings.data_dir) == "/data"


def test_addresses_name_services_their_ports_and_what_they_were_made_with() -> None:
    environment = environment_of(SERVICES["api"])
    database, postgres = environment["FORETASTE_DATABASE_URL"], SERVICES["postgres"]["environment"]
    user, name = postgres["POSTGRES_USER"], postgres["POSTGRES_DB"]
    assert database == f"postgresql+psycopg://{user}:{PASSWORD}@postgres:5432/{name}"
    assert environment["FORETASTE_BROKER_URL"] == "redis://redis:6379/0"


def test_all_parts_share_database_broker_data_and_corpora() -> None:
    own = {"FORETASTE_DEVICES"}  # a worker's own
    shared = [{k: v for k, v in environment_of(service).items() if k not in own} for service in OURS.values()]
    assert all(environment == shared[0] for environment in shared)
    assert len({tuple(service["volumes"]) for service in OURS.values()}) == 1


def test_the_published_port_is_the_one_that_is_listened_on() -> None:
    [port] = SERVICES["api"]["ports"]
    inside = filled(port).rpartition(":")[2]
    assert inside == environment_of(SERVICES["api"])["FORETASTE_API_PORT"] == values("EXPOSE")[0]
    assert int(inside) == Settings.model_fields["api_port"].default
    assert filled(port).startswith("127.0.0.1:")  # reading needs no key: publishing wider is a choice


@pytest.mark.parametrize("name", SERVICES)
def test_whoever_is_waited_for_can_say_that_it_is_ready(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        if wait["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert wait["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


def test_everything_waits_for_the_migration_and_that_for_the_database() -> None:
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in OURS.keys() - {"migrate"}:
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_every_lasting_service_has_a_health_check() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"migrate"}


def test_the_health_check_of_the_api_asks_a_page_that_answers(settings: Settings) -> None:
    program, flag, code = SERVICES["api"]["healthcheck"]["test"][1:]
    assert (program, flag) == ("python", "-c")
    compile(code, "healthcheck", "exec")
    port, path = re.findall(r"127\.0\.0\.1:(\d+)(/\w+)", code)[0]
    assert port == environment_of(SERVICES["api"])["FORETASTE_API_PORT"]
    with TestClient(create_app(settings)) as client:
        assert client.get(path).status_code == 200


def test_the_health_check_of_a_worker_asks_our_celery_application() -> None:
    words = shlex.split(SERVICES["worker"]["healthcheck"]["test"][1])
    assert words[0] == "celery"
    module = importlib.import_module(words[words.index("--app") + 1])
    assert module.app.main == "foretaste"
    from celery.bin.celery import celery as program

    inspect = program.commands["inspect"]
    options = {option for parameter in inspect.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} - {"--app"} <= options


def test_the_clock_writes_the_file_that_its_health_check_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, arguments: started.append(arguments))
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    monkeypatch.setenv("FORETASTE_DATA_DIR", "/data")
    app(["beat"], standalone_mode=False)
    assert started[0][started[0].index("--schedule") + 1] == "/data/beat.db"
    assert "/data/beat.db" in SERVICES["beat"]["healthcheck"]["test"][1]


def test_a_gpu_worker_comes_with_a_profile_and_leaves_the_cpu_runs_to_the_other() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"worker-gpu": ["gpu"]}
    devices = [SERVICES[name]["environment"]["FORETASTE_DEVICES"] for name in ("worker", "worker-gpu")]
    assert devices == ["cpu", "cuda"]
    [device] = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["worker-gpu"]["image"] != SERVICES["worker"]["image"]
    assert (SERVICES["worker-gpu"]["command"], SERVICES["worker-gpu"]["depends_on"]) == (
        SERVICES["worker"]["command"],
        SERVICES["worker"]["depends_on"],
    )


def test_every_volume_is_declared_and_every_folder_is_the_images() -> None:
    named = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert {name for name in named if name.isidentifier()} == set(COMPOSE["volumes"])
    assert values("VOLUME") == [environment_of_image()["FORETASTE_DATA_DIR"]] == ["/data"]


def test_the_image_is_named_after_the_version() -> None:
    assert {service["image"].split(":")[1].removesuffix("-gpu") for service in OURS.values()} == {PROJECT["version"]}


def test_every_build_argument_is_one_of_the_dockerfile() -> None:
    known = {rest.split("=")[0] for rest in values("ARG")}
    for service in OURS.values():
        assert (ROOT / service["build"]["dockerfile"]).exists()
        assert set(service["build"]["args"]) <= known


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    sources = [source for rest in values("COPY") for source in rest.split()[:-1]]
    assert len(sources) >= 8
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in rules
        assert not any(fnmatch(source, rule) for rule in rules[1:] if not rule.startswith("!"))
    assert not any(fnmatch(".env", rule.removeprefix("!")) for rule in rules[1:])


def test_the_image_holds_every_package_of_the_wheel() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {source for rest in values("COPY") for source in rest.split()[:-1]}
    assert set(build["packages"]) <= copied
    assert {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "constraints.txt"} <= copied


def test_the_image_has_the_python_and_the_torch_that_we_test_with() -> None:
    [base] = values("FROM")
    version = re.match(r"python:(\d+\.\d+)-", base)
    assert version is not None
    assert PROJECT["requires-python"] == f">={version[1]}"
    torch = next(requirement for requirement in PROJECT["dependencies"] if requirement.startswith("torch=="))
    assert any(torch in rest for rest in values("RUN"))


def test_the_image_runs_as_somebody_without_power() -> None:
    assert values("USER") == ["foretaste"]
    assert values("CMD") == ['["foretaste", "api"]']


def test_every_variable_of_compose_is_in_the_example() -> None:
    used = {name for name, _, _ in VARIABLE.findall((ROOT / "docker-compose.yml").read_text())}
    assert used == {"TORCH_INDEX", "POSTGRES_PASSWORD", "CORPORA", "CORPUS_ROOTS", "FORETASTE_PUBLISH"}
    example = (ROOT / ".env.example").read_text()
    assert all(re.search(rf"^(# )?{name}=", example, re.M) for name in used)
    for name, mark, default in VARIABLE.findall((ROOT / "docker-compose.yml").read_text()):
        if mark == "-":
            assert f"# {name}={default}\n" in example
