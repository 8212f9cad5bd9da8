"""One cohort trained by a real child: what is stored for a good run, and how bad runs fail alone."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sqlalchemy import select

from proxy.protocols import Protocol
from tests.worker.engine.corpora import Laboratory, write_corpus
from tests.worker.engine.rows import add_job, protocol_spec
from worker.artifacts import read_losses, stored_path
from worker.cohorts.messages import RunResult, SuiteSpec
from worker.cohorts.specs import build_cohort_spec
from worker.cohorts.training import train_runs
from worker.engine import work_until_idle
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.models import Evaluation, Job, Recipe, Run, RunScore, Suite
from worker.store.sessions import make_engine, make_sessions, read_scope, session_scope
from worker.store.states import State

STEPS = 60


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """Five recipes of one cohort, trained once for all tests of this module; then a second suite, scored."""
    folder = tmp_path_factory.mktemp("training")
    settings = Settings(_env_file=None, data_dir=folder / "data", threads=1, compile=False)
    upgrade_database(settings)
    engine = make_engine(settings.resolved_database_url)
    made = Laboratory(settings=settings, sessions=make_sessions(engine), folder=folder)
    made.register(web=100, code=100, rare=2, changed=100, held=12, fresh=8)
    write_corpus(folder / "changed.jsonl", 100, seed=99)
    submit(made)
    work_until_idle(made.sessions, settings)
    score_on_second_suite(made)
    work_until_idle(made.sessions, settings)
    yield made
    engine.dispose()


def submit(laboratory: Laboratory) -> None:
    with session_scope(laboratory.sessions) as session:
        protocol = laboratory.add_protocol(session, protocol_spec(steps=STEPS))
        suite = laboratory.add_suite(session, "held")
        for weights in ({"web": 1.0}, {"web": 1.0, "code": 3.0}, {"rare": 1.0}, {"changed": 1.0}):
            laboratory.add_evaluation(session, protocol, suite, weights, count=2 if len(weights) == 2 else 1)
        swept = laboratory.add_evaluation(session, protocol, suite, {"code": 1.0}, count=2, sweep="code", max_epochs=2)
        slow, fast = swept.runs
        slow.learning_rate, fast.learning_rate = 1e-6, 1e-2


def score_on_second_suite(laboratory: Laboratory) -> None:
    with session_scope(laboratory.sessions) as session:
        suite = laboratory.add_suite(session, "fresh", version=2)
        for name in ("web1", "rare1"):
            add_job(session, "score_run", {"run_id": the_run(laboratory, name).id, "suite_id": suite.id})


def the_run(laboratory: Laboratory, recipe: str, position: int = 0) -> Run:
    with read_scope(laboratory.sessions) as session:
        runs = (
            select(Run).join(Recipe, Recipe.id == Run.recipe_id).where(Recipe.name == recipe).order_by(Run.created_at)
        )
        return session.scalars(runs).all()[position]


def result_of(run: Run) -> RunResult:
    return RunResult.model_validate(run.result)


def score_of(laboratory: Laboratory, run: Run, version: int = 1) -> RunScore:
    with read_scope(laboratory.sessions) as session:
        suite = session.scalars(select(Suite).where(Suite.version == version)).one()
        return session.get_one(RunScore, (run.id, suite.id))


def test_a_finished_run_tells_what_was_computed_and_where(laboratory: Laboratory) -> None:
    run = the_run(laboratory, "web1")
    assert (run.state, run.error, run.attempt) == (State.FINISHED, None, 1)
    protocol: Protocol = protocol_spec(steps=STEPS)
    result = result_of(run)
    assert (result.steps, result.tokens) == (STEPS, protocol.token_budget)
    assert result.parameters == protocol.architecture.parameters
    assert len(result.curve) == STEPS
    assert {len(row) for row in result.curve} == {7}
    assert result.flops == pytest.approx(protocol.training_flops())
    assert result.data_wait_seconds is not None
    assert 0 <= result.data_wait_seconds <= result.seconds
    assert (result.resumed_from_step, result.notes, result.checkpoint_seconds) == ((), (), 0)
    assert result.initial_loss is not None
    assert result.final_loss is not None
    assert result.final_loss < result.initial_loss
    assert result.environment.device == "cpu"
    assert not result.environment.is_compiled
    assert result.weight_bits == 23


def held_out_from(spec: SuiteSpec, corpus: str) -> SuiteSpec:
    """The suite whose sets say so."""
    sets = tuple(part.model_copy(update={"held_out_from": corpus}) for part in spec.suite.sets)
    return spec.model_copy(update={"suite": spec.suite.model_copy(update={"sets": sets})})


class NobodyAsks:
    """Orders of a supervisor that wants nothing."""

    def has_cancelled(self, run_id: str) -> bool:
        return False

    def is_stopping(self) -> bool:
        return False

    def keep_states(self) -> None: ...


def test_a_control_trains_on_shuffled_tokens_and_is_measured_against_the_documents_in_order(
    laboratory: Laboratory,
) -> None:
    run = the_run(laboratory, "web1")
    with read_scope(laboratory.sessions) as session:
        spec = build_cohort_spec(session, [session.get_one(Run, run.id)], laboratory.settings)
    protocol = spec.protocol.model_copy(update={"shuffled_tokens": True})
    suites = tuple(held_out_from(suite, laboratory.fingerprints["web"]) for suite in spec.suites)
    shuffled = spec.model_copy(update={"protocol": protocol, "suites": suites})
    (ended,) = train_runs(shuffled, lambda line: None, NobodyAsks())
    assert ended.result is not None
    (control,), (ordered,) = (result.suites.values() for result in (ended.result, result_of(run)))
    for name, part in ordered.sets.items():
        assert control.sets[name].unigram_nats == part.unigram_nats
        assert control.sets[name].bigram_nats == part.bigram_nats
        assert control.sets[name].nats_per_token > part.nats_per_token + 0.1
        assert (control.sets[name].source_share, part.source_share) == (1.0, None)
    assert [use.drawn_tokens for use in ended.result.plan] == [use.drawn_tokens for use in result_of(run).plan]


def test_the_plan_says_what_each_source_supplied(laboratory: Laboratory) -> None:
    plan = result_of(the_run(laboratory, "web1-code3")).plan
    assert [(use.corpus, use.share) for use in plan] == [("web", 0.25), ("code", 0.75)]
    assert sum(use.drawn_tokens for use in plan) == protocol_spec(steps=STEPS).token_budget


def test_the_score_is_the_losses_artifact_summed_up(laboratory: Laboratory) -> None:
    score = score_of(laboratory, the_run(laboratory, "web1"))
    losses = read_losses(stored_path(laboratory.settings, score.artifact))["held"]
    assert score.score == pytest.approx(losses.nats.sum() / (math.log(2) * losses.text_bytes.sum()))
    assert score.sets == {"held": pytest.approx(score.score)}
    assert [gate["name"] for gate in score.gates if gate["is_fatal"]] == ["diverged", "truncated"]
    assert all(gate["passed"] for gate in score.gates if gate["is_fatal"])
    assert np.bincount(losses.clusters).tolist() == [2] * 6


def test_progress_is_measured_against_the_runs_own_text(laboratory: Laboratory) -> None:
    (suite,) = result_of(the_run(laboratory, "web1")).suites.values()
    held = suite.sets["held"]
    assert held.unigram_nats is not None
    assert held.bigram_nats is not None
    assert 0 < held.bigram_nats < held.unigram_nats < math.log(300)


def test_the_checkpoint_is_stored_whole(laboratory: Laboratory) -> None:
    run = the_run(laboratory, "web1")
    assert run.checkpoint is not None
    weights = load_file(stored_path(laboratory.settings, run.checkpoint))
    protocol = protocol_spec(steps=STEPS)  # every checkpoint that the score averages, so that new suites score alike
    stored = sum(part.size for part in weights.values())
    assert stored == protocol.scoring.checkpoints * protocol.architecture.parameters


def test_seeds_differ_in_their_result(laboratory: Laboratory) -> None:
    first, second = (score_of(laboratory, the_run(laboratory, "web1-code3", i)).score for i in range(2))
    assert first != second


def test_a_run_whose_share_cannot_be_supplied_fails_alone(laboratory: Laboratory) -> None:
    run = the_run(laboratory, "rare1")
    assert (run.state, run.result, run.attempt) == (State.FAILED, None, 1)
    assert "/sources/0/weight" in (run.error or "")


def test_a_run_whose_corpus_has_changed_fails_alone(laboratory: Laboratory) -> None:
    run = the_run(laboratory, "changed1")
    assert run.state is State.FAILED
    assert "no longer holds what was registered" in (run.error or "")


def test_a_hopeless_rate_is_stopped_without_a_score(laboratory: Laboratory) -> None:
    slow, fast = (the_run(laboratory, "code1", i) for i in range(2))
    assert (slow.state, fast.state) == (State.STOPPED, State.FINISHED)
    assert result_of(slow).suites == {}
    assert result_of(slow).steps < STEPS
    assert slow.checkpoint is None


def test_every_evaluation_is_concluded(laboratory: Laboratory) -> None:
    with read_scope(laboratory.sessions) as session:
        states = {row.request_key: row.state for row in session.scalars(select(Evaluation))}
    assert states.pop("rare1") is State.FAILED
    assert states.pop("changed1") is State.FAILED
    assert set(states.values()) == {State.FINISHED}


def test_a_new_suite_scores_the_stored_checkpoint(laboratory: Laboratory) -> None:
    run = the_run(laboratory, "web1")
    score = score_of(laboratory, run, version=2)
    losses = read_losses(stored_path(laboratory.settings, score.artifact))["fresh"]
    assert len(losses.nats) == 8
    assert score.gates
    assert run.attempt == 1


def test_a_run_without_a_checkpoint_cannot_be_scored_again(laboratory: Laboratory) -> None:
    run = the_run(laboratory, "rare1")
    with read_scope(laboratory.sessions) as session:
        jobs = {job.payload["run_id"]: job for job in session.scalars(select(Job).where(Job.kind == "score_run"))}
    assert jobs[run.id].state is State.FAILED
    assert "has no checkpoint" in (jobs[run.id].error or "")


def test_nothing_temporary_is_left_behind(laboratory: Laboratory) -> None:
    def hidden(folder: Path) -> list[Path]:
        return [path for path in folder.rglob("*") if path.name.startswith(".")]

    assert hidden(laboratory.settings.artifact_dir) == []
    assert list((laboratory.settings.data_dir / "children").iterdir()) == []
