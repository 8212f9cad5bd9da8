"""The life of an evaluation against a real PostgreSQL and a real Valkey, in processes of their own, over HTTP.

One service for the whole module: starting it costs more than all the tests.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from api.client import Client, ProblemError, Resource
from api.up import Stack, key_path, running_stack
from worker.settings import Settings

pytestmark = pytest.mark.processes

EXAMPLES = Path(__file__).parents[2] / "examples"
PROSE = "the a of data team asks which recipe gives best large model and how sure we are".split()
CODE = "def return self for in if not None import class ( ) : = + [ ] yield lambda".split()
PATIENCE_SECONDS = 90.0


def write_corpus(path: Path, words: list[str], *, documents: int, seed: int) -> Path:
    draw = random.Random(seed)
    lines = [
        json.dumps({"text": " ".join(draw.choices(words, k=draw.randint(30, 90))), "source": f"{path.stem}-{i // 3}"})
        for i in range(documents)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def stack(module_postgres_url: str, _valkey: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """API, worker and beat as processes; the database and the broker are not the embedded ones."""
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path_factory.mktemp("service"),
        database_url=module_postgres_url,
        broker_url=f"redis://127.0.0.1:{_valkey.port}/1",  # type: ignore[attr-defined]
        api_port=0,
        threads=2,
        compile=False,
        lease_seconds=3,
        heartbeat_seconds=0.5,
        reconcile_seconds=1,
    )
    with running_stack(settings) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service that has corpora, a tokenizer, a suite and a protocol."""
    client = Client(stack.url, key_path(stack.settings).read_text().strip())
    folder = tmp_path_factory.mktemp("corpora")
    sizes = {"prose": (PROSE, 300), "code": (CODE, 300), "prose-held-out": (PROSE, 24), "code-held-out": (CODE, 24)}
    for seed, (name, (words, documents)) in enumerate(sizes.items()):
        path = write_corpus(folder / f"{name}.jsonl", words, documents=documents, seed=seed)
        made = client.post("/v1/corpora", {"name": name, "uri": str(path), "fields": ["source"]})
        client.wait(f"/v1/corpora/{made['id']}", poll_seconds=0.1)
    training = {"vocabulary": 512, "corpora": ["prose", "code"], "sample_bytes": 100_000}
    made = client.post("/v1/tokenizers", {"name": "bpe", "train": training})
    vocabulary = client.wait(f"/v1/tokenizers/{made['id']}", poll_seconds=0.1)["vocabulary"]
    client.post("/v1/suites", yaml.safe_load((EXAMPLES / "suite.yaml").read_text()))
    protocol = yaml.safe_load((EXAMPLES / "protocol.yaml").read_text())
    protocol["architecture"]["vocabulary"] = vocabulary
    client.post("/v1/protocols", protocol)
    yield client
    client.close()


def mixture(name: str, prose: float, code: float) -> Resource:
    sources = [{"corpus": "prose", "weight": prose}, {"corpus": "code", "weight": code}]
    return {"name": name, "sources": [{**source, "max_epochs": 20} for source in sources]}


def ask(client: Client, recipe: object, **options: object) -> Resource:
    body = {"recipe": recipe, "protocol": "nano", "suite": "held-out", "seeds": 2, **options}
    return client.post("/v1/evaluations", body)


def finish(client: Client, evaluation: Resource) -> Resource:
    return client.wait(f"/v1/evaluations/{evaluation['id']}", poll_seconds=0.2)


def test_recipes_are_trained_and_ranked(client: Client) -> None:
    evaluations = [ask(client, mixture("even", 1, 1)), ask(client, mixture("nearly-all-code", 1, 19))]
    ended = [finish(client, evaluation) for evaluation in evaluations]
    assert [evaluation["state"] for evaluation in ended] == ["finished", "finished"]
    board = client.get("/v1/leaderboard", protocol="nano", suite="held-out")
    names = [entry["recipe"]["name"] for entry in board["entries"]]
    assert names.index("even") < names.index("nearly-all-code")
    assert all(entry["rank_low"] <= entry["rank"] <= entry["rank_high"] for entry in board["entries"])


