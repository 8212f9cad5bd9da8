"""The console command against a real server on loopback."""

import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
import yaml
from typer.testing import CliRunner, Result

from api import cli
from api.up import free_port
from proxy.data.tokenizers import train_tokenizer
from proxy.ranking.rate_search import Ladder, search_rate
from tests.api.service import EVALUATION, PROTOCOL, RECIPE, REFERENCE, SUITE, Service, wait_for
from tests.api.test_exports import FILES, any_run
from tests.proxy.ranking.rate_search.ladders import ladder_of
from tests.worker.engine.corpora import write_corpus
from worker.engine import work_until_idle
from worker.settings import Settings, get_settings
from worker.store.models import Job, RateSearch, Recipe, Replication
from worker.store.sessions import session_scope
from worker.store.states import State

Run = Callable[..., Result]


@pytest.fixture
def run(ranked: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Runs a command against the ranked service; whoever rings finds a worker that works at once."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(ranked.app, port=port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    monkeypatch.setattr("api.dependencies.ring", lambda *_: work_until_idle(ranked.sessions, ranked.settings))
    monkeypatch.setenv("FORETASTE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("FORETASTE_API_KEY", ranked.key)
    monkeypatch.setenv("FORETASTE_DATA_DIR", str(ranked.settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    wait_for(lambda: server.started)
    yield lambda *arguments: CliRunner().invoke(cli.app, [str(part) for part in arguments])
    server.should_exit = True
    thread.join()


def spec(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))
    return path


def good(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_everything_is_registered_from_files(run: Run, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "more.jsonl", 20, 5)
    assert "more@1: 20 documents" in good(run("corpus", "add", "more", corpus.name, "--field", "page"))
    flat = tmp_path / "tokens.bin"
    flat.write_bytes(bytes([50, 0, 51, 0, 52, 0]))
    said = good(run("corpus", "import-tokens", "theirs", flat, "bpe"))
    assert "theirs@1: 1 documents, 3 tokens" in said
    assert "lost: no bytes of text" in said
    own = tmp_path / "own.json"
    own.write_text(train_tokenizer(["a small text"] * 3, 270))
    assert "own: vocabulary 2" in good(run("tokenizer", "add", "own", own))
    assert "small: vocabulary 2" in good(run("tokenizer", "train", "small", "more", "--vocabulary", 280))
    assert "more: 20 documents, " in good(run("corpus", "tokenise", "more", "small"))
    said = good(run("corpus", "retire", "more@1", "--reason", "licence ended"))
    assert "more@1: retired, " in said
    assert "were not touched" in " ".join(said.split())
    assert "held-out@1" in good(run("suite", "add", spec(tmp_path / "suite.yaml", SUITE)))
    assert "tiny@2" in good(run("protocol", "add", spec(tmp_path / "p.yaml", {**PROTOCOL, "steps": 5})))
    rule = {"name": "nightly", "cron": "0 3 * * *", "protocol": "tiny", "suite": "held-out", "seeds": 1}
    assert "nightly" in good(run("schedule", "add", spec(tmp_path / "rule.yaml", rule)))
    assert "0 3 * * *" in good(run("schedule", "list"))
    assert good(run("key", "create", "ci")).startswith("ft_")


def test_a_job_is_shown_and_cancelled(run: Run, ranked: Service) -> None:
    with session_scope(ranked.sessions) as session:
        job = Job(kind="tokenise_corpus", payload={"run_id": "of no protocol, so that no worker takes it"})
        session.add(job)
    assert json.loads(good(run("job", "show", job.id)))["kind"] == "tokenise_corpus"
    assert f"{job.id}: cancelled" in good(run("job", "cancel", job.id))
    assert ranked.get(f"/v1/jobs/{job.id}").json()["state"] == "cancelled"


def test_results_are_shown_and_compared(run: Run, tmp_path: Path) -> None:
    assert "only-web" in good(run("leaderboard"))
    assert json.loads(good(run("leaderboard", "--json", "--protocol", "tiny")))["entries"]
    references = [REFERENCE, {**REFERENCE, "recipe": "only-web", "value": 1.0}]
    assert good(run("reference", "add", spec(tmp_path / "refs.yaml", references))).count("single") == 2
    assert "only-web" not in good(run("reference", "add", spec(tmp_path / "ref.json", REFERENCE)))
    assert good(run("agreement", "--reference-set", "big"))
    assert json.loads(good(run("agreement", "--json")))["n"] == 2
    paired = run("agreement", "--protocol", "tiny", "--against", "tiny@1")
    assert "is the protocol itself" in str(paired.exception)
    assert "give --protocol" in run("agreement", "--against", "tiny").output
    assert "but for the learning rate" in str(run("flips", "even", "only-web").exception)


def test_a_table_of_results_is_imported_and_its_faults_are_shown(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "past.csv"
    table.write_text(
        "kind,proxy_set,reference_set,recipe,metric,direction,value,parameters,tokens\n"
        "proxy,past,,even,loss,lower,1,1,1\nreference,,large,even,loss,lower,2,9,9\nproxy,past,,x,loss,lower,nan,1,1\n"
    )
    refused = run("reference", "import", table)
    assert refused.exit_code == 1
    assert "/rows/2/value" in str(refused.exception)
    said = good(run("reference", "import", table, "--partial"))
    assert "2 imported, 0 unchanged, 1 refused" in said
    assert "/rows/2/value: line 4" in said
    body = json.loads(good(run("reference", "import", table, "--partial", "--allow-unregistered", "--json")))
    assert (body["imported"], body["unchanged"], body["refused"]) == (0, 2, 1)
    assert "No evidence: only 1 recipe has both" in " ".join(good(run("agreement", "--proxy-set", "past")).split())


def test_a_recipe_is_checked_submitted_and_watched(run: Run, ranked: Service, tmp_path: Path) -> None:
    file = spec(tmp_path / "even.yaml", RECIPE)
    assert json.loads(good(run("recipe", "check", file, "--suite", "held-out", "--json")))["leaks"] == 0
    shown = good(run("recipe", "check", file, "--protocol", "tiny"))
    assert "One run: 128 tokens" in shown
    assert "web (/sources/0)" in shown
    assert "sources/code" in good(run("recipe", "diff", "even", "only-web"))
    assert "The same content." in good(run("recipe", "diff", "even", "even"))
    assert json.loads(good(run("recipe", "diff", "even", "only-web", "--json")))["a"]["name"] == "even"
    options = ("--protocol", "tiny", "--suite", "held-out")
    assert "is finished" in good(run("submit", file, *options))
    assert json.loads(good(run("submit", file, *options, "--json", "--no-watch")))["state"] == "finished"
    later = json.loads(good(run("submit", file, *options, "--first-seed", "7", "--json", "--no-watch")))
    assert [one["seed"] for one in later["runs"]] == [7, 8]
    refused = str(run("submit", file, *options, "--first-seed", "-1").exception)
    assert "--first-seed" in refused
    assert "-1" in refused
    evaluation = ranked.made("/v1/evaluations", EVALUATION)["id"]
    assert "finished" in good(run("watch", evaluation))
    assert "0 evaluations submitted, 2 already there" in fire(run, tmp_path)


def fire(run: Run, folder: Path) -> str:
    rule = {"name": "now", "cron": "0 3 * * *", "protocol": "tiny", "suite": "held-out", "seeds": 2}
    good(run("schedule", "add", spec(folder / "rule.yaml", rule)))
    return good(run("schedule", "trigger", "now"))


def test_a_failed_evaluation_is_an_exit_status(run: Run, ranked: Service, tmp_path: Path) -> None:
    from worker.store.models import Evaluation
    from worker.store.sessions import session_scope
    from worker.store.states import State

    with session_scope(ranked.sessions) as session:
        row = session.query(Evaluation).order_by(Evaluation.created_at).first()
        assert row is not None
        row.state = State.FAILED
    assert run("watch", row.id).exit_code == 1


def test_doctor_names_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "✗" not in good(run("doctor"))
    monkeypatch.setenv("FORETASTE_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    get_settings.cache_clear()
    result = run("doctor", "--url", f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert result.output.count("✗") == 2
    assert "start one with" in result.output


def test_a_shared_store_is_looked_at_and_filled(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is not set" in refusal(capsys, monkeypatch, "share")
    monkeypatch.setenv("FORETASTE_SHARED_STORE", f"file://{tmp_path}/mnt")
    get_settings.cache_clear()
    result = run("doctor")
    assert result.exit_code == 1
    assert "is it mounted" in " ".join(result.output.split())
    (tmp_path / "mnt").mkdir()
    assert "answers" in good(run("doctor"))
    assert "in the shared store" in good(run("share"))
    kinds = {path.name for path in (tmp_path / "mnt").iterdir()}
    assert {"tokens", "documents", "tokenizers", "losses", "checkpoints"} <= kinds


def test_a_password_in_a_setting_is_not_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORETASTE_SHARED_STORE", "sftp://user:secret@host/x?y")
    get_settings.cache_clear()
    said = refusal(capsys, monkeypatch, "doctor")
    assert "FORETASTE_SHARED_STORE: " in said
    assert "sftp://…@host/x?y" in said
    assert "secret" not in said


def test_doctor_says_that_the_database_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORETASTE_DATA_DIR", str(tmp_path / "not" / "yet"))
    get_settings.cache_clear()
    result = CliRunner().invoke(cli.app, ["doctor", "--url", f"http://127.0.0.1:{free_port()}"])
    assert "is made at" in " ".join(result.output.split())


def foretaste(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api.cli", *(str(part) for part in arguments)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_migrating_makes_the_database(tmp_path: Path) -> None:
    done = foretaste("migrate", FORETASTE_DATA_DIR=str(tmp_path / "new"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "newest schema" in " ".join(done.stdout.split())
    assert (tmp_path / "new" / "foretaste.db").exists()


def refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """What `foretaste` prints when it refuses, in this process."""
    monkeypatch.setattr(sys, "argv", ["foretaste", *(str(part) for part in arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return " ".join(text.split())


def test_what_is_wrong_is_one_message(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: object) -> str:
        return refusal(capsys, monkeypatch, *arguments)

    misspelt = spec(tmp_path / "r.yaml", {"name": "r", "sources": [{"corpus": "wbe", "weight": 1}]})
    assert "/sources/0/corpus: no such corpus; did you mean web?" in said("recipe", "check", misspelt)
    assert "FILE: cannot be read" in said("suite", "add", tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("day: 2026-99-99")
    assert "is neither YAML nor JSON" in said("protocol", "add", tmp_path / "bad.yaml")
    rates = spec(tmp_path / "nan.yaml", {**PROTOCOL, "standard_rate": float("nan")})
    assert "/standard_rate" in said("protocol", "add", rates)
    assert "Service unreachable" in said("leaderboard", "--url", f"http://127.0.0.1:{free_port()}")
    assert "is no address" in said("leaderboard", "--url", "http://here:port")
    monkeypatch.setenv("FORETASTE_THREADS", "many")
    get_settings.cache_clear()
    assert "FORETASTE_THREADS: " in said("migrate")


def test_the_key_comes_from_the_data_folder_unless_it_may_not_be_read(
    run: Run, ranked: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORETASTE_API_KEY")
    stored = ranked.settings.data_dir / "api-key"
    stored.write_text(ranked.key + "\n")
    assert good(run("key", "create", "ci")).startswith("ft_")
    stored.unlink()
    stored.mkdir()
    assert "API key missing" in refusal(capsys, monkeypatch, "key", "create", "ci")


def test_roles_become_the_programs_they_stand_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []
    monkeypatch.setenv("FORETASTE_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command[1:]))
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: became.append([app, str(options["port"])]))
    for role in ("worker", "beat", "api"):
        good(CliRunner().invoke(cli.app, [role]))
    assert became[0][:5] == ["-m", "celery", "--app", "worker.app", "worker"]
    assert str(tmp_path / "beat.db") in became[1]
    assert became[2] == ["api.main:create_app", "8321"]


def test_up_serves_until_it_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack itself is driven by the acceptance tests; here its parts only sleep."""
    from contextlib import contextmanager

    from api import up

    looks = 0

    def tend() -> list[str]:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise KeyboardInterrupt
        return ["worker"]

    @contextmanager
    def stack(settings: Settings) -> Iterator[object]:
        class Running:
            url, new_key = f"http://127.0.0.1:{settings.api_port}", "ft_new"

        Running.tend = staticmethod(tend)  # type: ignore[attr-defined]
        yield Running

    monkeypatch.setattr(up, "running_stack", stack)
    result = CliRunner().invoke(cli.app, ["up", "--port", "4242", "--data-dir", str(tmp_path)])
    assert looks == 2
    for words in ("http://127.0.0.1:4242", "ft_new", "Stopping."):
        assert words in result.output
    assert "worker had died" in result.output


def test_demo_and_study_are_handed_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr("api.demo.run.run_demo", lambda **options: asked.append(options))
    monkeypatch.setattr("api.demo.run.run_study", lambda **options: asked.append(options))
    good(CliRunner().invoke(cli.app, ["demo", "--quick", "--folder", str(tmp_path)]))
    good(CliRunner().invoke(cli.app, ["study-small", str(tmp_path)]))
    assert (asked[0]["is_quick"], asked[0]["keep"], asked[0]["folder"]) == (True, False, tmp_path)
    assert asked[1]["corpora"] == tmp_path


def test_the_terminal_writes_the_folder_whole_or_not_at_all(
    run: Run,
    ranked: Service,
    tmp_path: Path,
) -> None:
    run_id = any_run(ranked)
    out = tmp_path / "new" / "proxy"
    assert run_id in good(run("run", "export", run_id, "--out", out))
    assert {file.name for file in out.iterdir()} == FILES
    assert [file.name for file in out.parent.iterdir()] == ["proxy"]
    again = run("run", "export", run_id, "--out", out)
    assert (again.exit_code, "exists already" in str(again.exception)) == (1, True)
    unknown = run("run", "export", "nobody", "--out", tmp_path / "other")
    assert (unknown.exit_code, "no run 'nobody'" in str(unknown.exception)) == (1, True)
    assert not (tmp_path / "other").exists()
    (tmp_path / "file").write_text("")
    inside = run("run", "export", run_id, "--out", tmp_path / "file" / "out")
    assert "cannot be written" in str(inside.exception)


def test_presets_are_listed(run: Run) -> None:
    listed = good(run("protocol", "presets"))
    assert "124,439,808" in listed
    assert "pythia-1b" in listed


def test_the_documented_rate_search_says_its_cost_before_anything_is_queued(
    run: Run, ranked: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of its runs are the control on shuffled tokens. Four are there: they were trained for the ranking, at the
    same rate."""
    monkeypatch.setattr("api.dependencies.ring", lambda *_: None)
    ranked.made("/v1/recipes", {"name": "only-code", "sources": RECIPE["sources"][1:]})
    document = (Path(__file__).parents[2] / "docs" / "rate-search.md").read_text()
    command = next(line for line in document.splitlines() if line.startswith("foretaste rate-search"))
    arguments = shlex.split(command)[1:]
    cost = "21 runs, 4 of them finished already; 17 to train"
    assert cost in good(run(*arguments, "--estimate"))
    assert json.loads(good(run(*arguments, "--estimate", "--json")))["runs_to_train"] == 17
    assert ranked.get("/v1/rate-searches").json()["items"] == []
    said = good(run(*arguments, "--no-watch"))
    assert cost in said
    search = ranked.get("/v1/rate-searches").json()["items"][0]
    assert f"rate search {search['id']}: running" in said
    assert json.loads(good(run(*arguments, "--no-watch", "--json")))["progress"]["ended"] == 4
    refused = run("rate-search", "tiny", "even", "only-web", "--suite", "held-out")
    assert refused.exit_code == 1
    assert "/anchors" in str(refused.exception)


@pytest.mark.parametrize(
    ("place", "reason"),
    [("a-file/x.png", "cannot be written"), ("folder.png", "Is a directory"), ("x.foo", "must end in .png")],
)
def test_a_picture_that_cannot_be_written_is_refused_before_anything_is_queued(
    run: Run, ranked: Service, tmp_path: Path, place: str, reason: str
) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "folder.png").mkdir()
    ranked.made("/v1/recipes", {"name": "only-code", "sources": RECIPE["sources"][1:]})
    search = ["rate-search", "tiny", "even", "only-web", "only-code", "--suite", "held-out", "--no-watch"]
    refused = run(*search, "--picture", tmp_path / place)
    assert refused.exit_code == 1
    assert "--picture" in str(refused.exception)
    assert reason in str(refused.exception)
    assert ranked.get("/v1/rate-searches").json()["items"] == []


def test_a_rate_search_that_has_ended_is_told_with_its_gates(run: Run, ranked: Service) -> None:
    """Followed until it has ended; its report is the rule's, on a ladder that chooses and on one that does not."""
    ranked.made("/v1/recipes", {"name": "only-code", "sources": RECIPE["sources"][1:]})
    body = {"protocol": "tiny", "suite": "held-out", "anchors": ["even", "only-web", "only-code"]}
    search = ranked.made("/v1/rate-searches", {**body, "rates": [1e-4, 1e-3, 1e-2], "seeds": 2})
    arguments = ["rate-search", "tiny", *body["anchors"], "--suite", "held-out", "--seeds", 2]
    arguments += ["--rate", 1e-4, "--rate", 1e-3, "--rate", 1e-2]
    end_search(ranked, search["id"], ladder_of())
    said = " ".join(good(run(*arguments, "--picture", "search.png")).split())
    assert Path("search.png").stat().st_size > 10_000
    assert "0.0001 is the lowest rate that passes every gate" in said
    assert "tuning, and hence a reduced rate, matters little" in said
    assert f"Stored as {PROTOCOL['name']}@1." in said
    end_search(ranked, search["id"], ladder_of(lambda *_: {"progress": {"prose": 0.1}}))
    said = " ".join(good(run(*arguments)).split())
    assert "✗ progress" in said
    assert "No rate up to 0.0003 passes; what fails there: progress." in said


def test_the_documented_replication_says_its_cost_before_anything_is_queued(
    run: Run, ranked: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds of two recipes are there; the third's are to train. Followed until it has ended, it is told."""
    monkeypatch.setattr("api.dependencies.ring", lambda *_: None)
    ranked.made("/v1/recipes", {"name": "only-code", "sources": RECIPE["sources"][1:]})
    document = (Path(__file__).parents[2] / "docs" / "replication.md").read_text()
    command = next(line for line in document.splitlines() if line.startswith("foretaste evaluate"))
    arguments = shlex.split(command)[1:]
    cost = "The first look is at 6 runs, 4 of them finished already. The budget pays for "
    said = good(run(*arguments, "--estimate"))
    assert "3 recipes under tiny@1 on held-out@1: a new race, with an error rate of its own\n" in said
    assert cost in said
    assert "all seeds would be 48" in said
    assert json.loads(good(run(*arguments, "--estimate", "--json")))["runs_to_train_until_first_look"] == 2
    assert ranked.get("/v1/replications").json()["items"] == []
    said = good(run(*arguments, "--no-watch"))
    race = ranked.get("/v1/replications").json()["items"][0]
    assert cost in said
    assert f"replication {race['id']}: running" in said
    assert json.loads(good(run(*arguments, "--no-watch", "--json")))["progress"]["queued"] == 2
    end_race(ranked, race["id"])
    said = " ".join(good(run(*arguments)).split())
    assert "The best of 3 recipes is even." in said
    assert "at most 0.05, over all recipes and looks (1 look, 0.0071 of it spent)" in said
    assert "✓ among the best" in said
    short = ["evaluate", "--resolve", "best", "--budget", "2h"]
    said = good(run(*short, "--estimate"))
    assert f"3 recipes under tiny@1 on held-out@1: replication {race['id']} again\n" in said
    said = good(run(*short, "--estimate", "--error-rate", 0.1))
    assert "2 recipes under tiny@1 on held-out@1: a new race" in said
    assert "The first look is at 4 runs, 4 of them" in said
    refused = run(*short[:3], "--budget", "0h")
    assert refused.exit_code == 1
    assert "/budget" in str(refused.exception)
    assert run("evaluate", "--budget", "2h").exit_code == 2  # what to resolve is missing


FOLLOWED = {
    "rate-searches": ("rate-search", "tiny", "even", "only-web", "only-code", "--suite", "held-out"),
    "replications": ("evaluate", "even", "only-web", "only-code", "--resolve", "best", "--max-runs", 50),
}


@pytest.mark.parametrize("noun", FOLLOWED)
def test_who_stops_watching_knows_what_goes_on_and_can_cancel_it(
    run: Run, ranked: Service, monkeypatch: pytest.MonkeyPatch, noun: str
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.dependencies.ring", lambda *_: None)
    monkeypatch.setattr("api.following.time", SimpleNamespace(sleep=interrupt))
    ranked.made("/v1/recipes", {"name": "only-code", "sources": RECIPE["sources"][1:]})
    stopped = run(*FOLLOWED[noun])
    (work,) = ranked.get(f"/v1/{noun}").json()["items"]
    assert stopped.exit_code != 0
    assert f"{work['id']}; to stop it: foretaste {noun} cancel {work['id']}\n" in stopped.output
    assert run(*FOLLOWED[noun], "--json").stdout == ""
    listed = good(run(noun, "list"))
    assert f"{work['id']}  running" in listed
    assert "tiny@1 on held-out@1" in listed
    assert "runs ended" in good(run(noun, "show", work["id"]))
    assert json.loads(good(run(noun, "show", work["id"], "--json")))["id"] == work["id"]
    assert f"{work['id']}: cancelled" in good(run(noun, "cancel", work["id"]))
    assert ranked.get(f"/v1/{noun}/{work['id']}").json()["state"] == "cancelled"
    assert "no-such" in str(run(noun, "cancel", "no-such").exception)


def test_a_study_is_cancelled_by_its_name(run: Run, ranked: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.dependencies.ring", lambda *_: None)
    ranked.made("/v1/recipes", {"name": "only-code", "sources": RECIPE["sources"][1:]})
    protocol = {name: part for name, part in PROTOCOL.items() if name not in ("name", "tokenizer", "standard_rate")}
    body: dict[str, Any] = {"name": "little", "tokenizer": "bpe", "suites": ["held-out"]}
    names = ("even", "only-web", "only-code")
    body["recipes"] = [{"recipe": name, "axis": "repetition"} for name in names]
    body["proxies"] = {"protocol": protocol, "rates": [1e-3, 1e-2]}
    body["references"] = {"protocol": protocol, "rates": [1e-3, 1e-2, 1e-1]}
    ranked.made("/v1/studies", body)
    assert "little: cancelled" in good(run("study", "cancel", "little"))
    refused = run("study", "cancel", "litle")
    assert refused.exit_code == 1
    assert "no study 'litle'" in str(refused.exception)


def end_race(service: Service, race_id: str) -> None:
    """As if its first look had found the recipe `even` to be the best."""
    with session_scope(service.sessions) as session:
        row = session.get_one(Replication, race_id)
        names = {session.get_one(Recipe, key).name: key for key in row.recipes}
        best = names.pop("even")
        rest = list(names.values())
        rows = [{"recipe": best, "place": "best", "seeds": 2, "score": 1.5, "better_than": rest}]
        rows += [{"recipe": one, "place": "rest", "seeds": 2, "score": 2.5, "better_than": []} for one in rest]
        look = {"seeds": 2, "best": [best], "rest": rest, "open": [], "resolved_pairs": 2, "error_spent": 0.05 / 7}
        row.report = {"recipes": rows, "resolved_pairs": 2, "pairs": 3, "error_spent": 0.05 / 7}
        row.looks = [look | {"runs_used": 2, "taken_at": "2026-03-01T12:00:00+00:00"}]
        row.state, row.outcome = State.FINISHED, "resolved"


def end_search(service: Service, search_id: str, ladder: Ladder) -> None:
    """As if its runs had come to this ladder."""
    finding = search_rate(ladder)
    with session_scope(service.sessions) as session:
        row = session.get_one(RateSearch, search_id)
        row.state, row.report = State.FINISHED, asdict(finding) | {"names": {name: name for name in ladder.anchors}}
        row.found_id = None if finding.rate is None else row.protocol_id
