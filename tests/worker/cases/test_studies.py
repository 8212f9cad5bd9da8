"""Studies as rows: sweeps, references, more seeds, ends. Runs are ended by hand, with scores made up here."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.suites import Suite as SuiteSpec
from tests.worker.cases.boards import count
from tests.worker.cases.conftest import Bureau, recipe
from tests.worker.cases.trials import (
    BEST,
    GRID,
    LADDER,
    LARGE,
    PROXIES,
    RECIPES,
    REFERENCES,
    SMALL,
    SPEED,
    add_protocol,
    add_recipes,
    ask,
    end,
    end_kind,
    forget,
    measured,
    named,
    play,
    references,
    request,
    runs_of,
    suites_of,
)
from worker import evaluations, studies
from worker.cohorts.work import conclude
from worker.evaluations import Request
from worker.queue import Bell
from worker.recipes import parse_recipe, store_recipe
from worker.reconciler import reconcile
from worker.store.models import Evaluation, EvaluationRun, Reference, Run, Study
from worker.store.sessions import session_scope
from worker.store.states import State
from worker.studies.reports import report_of_row
from worker.suites import store_suite


def test_a_study_goes_from_sweeps_to_more_seeds_at_the_best_rate_to_its_end(session: Session, bureau: Bureau) -> None:
    row, is_new = ask(session, bureau)
    assert (is_new, row.state, count(session, Run)) == (True, State.RUNNING, 3 * 2 * 2 + 3 * 3)
    end_kind(session, bureau, row, "sweeps")
    assert studies.advance_study(session, bureau.settings, row.id)
    found = references(session, row)
    assert set(found) == {(name, rate, 0) for name in RECIPES for rate in GRID}
    assert all((value is None) == (rate == GRID[-1]) for (_, rate, _), value in found.items())
    again = runs_of(session, row, "more_seeds")
    assert {(run.learning_rate, run.seed) for run in again} == {(BEST, 1), (GRID[-1], 1)}  # with one soon given up
    assert not studies.advance_study(session, bureau.settings, row.id)
    end_kind(session, bureau, row, "more_seeds")
    assert studies.advance_study(session, bureau.settings, row.id)
    assert {(name, seed) for name, rate, seed in references(session, row) if rate == BEST} == {
        (name, seed) for name in RECIPES for seed in (0, 1)
    }
    assert row.state == State.RUNNING
    end_kind(session, bureau, row, "proxies")
    assert studies.advance_study(session, bureau.settings, row.id)
    assert (row.state, row.error) == (State.FINISHED, None)


def test_a_study_of_other_seeds_trains_exactly_these(session: Session, bureau: Bureau) -> None:
    """Under a name of its own, as a study that is to confirm another has: not one run of that other is taken."""
    first, _ = ask(session, bureau)
    play(session, bureau, first)
    known = set(session.scalars(select(Run.id)))
    parts = {"proxies": {**PROXIES, "first_seed": 100}, "references": {**REFERENCES, "seeds": 3, "first_seed": 200}}
    row, is_new = ask(session, bureau, name="trial-again", **parts)
    assert is_new
    proxies, sweeps = (runs_of(session, row, kind) for kind in ("proxies", "sweeps"))
    assert {(run.learning_rate, run.seed) for run in proxies} == {
        (rate, seed) for rate in LADDER for seed in (100, 101)
    }
    assert {(run.learning_rate, run.seed) for run in sweeps} == {(rate, 200) for rate in GRID}
    play(session, bureau, row)
    again = {(rate, seed) for rate in (BEST, GRID[-1]) for seed in (200, 201, 202)}
    found = references(session, row)
    assert {(rate, seed) for _, rate, seed in found} == {(rate, 200) for rate in GRID} | again
    mine = select(Run).join(EvaluationRun, EvaluationRun.run_id == Run.id)
    mine = mine.where(EvaluationRun.evaluation_id.in_([point["evaluation"] for point in row.points]))
    assert known.isdisjoint(run.id for run in session.scalars(mine))
    assert row.state == State.FINISHED


def test_its_report_counts_its_own_seeds(session: Session, bureau: Bureau) -> None:
    """Evaluations of as many seeds that begin elsewhere are not the ones that were asked for."""
    parts = {"proxies": {**PROXIES, "first_seed": 100}, "references": {**REFERENCES, "first_seed": 100}}
    row, _ = ask(session, bureau, **parts)
    for step in row.protocols["ladder"]:
        for name in RECIPES:
            wanted = Request(recipe=name, protocol=step["protocol"], suite="suite", seeds=3)
            made = evaluations.submit_evaluation(session, bureau.settings, wanted)[0]
            end(session, bureau, list(made.runs), suites_of(row))
    before = report_of_row(session, row)
    assert before["progress"]["proxy_evaluations_finished"] == 0
    play(session, bureau, row)
    report = report_of_row(session, row)
    counted = report["progress"]
    assert (counted["proxy_evaluations_finished"], counted["recipes_with_all_seeds"]) == (6, 3)
    assert [report["shapes"][part]["first_seed"] for part in ("proxies", "references")] == [100, 100]


def test_what_broke_is_trained_again_with_its_own_seeds(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau, proxies={**PROXIES, "first_seed": 100})
    broken = runs_of(session, row, "proxies", recipe="even")
    for run in broken:
        run.state, run.error = State.FAILED, "no disk space"
    evaluations.conclude_runs(session, bureau.settings, [run.id for run in broken])
    rows = count(session, Evaluation)
    ask(session, bureau, proxies={**PROXIES, "first_seed": 100})
    assert runs_of(session, row, "proxies", recipe="even") == broken
    assert count(session, Evaluation) == rows


def test_a_row_of_before_is_of_seeds_from_zero_on(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    row.spec = {
        **row.spec,
        **{part: {"rates": row.spec[part]["rates"], "seeds": 2} for part in ("proxies", "references")},
    }
    play(session, bureau, row)
    assert row.state == State.FINISHED
    assert {seed for _, _, seed in references(session, row)} == {0, 1}
    assert report_of_row(session, row)["shapes"]["proxies"]["first_seed"] == 0


def test_its_evaluations_and_runs_are_those_that_ordinary_requests_make(session: Session, bureau: Bureau) -> None:
    """What `foretaste study` trained before there were rows is found again, the rate as it is written and all."""
    add_recipes(session)

    ladder = [add_protocol(session, f"trial-proxy-at-{rate:g}", SMALL, rate) for rate in LADDER]
    large = add_protocol(session, "trial-reference", LARGE, max(GRID))

    def asked(name: str, protocol: str, **options: Any) -> Evaluation:
        wanted = Request(recipe=name, protocol=protocol, suite="suite", **options)
        return evaluations.submit_evaluation(session, bureau.settings, wanted)[0]

    known = {asked(name, one, seeds=2).id for name in RECIPES for one in ladder}
    sweeps = [asked(name, large, kind="reference", learning_rates=GRID) for name in RECIPES]
    end(session, bureau, [run for one in sweeps for run in one.runs], [sweeps[0].suite_id])
    again = {asked(name, large, kind="reference", seeds=2, learning_rates=(BEST, GRID[-1])).id for name in RECIPES}
    rows = {model: count(session, model) for model in (Evaluation, Run)}
    row, is_new = ask(session, bureau)
    assert is_new
    assert {point["evaluation"] for point in row.points} == known | {one.id for one in sweeps} | again
    assert not any(point["is_own"] for point in row.points)
    assert {model: count(session, model) for model in rows} == rows
    assert count(session, Reference) == 9  # of the sweeps, which had ended already


def test_groups_of_recipes_are_submitted_together_so_that_a_part_is_a_smaller_study(
    session: Session, bureau: Bureau
) -> None:
    for index in range(2):
        store_recipe(session, parse_recipe(recipe(f"more-{index}", web=9, code=1 + index)))
    extra = [{"recipe": f"more-{index}", "axis": "mixture"} for index in range(2)]
    row, _ = ask(session, bureau, recipes=[*({"recipe": name} for name in RECIPES), *extra])
    assert [point["kind"] for point in row.points] == ["sweeps"] * 4 + ["proxies"] * 8 + ["sweeps"] + ["proxies"] * 2


def test_the_best_rate_of_each_suite_gets_more_seeds(session: Session, bureau: Bureau) -> None:
    """Runs are shared by the suites; where these disagree about the best rate, no third one is needed."""
    part = {"name": "held", "corpus": "held"}
    store_suite(session, SuiteSpec.model_validate({"name": "trial-other", "sets": [part]}))
    row, _ = ask(session, bureau, suites=["suite", "trial-other"])
    assert [suite["reference_set"] for suite in row.spec["suites"]] == ["trial-suite", "trial-other"]
    first, second = suites_of(row)
    runs = runs_of(session, row, "sweeps")
    assert len(runs) == 9
    end(session, bureau, runs, [first], lambda run: {1e-3: 3.2, 1e-2: 3.0, 1e-1: 3.1}[run.learning_rate])
    assert not studies.advance_study(session, bureau.settings, row.id)  # the other suite is not scored yet
    end(session, bureau, runs, [second], lambda run: {1e-3: 3.0, 1e-2: 3.1, 1e-1: 3.2}[run.learning_rate])
    assert studies.advance_study(session, bureau.settings, row.id)
    assert {run.learning_rate for run in runs_of(session, row, "more_seeds")} == {1e-3, 1e-2}


def copy_reference_of(session: Session, name: str, to: str) -> None:
    """All of a recipe's references once more, for another recipe, as an import would register them."""
    other, _ = store_recipe(session, parse_recipe(recipe(to.replace(" ", "-"), web=7, code=1)))
    for row in session.scalars(select(Reference).where(Reference.recipe_name == name)).all():
        columns = {column.key: getattr(row, column.key) for column in Reference.__table__.columns}
        unique = {"id": f"ref_{row.id}-again", "request_key": f"{row.request_key}-again"}
        session.add(Reference(**columns | unique | {"recipe_id": other.id, "recipe_name": other.name}))
    session.flush()


