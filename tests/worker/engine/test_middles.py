"""Which steps stand where a run has travelled a share of its Σ rates: against arithmetic and every other step."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.lm.schedules import learning_rate
from proxy.protocols import Averaging, Protocol, Schedule
from tests.worker.engine.rows import protocol_spec
from worker.cohorts.messages import NEAR_SHARE, SetResult, SuiteResult
from worker.cohorts.middles import middle_steps, shares_at


def asked(steps: int = 40, kind: str = "constant", warmup: int = 5) -> Protocol:
    schedule = Schedule.model_validate({"kind": kind, "warmup_steps": warmup})
    return protocol_spec(steps=steps).model_copy(update={"schedule": schedule})


def test_after_the_warm_up_a_constant_rate_travels_a_step_a_step() -> None:
    """The warm-up's 5 steps count 3, so the whole run travels 38 and half of it is after step 21."""
    assert middle_steps(asked(), [0.5]) == (21,)
    assert shares_at(asked(), [21, 1, 40]) == {21: pytest.approx(0.5), 1: pytest.approx(0.2 / 38), 40: 1.0}


def test_a_decay_is_half_way_before_half_of_its_steps() -> None:
    assert middle_steps(asked(kind="linear", warmup=0), [0.5])[0] < 15


@given(
    steps=st.integers(2, 60),
    kind=st.sampled_from(["constant", "cosine", "linear", "wsd"]),
    warmup=st.integers(0, 8),
    shares=st.lists(st.floats(1e-3, 0.99), max_size=4),
)
@settings(max_examples=60, deadline=None)
def test_no_step_is_nearer_and_none_is_far(steps: int, kind: str, warmup: int, shares: list[float]) -> None:
    protocol = asked(steps, kind, warmup)
    rates = [learning_rate(step, protocol, 1.0) for step in range(steps)]
    at = {step: sum(rates[:step]) / sum(rates) for step in range(1, steps)}
    found = middle_steps(protocol, shares)
    assert list(found) == sorted(set(found))
    for share in shares:
        nearest = min(abs(other - share) for other in at.values())
        is_found = any(abs(at[step] - share) <= nearest + 1e-9 for step in found)
        assert is_found or nearest > NEAR_SHARE * share * (1 - 1e-9)
    assert all(any(abs(at[step] - share) <= NEAR_SHARE * share * (1 + 1e-9) for share in shares) for step in found)


def test_averaged_weights_have_no_middle_that_is_like_their_end() -> None:
    averaging = Averaging(checkpoints=2, spacing=0.1)
    assert middle_steps(asked().model_copy(update={"averaging": averaging}), [0.5]) == ()


def test_a_result_without_scores_on_the_way_is_stored_as_ever() -> None:
    part = SetResult(bits_per_byte=1.0, nats_per_token=1.0, tokens=1, text_bytes=1, documents=1)
    stored = SuiteResult(suite="s", score=1.0, sets={"held": part}, artifact="x").model_dump(mode="json")
    assert set(stored) == {"suite", "score", "sets", "artifact", "checkpoints"}
    assert SuiteResult.model_validate(stored).middles == ()