def test_two_seeds_are_trained_side_by_side(stack: Stack, client: Client) -> None:
    finish(client, ask(client, mixture("side-by-side", 5, 3)))
    lines = (stack.settings.data_dir / "logs" / "worker.log").read_text().splitlines()
    trainers = {line.partition("]")[0].rpartition("/")[2] for line in lines if "cohort of" in line}
    assert len(trainers) > 1


def test_the_same_request_again_is_the_same_evaluation(client: Client) -> None:
    first = finish(client, ask(client, mixture("again", 3, 1)))
    second = ask(client, mixture("another-name-for-again", 6, 2))
    assert second["id"] == first["id"]
    assert [run["attempt"] for run in second["runs"]] == [1, 1]


def test_the_example_script_submits_the_example_recipe(client: Client, stack: Stack) -> None:
    key = key_path(stack.settings).read_text().strip()
    recipe = str(EXAMPLES / "recipe.yaml")
    options = ["--protocol", "nano", "--suite", "held-out", "--seeds", "1"]
    command = [sys.executable, str(EXAMPLES / "submit.py"), stack.url, key, *options, recipe]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "mostly-prose" in [name for _, name, _ in json.loads(done.stdout)]


def test_a_sweep_becomes_a_reference_with_the_label_it_earned(client: Client) -> None:
    finish(client, ask(client, mixture("even", 1, 1)))
    grid = [1e-5, 6e-3, 0.9]
    sweep = finish(client, ask(client, mixture("even", 1, 1), kind="reference", seeds=1, learning_rates=grid))
    for run in sweep["runs"]:
        if run["result"]:
            reference = {
                "reference_set": "large",
                "recipe": "even",
                "metric": "bits_per_byte",
                "direction": "lower",
                "value": run["scores"][0]["score"] if run["scores"] else None,
                "stopped_early": run["state"] != "finished",
                "learning_rate": run["learning_rate"],
                "parameters": 10**9,
                "tokens": 10**10,
            }
            client.post("/v1/references", reference)
    labels = {row["label"] for row in client.items("/v1/references", reference_set="large")}
    best = min((run for run in sweep["runs"] if run["scores"]), key=lambda run: run["scores"][0]["score"])
    assert labels == {"tuned" if best["learning_rate"] == grid[1] else "swept, at the edge"}
    agreement = client.get("/v1/agreement", protocol="nano", reference_set="large")
    assert (agreement["n"], agreement["is_evidence"], agreement["spearman_low"]) == (1, False, None)


def test_a_schedule_trains_nothing_twice(client: Client) -> None:
    finish(client, ask(client, mixture("even", 1, 1)))
    body = {"name": "nightly", "cron": "0 3 * * *", "protocol": "nano", "suite": "held-out", "seeds": 2}
    schedule = client.post("/v1/schedules", body)
    client.post(f"/v1/schedules/{schedule['id']}:trigger")
    second = client.post(f"/v1/schedules/{schedule['id']}:trigger")
    assert second["submitted"] == []
    assert len(second["reused"]) >= 1


def test_what_a_killed_worker_had_begun_is_finished_by_another(client: Client, stack: Stack) -> None:
    long_protocol = yaml.safe_load((EXAMPLES / "protocol.yaml").read_text()) | {"name": "long", "steps": 1000}
    long_protocol["architecture"]["vocabulary"] = client.get("/v1/protocols/nano")["spec"]["architecture"]["vocabulary"]
    client.post("/v1/protocols", long_protocol)
    evaluation = ask(client, mixture("killed", 1, 2) | {"sources": long_sources()}, protocol="long", seeds=1)
    anchors = [client.post("/v1/recipes", mixture(f"anchor-{k}", 7, k))["id"] for k in (2, 5, 9)]
    asked = {"protocol": "nano", "suite": "held-out", "anchors": anchors, "rates": [1e-4, 1e-3, 1e-2], "seeds": 2}
    search = client.post("/v1/rate-searches", asked)
    wait_for_step(client, evaluation["id"])
    worker = stack.service("worker").process
    assert worker is not None
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(PATIENCE_SECONDS)

    ended = tend_until_ended(client, stack, f"/v1/evaluations/{evaluation['id']}")
    assert (ended["state"], ended["runs"][0]["attempt"]) == ("finished", 2)
    search = tend_until_ended(client, stack, f"/v1/rate-searches/{search['id']}")
    assert search["state"] == "finished", search["error"]
    assert len(search["report"]["evidence"]) == 18
    assert [row["rate"] for row in search["report"]["rates"]] == asked["rates"]


