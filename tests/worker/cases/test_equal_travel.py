"""A search at equal Σ rates: what its runs are asked for, what they score on the way, what the report says of it."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy.orm import Session

from proxy.protocols import Schedule
from tests.worker.cases.conftest import Bureau, submit
from tests.worker.cases.searches import SEEDS, add_anchors, ask, conclude, end, runs_of
from tests.worker.engine.test_training import NobodyAsks
from worker import evaluations, rate_searches
from worker.cohorts.endings import outcome_of
from worker.cohorts.messages import CohortSpec, RunEnded
from worker.cohorts.specs import build_cohort_spec
from worker.protocols import store_protocol
from worker.rate_searches import SearchRequest
from worker.rate_searches.middles import wanted_middles
from worker.runs import record_score
from worker.store.models import RateSearch, Run, RunScore
from worker.store.states import State

RATES = (1e-3, 3e-3, 1e-2)
STEPS, WARM_UP = 42, 5  # Σ rates of a whole run is 40 times the rate


def ask_longer(session: Session, bureau: Bureau, **schedule: Any) -> RateSearch:
    """A search whose runs have a middle: the bureau's own are all warm-up."""
    name = f"longer-{schedule.get('kind', 'constant')}"
    asked = bureau.protocol(name, steps=STEPS, schedule=Schedule(warmup_steps=WARM_UP, **schedule))
    store_protocol(session, asked)
    anchors = add_anchors(session)
    request = SearchRequest(protocol=name, suite="suite", anchors=anchors, rates=RATES, seeds=SEEDS)
    return rate_searches.submit_search(session, bureau.settings, request)[0]


def shares_of(session: Session, runs: Sequence[Run]) -> dict[float, tuple[float, ...]]:
    wanted = wanted_middles(session, [run.id for run in runs])
    return {run.learning_rate: wanted.get(run.id, ()) for run in runs}


def test_a_run_is_scored_where_it_has_travelled_as_far_as_lower_rates_do(session: Session, bureau: Bureau) -> None:
    runs = runs_of(session, ask_longer(session, bureau))
    expected = {1e-3: (), 3e-3: (pytest.approx(1 / 3),), 1e-2: (pytest.approx(0.1), pytest.approx(0.3))}
    assert shares_of(session, runs) == expected
    spec = build_cohort_spec(session, runs, bureau.settings)
    assert {run.learning_rate: run.middles for run in spec.runs} == expected


def test_only_open_searches_ask_for_it_and_only_of_their_ladder(session: Session, bureau: Bureau) -> None:
    row = ask_longer(session, bureau)
    runs = runs_of(session, row)
    other, _ = submit(session, bureau, "even", protocol="longer-constant", seeds=SEEDS + 1)
    shared = {run.id for run in other.runs if run.seed < SEEDS}
    assert wanted_middles(session, [run.id for run in other.runs]).keys() == shared
    rate_searches.cancel_search(session, row.id)
    session.flush()
    assert wanted_middles(session, [run.id for run in runs]) == {}


def test_two_searches_that_share_a_run_both_get_what_they_ask(session: Session, bureau: Bureau) -> None:
    first, _ = ask(session, bureau, rates=(1e-4, 1e-3, 1e-2))
    ask(session, bureau, rates=(2e-3, 1e-3, 1e-2))
    shares = shares_of(session, runs_of(session, first))
    assert shares[1e-2] == (pytest.approx(0.01), pytest.approx(0.1), pytest.approx(0.2))


def write_scores(session: Session, search: RateSearch, run: Run) -> None:
    """At the end and where it had travelled as far as lower rates; φ is 1 − bits / 10, as H_uni is 10 bits, H_bi 0."""
    anchor = search.anchors.index(run.recipe_id)
    suite = dict.fromkeys(("tokens", "text_bytes", "documents"), 1) | {"bits_per_byte": 0.0, "nats_per_token": 7.0}
    sets = {"held": suite | {"unigram_nats": 10 * math.log(2), "bigram_nats": 0.0}}
    noise = 0.01 * (-1) ** run.seed * (1 if anchor else -1)

    def at(step: int, share: float) -> dict[str, Any]:
        bits = 5 + anchor * (1 if share == 1 else -1) + noise  # the order of the middle is the reverse of the end's
        scored = {"step": step, "tokens": step, "score": bits, "sets": {"held": bits}, "is_budget": True}
        return scored if share == 1 else {**scored, "share": share}

    shares = [rate / run.learning_rate for rate in search.rates if rate < run.learning_rate]
    middles = [at(round(share * search.steps), share) for share in shares]
    assert run.result is not None
    result = {"sets": sets, "middles": middles}
    run.result = {**run.result, "suites": {search.suite_id: result if middles else {"sets": sets}}}
    session.get_one(RunScore, (run.id, search.suite_id)).checkpoints = [at(search.steps, 1)]


