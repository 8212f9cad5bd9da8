"""Runs leave as Hugging Face checkpoints: over HTTP."""

import io
import json
import subprocess
import sys
import tarfile

from safetensors.numpy import load

from tests.api.service import PROTOCOL, Service, problem_of
from worker.store import models
from worker.store.sessions import session_scope

FILES = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}


def any_run(service: Service) -> str:
    with session_scope(service.sessions) as session:
        return str(session.query(models.Run).order_by(models.Run.id).first().id)  # type: ignore[union-attr]


def change(service: Service, run_id: str, **values: object) -> None:
    with session_scope(service.sessions) as session:
        row = session.get_one(models.Run, run_id)
        for name, value in values.items():
            setattr(row, name, value)


def test_an_export_is_a_tar_of_a_hugging_face_checkpoint(ranked: Service) -> None:
    run_id = any_run(ranked)
    answer = ranked.get(f"/v1/runs/{run_id}/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-tar")
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as packed:
        content = {name: packed.extractfile(name).read() for name in packed.getnames()}  # type: ignore[union-attr]
    assert set(content) == FILES
    config = json.loads(content["config.json"])
    shape = PROTOCOL["architecture"]
    assert (config["hidden_size"], config["vocab_size"]) == (shape["width"], shape["vocabulary"])
    weights = load(content["model.safetensors"])
    assert weights["model.embed_tokens.weight"].shape == (shape["vocabulary"], shape["width"])


def test_runs_that_cannot_be_exported_say_why(ranked: Service) -> None:
    run_id = any_run(ranked)
    assert ranked.get("/v1/runs/none/export").status_code == 404
    with session_scope(ranked.sessions) as session:
        stored = ranked.settings.artifact_dir / str(session.get_one(models.Run, run_id).checkpoint)
    stored.unlink()
    for values, status, words in (
        ({}, 404, "no longer stored"),
        ({"checkpoint": None}, 404, "no stored checkpoint"),
        ({"state": "running"}, 409, "is running"),
    ):
        change(ranked, run_id, **values)
        answer = ranked.get(f"/v1/runs/{run_id}/export")
        assert answer.status_code == status
        assert words in problem_of(answer)["detail"]
        assert run_id in problem_of(answer)["detail"]


def test_an_export_loads_no_torch(ranked: Service) -> None:
    program = f"""
import sys
from fastapi.testclient import TestClient
from api.main import create_app
from worker.settings import Settings
with TestClient(create_app(Settings(_env_file=None, data_dir={str(ranked.settings.data_dir)!r}))) as http:
    assert http.get("/v1/runs/{any_run(ranked)}/export").status_code == 200
print("torch" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "False"
