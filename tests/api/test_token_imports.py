"""Corpora of another tool's tokens over HTTP: trained on as any other, and refused where text is needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from proxy.data.tokenizers import Tokenizer
from tests.api.conftest import serving, settings_in
from tests.api.service import EVALUATION, PROTOCOL, SUITE, Service, pointers_of, problem_of
from tests.worker.engine.corpora import write_corpus
from worker.artifacts import tokenizer_path
from worker.queue import Bell


def tokenizer_of(service: Service, name: str = "bpe") -> Tokenizer:
    (row,) = (row for row in service.get("/v1/tokenizers").json()["items"] if row["name"] == name)
    return Tokenizer.from_json(tokenizer_path(service.settings, row["fingerprint"]).read_text())


def write_tokens(service: Service, folder: Path, documents: int = 60, seed: int = 5) -> dict[str, str]:
    """What another tool would have left: tokens, offsets and bytes a document."""
    lines = write_corpus(folder / "source.jsonl", documents, seed).read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    rows = tokenizer_of(service).encode_batch(texts)
    np.concatenate(rows).astype("<u2").tofile(folder / "tokens.bin")
    np.save(folder / "offsets.npy", np.cumsum([0, *map(len, rows)]))
    np.save(folder / "bytes.npy", np.array([len(text.encode()) for text in texts]))
    return {"tokens": str(folder / "tokens.bin"), "offsets": str(folder / "offsets.npy")}


def imported(service: Service, folder: Path, name: str = "theirs", **options: Any) -> dict[str, Any]:
    body = {"name": name, "tokenizer": "bpe", **write_tokens(service, folder), **options}
    made = service.made("/v1/corpora:import-tokens", body)
    service.work()
    row: dict[str, Any] = service.get(f"/v1/corpora/{made['id']}").json()
    assert row["state"] == "finished", row["error"]
    return row


def recipe_of(**source: Any) -> dict[str, Any]:
    return {"name": "r", "sources": [{"corpus": "theirs", "weight": 1, "max_epochs": 50, **source}]}


def test_tokens_become_a_corpus_that_says_what_it_cannot_do(service: Service, tmp_path: Path) -> None:
    body = {"name": "theirs", "tokenizer": "bpe", **write_tokens(service, tmp_path)}
    answer = service.post("/v1/corpora:import-tokens", body)
    row = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/corpora/{row['id']}")
    assert service.rung == [Bell.JOBS]
    assert service.post("/v1/corpora:import-tokens", body).status_code == 200
    service.work()
    row = service.get(answer.headers["location"]).json()
    assert (row["state"], row["documents"], row["text_bytes"], row["characters"]) == ("finished", 60, None, None)
    assert row["tokens"] == np.load(tmp_path / "offsets.npy")[-1]
    assert row["tokenizer"] == tokenizer_of(service).fingerprint
    assert any("bits per byte" in sentence for sentence in row["lost"])
    assert any("filters" in sentence for sentence in row["lost"])
    assert service.get(f"/v1/jobs/{row['job_id']}").json()["kind"] == "import_tokens"
    assert service.post("/v1/corpora:import-tokens", body).json()["id"] == row["id"]
    (tmp_path / "tokens.bin").touch()
    assert service.post("/v1/corpora:import-tokens", body).json()["revision"] == 2


def test_a_recipe_of_imported_tokens_is_previewed_and_trained(service: Service, tmp_path: Path) -> None:
    row = imported(service, tmp_path)
    service.made("/v1/suites", SUITE)
    service.made("/v1/protocols", PROTOCOL)
    mixed = recipe_of()
    mixed["sources"].append({"corpus": "web", "weight": 1, "max_epochs": 50})
    for query in ("", "?protocol=tiny"):
        report = service.made(f"/v1/recipes:validate{query}", recipe_of())
        assert report["is_estimate"] is False
        assert report["sources"][0]["available_tokens"] == row["tokens"] + row["documents"]
    for recipe in (recipe_of(), mixed):
        evaluation = service.made("/v1/evaluations", {**EVALUATION, "recipe": recipe, "seeds": 1})
        service.work()
        ended = service.get(f"/v1/evaluations/{evaluation['id']}").json()
        assert (ended["state"], ended["error"]) == ("finished", None)
        uses = {use["corpus"]: use["drawn_tokens"] for use in ended["runs"][0]["result"]["plan"]}
        assert uses["theirs"] > 0


@pytest.mark.parametrize(
    ("source", "pointer"),
    [
        ({"filters": [{"kind": "length", "minimum": 10}]}, "/sources/0/filters/0"),
        ({"filters": [{"kind": "statistic", "statistic": "words", "minimum": 1}]}, "/sources/0/filters/0/statistic"),
        ({"filters": [{"kind": "heuristic", "heuristic": "gopher-quality"}]}, "/sources/0/filters/0/heuristic"),
        (
            {"filters": [{"kind": "quantile", "statistic": "words", "low": 0.5, "high": 1}]},
            "/sources/0/filters/0/statistic",
        ),
        ({"filters": [{"kind": "field", "field": "page", "minimum": 1}]}, "/sources/0/filters/0/field"),
        ({"dedup": {"kind": "near"}}, "/sources/0/dedup"),
    ],
)
def test_what_reads_text_is_refused_where_it_is_asked_for(
    imported_service: Service, source: dict[str, Any], pointer: str
) -> None:
    answer = imported_service.post("/v1/recipes:validate", recipe_of(**source))
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer]), answer.text
    body = {**EVALUATION, "recipe": recipe_of(**source)}
    submitted = imported_service.post("/v1/evaluations", body)
    assert (submitted.status_code, pointers_of(submitted)) == (422, [f"/recipe{pointer}"])


def test_another_tokenizer_and_decontamination_are_refused(imported_service: Service, tmp_path: Path) -> None:
    service = imported_service
    train = {"vocabulary": 300, "corpora": ["held"], "sample_bytes": 1000}
    service.made("/v1/tokenizers", {"name": "other", "train": train})
    service.work()
    vocabulary = service.get("/v1/tokenizers").json()["items"][-1]["vocabulary"]
    architecture = {**PROTOCOL["architecture"], "vocabulary": vocabulary}
    service.made("/v1/protocols", {**PROTOCOL, "name": "wide", "tokenizer": "other", "architecture": architecture})
    answer = service.post("/v1/recipes:validate?protocol=wide", recipe_of())
    assert pointers_of(answer) == ["/sources/0/corpus"]
    assert "bpe" in problem_of(answer)["errors"][0]["detail"]

    service.made("/v1/protocols", {**PROTOCOL, "name": "clean", "decontamination": {"corpus": "held"}})
    assert pointers_of(service.post("/v1/recipes:validate?protocol=clean", recipe_of())) == ["/decontaminate"]
    service.made("/v1/recipes:validate?protocol=clean", {**recipe_of(), "decontaminate": False})


def test_only_tokens_with_bytes_are_a_validation_set(imported_service: Service, tmp_path: Path) -> None:
    service = imported_service
    suite = {"name": "theirs", "sets": [{"name": "held", "corpus": "theirs"}]}
    assert pointers_of(service.post("/v1/suites", suite)) == ["/sets/0/corpus"]
    (tmp_path / "b").mkdir()
    row = imported(service, tmp_path / "b", "held-tokens", text_bytes=str(tmp_path / "b" / "bytes.npy"))
    assert row["text_bytes"] == np.load(tmp_path / "b" / "bytes.npy").sum()
    service.made("/v1/suites", {"name": "theirs", "sets": [{"name": "held", "corpus": "held-tokens"}]})
    recipe = {"name": "w", "sources": [{"corpus": "web", "weight": 1, "max_epochs": 50}]}
    body = {**EVALUATION, "recipe": recipe, "suite": "theirs", "seeds": 1}
    evaluation = service.made("/v1/evaluations", body)
    service.work()
    ended = service.get(f"/v1/evaluations/{evaluation['id']}").json()
    assert (ended["state"], ended["error"]) == ("finished", None)


def test_decoded_tokens_can_be_filtered_by_length(service: Service, tmp_path: Path) -> None:
    row = imported(service, tmp_path, text_bytes="decode")
    assert row["text_bytes"] == np.load(tmp_path / "bytes.npy").sum()
    assert row["characters"] == row["text_bytes"]  # ASCII
    report = service.made(
        "/v1/recipes:validate", recipe_of(filters=[{"kind": "length", "minimum": row["characters"] // 60}])
    )
    assert 0 < report["sources"][0]["kept_documents"] < 60


def test_what_needs_text_elsewhere_is_refused(imported_service: Service) -> None:
    service = imported_service
    assert pointers_of(service.post("/v1/corpora/theirs:tokenise", {"tokenizer": "bpe"})) == ["/corpus"]
    train = {"vocabulary": 300, "corpora": ["theirs"], "sample_bytes": 9000}
    assert pointers_of(service.post("/v1/tokenizers", {"name": "t", "train": train})) == ["/train/corpora/0"]
    protocol = {**PROTOCOL, "name": "p", "decontamination": {"corpus": "theirs"}}
    assert pointers_of(service.post("/v1/protocols", protocol)) == ["/decontamination/corpus"]


def test_an_imported_corpus_is_retired_without_its_files(imported_service: Service) -> None:
    service = imported_service
    rows = [row for row in service.get("/v1/corpora").json()["items"] if row["name"] == "theirs"]
    before = Path(rows[0]["uri"]).read_bytes()
    assert service.delete("/v1/corpora/theirs?reason=gone").json()["purged_files"] > 0
    assert Path(rows[0]["uri"]).read_bytes() == before
    assert [path for path in service.settings.artifact_dir.rglob("*") if rows[0]["fingerprint"] in str(path)] == []
    body = {"name": "theirs", "tokenizer": "bpe", "tokens": rows[0]["uri"]}
    body["offsets"] = str(Path(rows[0]["uri"]).with_name("offsets.npy"))
    assert pointers_of(service.post("/v1/corpora:import-tokens", body)) == ["/tokens"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"tokens": "/nowhere/tokens.bin"}, "/tokens"),
        ({"tokens": "/"}, "/tokens"),
        ({"tokens": "s3://bucket/tokens.bin"}, "/tokens"),
        ({"tokens": "/" + "x" * 5000}, "/tokens"),
        ({"offsets": "/nowhere/offsets.npy"}, "/offsets"),
        ({"text_bytes": "/nowhere/bytes.npy"}, "/text_bytes"),
        ({"dtype": "float32"}, "/dtype"),
        ({"tokenizer": "none"}, "/tokenizer"),
        ({"name": ""}, "/name"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_what_is_wrong_with_an_import_is_said_at_once(
    service: Service, tmp_path: Path, change: dict[str, str], pointer: str
) -> None:
    body = {"name": "theirs", "tokenizer": "bpe", **write_tokens(service, tmp_path), **change}
    answer = service.post("/v1/corpora:import-tokens", body)
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])
    assert service.rung == []


def test_tokens_outside_the_roots_are_refused(service: Service, tmp_path: Path) -> None:
    files = write_tokens(service, tmp_path)
    inside = tmp_path / "inside"
    inside.mkdir()
    link = inside / "link.bin"
    link.symlink_to(files["tokens"])
    with serving(service.settings.model_copy(update={"corpus_roots": (str(inside),)})) as fenced:
        for path in (files["tokens"], str(inside / ".." / "tokens.bin"), str(link)):
            answer = fenced.post("/v1/corpora:import-tokens", {"name": "x", "tokenizer": "bpe", "tokens": path})
            assert (answer.status_code, pointers_of(answer)) == (422, ["/tokens"])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"offsets": None, "tokens": "noise.bin"}, "/tokens"),
        ({"offsets": "bytes.npy"}, "/offsets"),
        ({"text_bytes": "offsets.npy"}, "/text_bytes"),
        ({"text_bytes": "tokens.bin"}, "/text_bytes"),
    ],
)
def test_what_only_reading_shows_fails_the_corpus_with_the_reason(
    service: Service, tmp_path: Path, options: dict[str, str | None], word: str
) -> None:
    files = write_tokens(service, tmp_path)
    (tmp_path / "noise.bin").write_bytes(b"\xff" * 64)
    named = {field: None if name is None else str(tmp_path / name) for field, name in options.items()}
    made = service.made("/v1/corpora:import-tokens", {"name": "theirs", "tokenizer": "bpe", **files, **named})
    service.work()
    row = service.get(f"/v1/corpora/{made['id']}").json()
    assert (row["state"], row["fingerprint"]) == ("failed", None)
    assert row["error"].startswith(word)


@pytest.fixture(scope="module")
def imported_folder(registered_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import shutil

    folder = tmp_path_factory.mktemp("imported")
    shutil.copytree(registered_folder, folder / "data")
    with serving(settings_in(folder / "data")) as service:
        imported(service, folder)
        service.made("/v1/suites", SUITE)
        service.made("/v1/protocols", PROTOCOL)
    return folder / "data"


@pytest.fixture
def imported_service(imported_folder: Path, tmp_path: Path) -> Any:
    import shutil

    with serving(settings_in(shutil.copytree(imported_folder, tmp_path / "data"))) as service:
        yield service
