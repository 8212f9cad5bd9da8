"""Watching: a bar for each run, a line for each that ended, each once."""

import io
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, TaskID

from api.client import Client, Resource
from api.progress import RunWatcher, describe_run


def run(name: str, state: str, **more: Any) -> Resource:
    return {"id": name, "state": state, "learning_rate": 1e-3, "seed": 0, "progress": {}, **more}


def evaluation(state: str, *runs: Resource) -> Resource:
    return {"id": "eva", "state": state, "recipe": {"name": "even"}, "runs": list(runs)}


class Played(Client):
    """Answers with one evaluation after the other."""

    def __init__(self, *answers: Resource) -> None:
        self.answers = list(answers)

    def get(self, path: str, **query: Any) -> Resource:
        return self.answers.pop(0)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=160, force_terminal=True, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_runs_are_shown_while_they_run_and_told_once_at_their_end(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.progress.POLL_SECONDS", 0.0)
    moving = {"step": 1, "steps": 4, "loss": 5.0, "tokens_per_second": 1000.0, "seconds_left": 3.0}
    ended = [
        run("a", "finished", result={"final_loss": 4.2, "tokens_per_second": 900.0}),
        run("b", "failed", error="the loss became nan"),
        run("c", "stopped", result={"final_loss": 9.0}),
        run("d", "cancelled"),
    ]
    client = Played(
        evaluation("queued", run("a", "queued")),
        evaluation("running", run("a", "running", progress=moving), run("b", "running", progress={"phase": "reading"})),
        evaluation("running", run("a", "running", progress={"step": 2, "steps": 4, "phase": "scoring"}), *ended[1:]),
        evaluation("running", *ended),
        evaluation("finished", *ended),
    )
    assert RunWatcher(client, console).watch(["eva", "eva"], "all") == [evaluation("finished", *ended)]
    text = printed(console)
    for words in ("loss 4.200", "the loss became nan", "given up", "cancelled"):
        assert text.count(words) == 1, words


def test_evaluations_that_wait_are_looked_at_in_turn(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.progress.POLL_SECONDS", 0.0)
    asked: list[str] = []

    class Counted(Client):
        def __init__(self) -> None:
            pass

        def get(self, path: str, **query: Any) -> Resource:
            name = path.rsplit("/", 1)[1]
            asked.append(name)
            polls = asked.count("runs")
            state = "finished" if polls > 40 else "running" if name == "runs" else "queued"
            return evaluation(state, run(name, state))

    names = ["runs", *(f"waits{index}" for index in range(20))]
    ended = RunWatcher(Counted(), console).watch(names, "all")
    assert [one["state"] for one in ended] == ["finished"] * 21
    assert asked.count("runs") == 41
    assert all(4 <= asked.count(name) <= 7 for name in names[1:])


def test_what_is_read_before_a_training_is_shown_with_its_speed(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.progress.POLL_SECONDS", 0.0)
    reading = {
        "phase": "preparing",
        "step": 0,
        "steps": 4,
        "activity": "computing columns",
        "corpus": "/data/web.jsonl",
        "documents": 12000,
        "bytes": 30_000_000,
        "of_bytes": 90_000_000,
        "megabytes_a_second": 10.0,
        "seconds_left": 6,
    }
    unknown = {**reading, "activity": "tokenising", "of_bytes": None, "seconds_left": None}
    client = Played(
        evaluation("running", run("a", "running", progress=unknown)),
        evaluation("running", run("a", "running", progress=reading)),
        evaluation("running", run("a", "running", progress={"phase": "preparing", "step": 0, "steps": 4})),
        evaluation("finished", run("a", "cancelled")),
    )
    seen: list[str] = []
    update = Progress.update

    def remember(self: Progress, task: TaskID, **fields: Any) -> None:
        seen.append(fields["detail"])
        update(self, task, **fields)

    monkeypatch.setattr(Progress, "update", remember)
    RunWatcher(client, console).watch(["eva"], "all")
    assert "tokenising /data/web.jsonl: 12,000 documents, 10.0 MB/s" in seen
    assert "computing columns /data/web.jsonl: 12,000 documents, 10.0 MB/s, 6 s left" in seen
    assert "preparing" in seen


def test_a_run_is_described_by_what_is_known() -> None:
    assert describe_run(run("a", "queued", recipe_name="even")).split() == ["even", "rate", "1.00e-03", "seed", "0"]