def test_the_report_tells_what_is_there_and_that_it_is_partial(session: Session, bureau: Bureau) -> None:
    easy = {"recipe": "even", "axis": "other", "kind": "easy"}
    row, _ = ask(session, bureau, recipes=[easy, *map(named, RECIPES[::2])])
    before = report_of_row(session, row)
    assert (before["is_partial"], before["progress"]["recipes_with_references"]) == (True, 0)
    assert (before["state"], before["error"]) == ("running", None)
    assert before["suites"][0]["table"]["standard"] is None
    play(session, bureau, row)
    report = report_of_row(session, row)
    assert (report["is_partial"], report["study"]) == (False, "trial")
    assert report["recipes"][0] == {"name": "even", "description": "", "axis": "other", "kind": "easy"}
    assert report["shapes"]["references"]["rates"] == list(GRID)
    assert report["progress"]["labels"] == {"tuned": 3}
    assert report["progress"]["recipes_with_all_seeds"] == 3
    copy_reference_of(session, "even", to="of no part in this study")
    assert report_of_row(session, row)["progress"] == report["progress"]
    suite = report["suites"][0]
    assert [one["recipe"] for one in suite["recipes"]] == list(RECIPES)
    assert {one["best_rate"] for one in suite["recipes"]} == {BEST}
    assert (suite["table"]["standard"], [one["figures"]["n"] for one in suite["table"]["rows"]]) == (BEST, [3, 3])
    assert [one["figures"]["spearman"] for one in suite["table"]["rows"]] == [1.0, 1.0]
    assert suite["search"]["conclusion"] == "a rate search needs 3 rates and 2 seeds"
    in_sets = suite["set_scores"]
    assert in_sets["references"].keys() == in_sets["proxies"]["0.001"].keys() == set(RECIPES)
    for one in suite["recipes"]:  # a suite of one set: its score is the suite's
        assert list(in_sets["references"][one["recipe"]].values()) == pytest.approx([one["reference"]])
        assert list(in_sets["proxies"]["0.01"][one["recipe"]].values()) == pytest.approx([one["proxies"]["0.01"]])
    assert in_sets["progress"]["0.001"].keys() == set(RECIPES)
    assert [row["n"] for row in suite["weighing"]] == [3, 3]
    assert [found["spearman"] for row in suite["weighing"] for found in row["sets"].values()] == [1.0, 1.0]


