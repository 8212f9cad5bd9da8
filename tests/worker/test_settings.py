"""Settings: every wrong value is named by its variable."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from worker.settings import Settings


def test_the_defaults_need_nothing(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path / 'foretaste.db'}"
    assert settings.artifact_dir == tmp_path / "artifacts"
    assert settings.owned_threads >= 1


def test_a_database_that_is_given_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETASTE_DATABASE_URL", "postgresql://db/foretaste")
    assert Settings(_env_file=None).resolved_database_url == "postgresql://db/foretaste"


@pytest.mark.parametrize("url", ["", "nonsense", "amqp://host", "redis://host:port/0", "redis://host/zero"])
def test_a_broker_that_cannot_be_one_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FORETASTE_BROKER_URL", url)
    with pytest.raises(ValidationError, match="broker_url"):
        Settings(_env_file=None)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "rediss://user:word@host", "redis://host:1/"])
def test_usual_brokers_are_accepted(url: str) -> None:
    assert Settings(_env_file=None, broker_url=url).broker_url == url


@pytest.mark.parametrize(
    ("given", "lanes", "threads"),
    [
        ({}, 6, 1),
        ({"lanes": 2}, 2, 3),
        ({"lanes": 8}, 8, 1),
        ({"devices": "cuda"}, 1, 6),
        ({"devices": "cpu"}, 6, 1),
        ({"ranks": 2}, 1, 6),
    ],
)
def test_lanes_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, object], lanes: int, threads: int
) -> None:
    monkeypatch.setattr("worker.settings.GPU_FILES", ())
    settings = Settings(_env_file=None, threads=6, **given)  # type: ignore[arg-type]
    assert (settings.resolved_lanes, settings.lane_threads) == (lanes, threads)


def test_ranks_share_the_cores_of_the_one_lane() -> None:
    settings = Settings(_env_file=None, threads=6, ranks=4)
    assert [settings.threads_a_rank(ranks) for ranks in (1, 2, 4, 8)] == [6, 3, 1, 1]
    assert Settings(_env_file=None, ranks=4, lanes=1).resolved_lanes == 1
    with pytest.raises(ValidationError, match="lanes is 2 and ranks is 4"):
        Settings(_env_file=None, ranks=4, lanes=2)


def test_a_gpu_is_seen_by_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("worker.settings.GPU_FILES", (str(tmp_path / "nvidia[0-9]*"),))
    assert Settings(_env_file=None).device_classes == ("cpu",)
    (tmp_path / "nvidia0").touch()
    assert Settings(_env_file=None).device_classes == ("cpu", "cuda")
    assert Settings(_env_file=None, devices="cpu+cuda").device_classes == ("cpu", "cuda")
    assert Settings(_env_file=None, devices="cuda").device_classes == ("cuda",)


def test_roots_are_a_list_and_folders_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Settings(_env_file=None).corpus_roots == ("/",)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORETASTE_CORPUS_ROOTS", "/data, s3://bucket/text/,relative,")
    assert Settings(_env_file=None).corpus_roots == ("/data", "s3://bucket/text/", str(tmp_path / "relative"))
    monkeypatch.setenv("FORETASTE_CORPUS_ROOTS", "")
    assert Settings(_env_file=None).corpus_roots == ()


def test_settings_reach_the_processes_that_a_service_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, corpus_roots=("/data", "s3://bucket/text"))
    for name, value in settings.model_dump(mode="json").items():
        monkeypatch.setenv(f"FORETASTE_{name.upper()}", str(value))
    assert Settings(_env_file=None) == settings


@pytest.mark.parametrize("url", ["", "s3://bucket/folder", "file:///mnt/shared", "memory://x", "sftp://u:p@host/x"])
def test_a_shared_store_is_a_folder_of_a_store(url: str) -> None:
    assert Settings(_env_file=None, shared_store=url).shared_store == url


@pytest.mark.parametrize(
    "url",
    ["/mnt/shared", "s3://", "file:///", "file://mnt/shared", "simplecache::s3://bucket/x", "s3://b/x?key=y", "x"],
)
def test_what_is_no_folder_of_a_store_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FORETASTE_SHARED_STORE", url)
    with pytest.raises(ValidationError, match="shared_store"):
        Settings(_env_file=None)
