"""What supervisor and child say survives the trip."""

import math

import pytest
from pydantic import ValidationError

from tests.worker.engine.rows import protocol_spec
from worker.cohorts.messages import (
    CohortSpec,
    JobEnded,
    JobProgress,
    Line,
    RunEnded,
    RunProgress,
    SetResult,
    SuiteResult,
    read_line,
    read_spec,
    write_line,
)


@pytest.mark.parametrize(
    "line",
    [
        RunProgress(run="a", step=3, steps=9, loss=1.5),
        RunEnded(run="a", state="failed", error="a\nb — ü"),
        JobProgress(job="j", progress={"documents": 3}),
        JobEnded(job="j", result={"fingerprint": "f"}),
    ],
)
def test_a_message_is_one_line_and_comes_back_equal(line: Line) -> None:
    written = write_line(line)
    assert written.count("\n") == 1
    assert read_line(written) == line


def test_a_loss_that_is_not_finite_travels_as_null() -> None:
    line = read_line(write_line(RunProgress(run="a", loss=math.nan)))
    assert isinstance(line, RunProgress)
    assert line.loss is None


def test_a_specification_comes_back_equal(tmp_path_factory: pytest.TempPathFactory) -> None:
    spec = CohortSpec(
        artifact_dir=tmp_path_factory.getbasetemp(),
        threads=1,
        compile=False,
        protocol=protocol_spec(),
        suites=(),
        runs=(),
    )
    assert read_spec(spec.model_dump_json()) == spec


def test_an_unknown_message_is_refused() -> None:
    with pytest.raises(ValidationError, match="kind"):
        read_line('{"kind": "gossip"}')


def measured(nats: float, unigram: float | None, bigram: float | None) -> SetResult:
    return SetResult(
        bits_per_byte=1.0,
        nats_per_token=nats,
        tokens=1,
        text_bytes=1,
        documents=1,
        unigram_nats=unigram,
        bigram_nats=bigram,
    )


def test_a_suite_scored_before_checkpoints_were_kept_has_none() -> None:
    sets = {"held": measured(5.0, 6.0, 4.0).model_dump()}
    stored = {"suite": "sui_1", "score": 1.0, "sets": sets, "artifact": "a.npz"}
    assert SuiteResult.model_validate(stored).checkpoints == ()


def test_progress_is_zero_at_the_unigram_and_one_at_the_bigram_entropy() -> None:
    assert [measured(nats, 6.0, 4.0).progress for nats in (7.0, 6.0, 5.0, 4.0)] == [-0.5, 0.0, 0.5, 1.0]


def test_progress_is_unknown_without_bounds_in_order() -> None:
    assert measured(5.0, None, None).progress is None
    assert measured(5.0, 4.0, 4.0).progress is None