def test_the_report_says_at_equal_travel_what_the_runs_scored_there(session: Session, bureau: Bureau) -> None:
    row = ask_longer(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs, row.suite_id)
    for run in runs:
        write_scores(session, row, run)
    session.flush()
    assert conclude(session, bureau, row)
    assert row.report is not None
    lowest, middle, highest = row.report["equal_travel"]
    assert [[one["rate"] for one in level["rates"]] for level in (lowest, middle, highest)] == [
        list(RATES[index:]) for index in range(3)
    ]
    assert all(level["missing"] == {} for level in (lowest, middle, highest))
    names = [row.report["names"][anchor] for anchor in row.anchors]
    for level, own in ((lowest, 1e-3), (middle, 3e-3), (highest, 1e-2)):
        for one in level["rates"]:
            ranks = [one["ranks"][anchor] for anchor in row.anchors]
            assert ranks == ([1, 2, 3] if one["rate"] == own else [3, 2, 1]), names
            means = [5.0, 6.0, 7.0] if one["rate"] == own else [5.0, 4.0, 3.0]
            assert list(one["scores"].values()) == pytest.approx([means[row.anchors.index(a)] for a in one["scores"]])
            assert one["score"] == pytest.approx(sum(means) / 3)
            assert one["progress_median"] == pytest.approx(1 - sum(means) / 30)
            assert one["reliability"] == pytest.approx(1 - 1 / f_ratio(means), rel=1e-6)
            assert one["is_end"]
            assert one["travel"] == pytest.approx(level["travel"])
    assert [one["step"] for one in lowest["rates"]] == [42, 14, 4]


def f_ratio(means: Sequence[float]) -> float:
    """Seeds move the first anchor against the other two by .02: residuals ± .04/3, and half of that twice."""
    residual = 2 * ((0.04 / 3) ** 2 + 2 * (0.02 / 3) ** 2) / 2
    mean = sum(means) / 3
    return SEEDS * sum((one - mean) ** 2 for one in means) / 2 / residual


def test_what_was_trained_before_is_not_known_on_the_way_and_told(session: Session, bureau: Bureau) -> None:
    row = ask_longer(session, bureau)
    runs = runs_of(session, row)
    end(session, bureau, runs, row.suite_id)
    for run in runs:
        write_scores(session, row, run)
    late = next(run for run in runs if run.learning_rate == 1e-2)
    assert late.result is not None
    measured = late.result["suites"][row.suite_id]
    late.result = {**late.result, "suites": {row.suite_id: {"sets": measured["sets"]}}}
    session.flush()
    conclude(session, bureau, row)
    assert row.report is not None
    lowest, middle, highest = row.report["equal_travel"]
    assert lowest["missing"] == middle["missing"] == {"0.01": "1 of 6 runs were not scored there"}
    assert [one["rate"] for one in lowest["rates"]] == [1e-3, 3e-3]
    assert [one["rate"] for one in highest["rates"]] == [1e-2]
    assert all(run.state == State.FINISHED for run in runs)


def test_a_rate_at_which_a_run_diverged_is_missing(session: Session, bureau: Bureau) -> None:
    row, _ = ask(session, bureau)
    end(
        session,
        bureau,
        runs_of(session, row),
        row.suite_id,
        lambda run: None if run.learning_rate > 2e-3 else good(run),
    )
    conclude(session, bureau, row)
    assert row.report is not None
    missing = row.report["equal_travel"][0]["missing"]
    assert missing["0.003"] == "a run diverged or has no score"
    assert missing["0.0001"] == "6 of 6 runs were not scored there"  # scored before checkpoints were kept


def good(run: Run) -> dict[str, Any]:
    return {"score": 3 + run.learning_rate + 1e-3 * run.seed + len(run.recipe.name), "progress": 0.7}


def train(spec: CohortSpec) -> list[RunEnded]:
    from worker.cohorts.training import train_runs

    return list(train_runs(spec, lambda line: None, NobodyAsks()))


def store(session: Session, bureau: Bureau, spec: CohortSpec, lines: Sequence[RunEnded]) -> None:
    for line in lines:
        outcome, run = outcome_of(line, spec), session.get_one(Run, line.run)
        run.state, run.result, run.checkpoint = outcome.state, outcome.result, outcome.checkpoint
        for score in outcome.scores:
            record_score(session, run.id, score)
    session.flush()
    evaluations.conclude_runs(session, bureau.settings, [line.run for line in lines])


def test_a_search_that_is_trained_knows_every_level_and_its_runs_are_as_without(
    session: Session, bureau: Bureau
) -> None:
    from proxy.lm.checkpoints import load_checkpoint
    from worker.artifacts import stored_path

    row = ask_longer(session, bureau)
    spec = build_cohort_spec(session, runs_of(session, row), bureau.settings)
    lines = train(spec)
    store(session, bureau, spec, lines)
    fast = next(run for run in spec.runs if run.learning_rate == 1e-2)
    watched, plain = (
        train(spec.model_copy(update={"runs": (fast.model_copy(update={"middles": middles}),)}))[0]
        for middles in (fast.middles, ())
    )
    (found,), (without,) = (line.result.suites.values() for line in (watched, plain) if line.result is not None)
    assert [one.step for one in found.middles] == [6, 14]
    assert without.middles == ()
    assert (found.score, found.checkpoints) == (without.score, without.checkpoints)
    ours, theirs = (load_checkpoint(stored_path(bureau.settings, line.checkpoint or "")) for line in (watched, plain))
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert conclude(session, bureau, row)
    assert row.report is not None
    for index, level in enumerate(row.report["equal_travel"]):
        assert [one["rate"] for one in level["rates"]] == list(RATES[index:])
        losses = [one["progress_median"] for one in level["rates"]]
        assert None not in losses
        for one in level["rates"]:
            assert one["travel"] == pytest.approx(level["travel"], rel=0.05)
    slow = row.report["equal_travel"][0]["rates"]
    ends = row.report["rates"]
    assert slow[0]["score"] == pytest.approx(ends[0]["score"])  # one checkpoint counts here, and there
    spread = max(one["score"] for one in slow) - min(one["score"] for one in slow)
    assert spread < 0.2 * (ends[0]["score"] - ends[-1]["score"])  # Σ rates is the clock