def long_sources() -> list[Resource]:
    return [{"corpus": "prose", "weight": 1, "max_epochs": 200}, {"corpus": "code", "weight": 2, "max_epochs": 200}]


def wait_for_step(client: Client, evaluation_id: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if client.get(f"/v1/evaluations/{evaluation_id}")["runs"][0]["progress"].get("step"):
            return
        time.sleep(0.1)
    raise AssertionError("the run did not begin to train")


def tend_until_ended(client: Client, stack: Stack, path: str) -> Resource:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        stack.tend()
        found = client.get(path)
        if found["state"] not in ("queued", "running"):
            return found
        time.sleep(0.2)
    raise AssertionError(f"{path} did not end")


def refusal(client: Client, path: str, body: object) -> tuple[int, str]:
    """Status and text of a request that must be refused."""
    with pytest.raises(ProblemError) as refused:
        client.post(path, body)
    return refused.value.status, str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sources": [{"corpus": "prosa", "weight": 1}]}, ["/sources/0/corpus", "prosa", "prose"]),
        ({"sources": [{"corpus": "prose", "weight": -1}]}, ["/sources/0/weight", "-1"]),
        ({"sources": [{"corpus": "prose", "weight": 0}]}, ["all zero"]),
    ],
)
def test_a_wrong_recipe_is_refused_by_field_and_value(client: Client, change: Resource, words: list[str]) -> None:
    status, text = refusal(client, "/v1/recipes", {"name": "wrong", **change})
    assert status == 422
    assert all(word in text for word in words), text


def test_nan_and_broken_json_are_refused(client: Client, stack: Stack) -> None:
    headers = {"X-API-Key": key_path(stack.settings).read_text().strip(), "Content-Type": "application/json"}
    nan = httpx.post(
        f"{stack.url}/v1/recipes",
        content=b'{"name": "x", "sources": [{"corpus": "prose", "weight": NaN}]}',
        headers=headers,
    )
    assert nan.status_code == 422
    assert [(error["pointer"], error["value"]) for error in nan.json()["errors"]] == [("/sources/0/weight", "NaN")]
    broken = httpx.post(f"{stack.url}/v1/recipes", content=b"{", headers=headers)
    assert (broken.status_code, broken.headers["content-type"]) == (400, "application/problem+json")


def test_a_share_that_a_corpus_cannot_supply_is_refused(client: Client) -> None:
    recipe = {"name": "hungry", "sources": [{"corpus": "prose-held-out", "weight": 1}]}
    status, text = refusal(client, "/v1/evaluations", {"recipe": recipe, "protocol": "nano", "suite": "held-out"})
    assert status == 422
    assert "/sources/0/weight" in text


def test_training_on_the_validation_set_is_refused(client: Client) -> None:
    recipe = {"name": "leaking", "sources": [{"corpus": "prose-held-out", "weight": 1, "max_epochs": 100}]}
    status, text = refusal(client, "/v1/evaluations", {"recipe": recipe, "protocol": "nano", "suite": "held-out"})
    assert status == 422
    assert "validation set 'prose'" in text


def test_a_truncated_corpus_is_refused_and_leaves_nothing(client: Client, tmp_path: Path) -> None:
    import zstandard

    path = tmp_path / "cut.jsonl.zst"
    whole = zstandard.compress(b'{"text": "' + random.Random(0).randbytes(40_000).hex().encode() + b'"}\n')
    path.write_bytes(whole[: len(whole) // 2])
    status, text = refusal(client, "/v1/corpora", {"name": "cut", "uri": str(path)})
    assert status == 422
    assert "/uri" in text
    assert str(path) in text
    assert "cut" not in [corpus["name"] for corpus in client.items("/v1/corpora")]