def test_progress_counts_each_kind_and_says_what_waits(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(session, bureau, runs_of(session, row, "sweeps", recipe="even"), suites_of(row))
    first = runs_of(session, row, "proxies", recipe="even")
    end(session, bureau, first[:2], suites_of(row), lambda _: None)
    end(session, bureau, first[2:3], suites_of(row))
    studies.advance_study(session, bureau.settings, row.id)
    now = studies.progress_of(session, row)
    assert now["sweeps"] == {"evaluations": 3, "ended": 1, "failed": 0}
    assert now["proxies"] == {"evaluations": 6, "ended": 1, "failed": 1}
    assert now["more_seeds"] == {"evaluations": 1, "ended": 0, "failed": 0}
    assert now["recipes_waiting_for_more_seeds"] == 2
    assert now["runs"] == {"ended": 6, "running": 0, "queued": 9 + 6 + 2}
    assert now["device_seconds_left"] is None
    row.estimate = studies.estimate_study(session, request())
    left = studies.progress_of(session, row)["device_seconds_left"]
    assert left == pytest.approx((9 + 6 + 2 + 2 * 2) * 256 / SPEED)


def test_one_seed_and_references_of_some_recipes_ask_for_nothing_more(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau, references={**REFERENCES, "seeds": 1, "recipes": ["even"]})
    assert {run.recipe.name for run in runs_of(session, row, "sweeps")} == {"even"}
    play(session, bureau, row)
    assert row.state == State.FINISHED
    assert studies.progress_of(session, row)["more_seeds"]["evaluations"] == 0
    assert len(references(session, row)) == 3


def test_a_run_that_diverged_is_a_finding_and_the_study_ends(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    play(session, bureau, row, lambda run: None if run.learning_rate == LADDER[0] else measured(run))
    assert row.state == State.FINISHED
    assert studies.progress_of(session, row)["proxies"] == {"evaluations": 6, "ended": 6, "failed": 3}
    assert not report_of_row(session, row)["is_partial"]
    ended = row.finished_at
    again, is_new = ask(session, bureau)
    assert (again.id, is_new, again.state, again.finished_at) == (row.id, False, State.FINISHED, ended)


def lone(run: Run) -> float | None:
    """Of the references one rate alone does not diverge, and a run beside which no other rate trains ends in other last
    bits."""
    if run.sweep is None:
        return (measured(run) or 0.0) + 1e-13
    return measured(run) if run.learning_rate == BEST else None


def test_one_rate_that_survives_is_given_its_seeds_in_a_sweep(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end_kind(session, bureau, row, "sweeps", lone)
    studies.advance_study(session, bureau.settings, row.id)
    again = runs_of(session, row, "more_seeds")
    assert {(run.learning_rate, run.seed) for run in again} == {(BEST, 1), (GRID[0], 1)}  # no first seed once more
    play(session, bureau, row, lone)
    assert (row.state, row.error) == (State.FINISHED, None)
    assert set(references(session, row)) == {(name, BEST, seed) for name in RECIPES for seed in (0, 1)}


def test_more_seeds_of_a_single_rate_that_were_asked_for_before_contradict_nothing(
    session: Session, bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their first seed is another run than the sweep's, and the study failed where its last bits differed."""
    monkeypatch.setattr("worker.studies.more_seeds.rates_of_more_seeds", lambda _: [BEST])
    row, _ = ask(session, bureau)
    end_kind(session, bureau, row, "sweeps", lone)
    studies.advance_study(session, bureau.settings, row.id)
    assert {(run.learning_rate, run.seed) for run in runs_of(session, row, "more_seeds")} == {(BEST, 0), (BEST, 1)}
    before = references(session, row)
    play(session, bureau, row, lone)
    assert (row.state, row.error) == (State.FINISHED, None)
    after = references(session, row)
    assert {key: after[key] for key in before} == before
    assert set(after) == {(name, BEST, seed) for name in RECIPES for seed in (0, 1)}


@pytest.fixture
def stored(bureau: Bureau) -> Iterator[Study]:
    """A committed study, all sweeps of which have ended, and nobody came to look."""
    with session_scope(bureau.sessions) as session:
        row, _ = ask(session, bureau)
        end_kind(session, bureau, row, "sweeps")
    yield row
    forget(bureau)


def require_one_turn(bureau: Bureau, row: Study) -> None:
    with bureau.sessions() as session:
        found = session.get_one(Study, row.id)
        assert (found.state, len(references(session, found))) == (State.RUNNING, 9)
        assert len(runs_of(session, found, "more_seeds")) == 6
        assert len([point for point in found.points if point["kind"] == "more_seeds"]) == 3


def test_the_worker_that_ends_a_sweep_registers_it_and_asks_for_more_seeds(bureau: Bureau, stored: Study) -> None:
    for _ in range(2):  # two workers that end a run at once
        conclude(bureau.sessions, bureau.settings, [])
        require_one_turn(bureau, stored)


def test_the_reconciler_goes_on_where_a_killed_worker_stopped(
    bureau: Bureau, stored: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.reconciler.ring", lambda *_, **__: True)
    found = reconcile(bureau.sessions, bureau.settings)
    assert found.advanced == (stored.id,)
    assert Bell.RUNS in found.rang
    require_one_turn(bureau, stored)
    assert reconcile(bureau.sessions, bureau.settings).advanced == ()


def test_a_transaction_that_is_lost_leaves_the_turn_to_the_next(bureau: Bureau, stored: Study) -> None:
    """Killed between the references and the commit: neither they nor the further seeds are there."""
    with bureau.sessions() as session:
        assert studies.advance_study(session, bureau.settings, stored.id)
        session.rollback()
    with bureau.sessions() as session:
        assert count(session, Reference) == 0
        assert runs_of(session, session.get_one(Study, stored.id), "more_seeds") == []
    assert studies.advance_studies(bureau.sessions, bureau.settings) == (stored.id,)
    require_one_turn(bureau, stored)
