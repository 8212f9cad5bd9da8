"""Learning rates against values worked out by hand."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.lm.schedules import learning_rate
from proxy.protocols import Schedule
from tests.proxy.lm.small import protocol


def rates(steps: int, **schedule: Any) -> list[float]:
    asked = protocol(steps, schedule=Schedule(**schedule))
    return [learning_rate(step, asked, 1.0) for step in range(steps)]


def test_linear_decay_is_a_line_from_the_peak_to_the_final_share() -> None:
    found = rates(8, kind="linear", warmup_steps=3, final_fraction=0.2)
    assert found == pytest.approx([1 / 3, 2 / 3, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_a_moderate_cosine_ends_where_it_says() -> None:
    found = rates(105, kind="cosine", warmup_steps=4, final_fraction=0.3)
    assert found[4] == 1
    assert found[54] == pytest.approx(0.65)  # half-way between 1 and 0.3
    assert found[104] == pytest.approx(0.3)


def test_wsd_is_stable_and_then_decays_over_its_share() -> None:
    found = rates(10, kind="wsd", warmup_steps=2, decay_share=0.4, final_fraction=0.0)
    assert found == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_wsd_may_decay_by_the_square_root() -> None:
    found = rates(10, kind="wsd", warmup_steps=2, decay_share=0.4, decay="1-sqrt", final_fraction=0.2)
    decayed = [0.2 + 0.8 * (1 - math.sqrt(done)) for done in (0.25, 0.5, 0.75, 1)]
    assert found == pytest.approx([0.5, 1, 1, 1, 1, 1, *decayed])
    assert decayed[0] == pytest.approx(0.6)


def test_the_decay_may_begin_right_after_the_warm_up() -> None:
    assert rates(4, kind="wsd", warmup_steps=2, decay_share=0.5, final_fraction=0.5) == pytest.approx(
        [0.5, 1, 0.75, 0.5]
    )


@given(
    st.sampled_from(["cosine", "linear", "wsd"]),
    st.integers(20, 200),
    st.integers(0, 8),
    st.floats(0, 1),
    st.sampled_from([0.01, 0.1, 0.5]),
)
def test_rates_rise_to_the_peak_and_never_leave_the_range(
    kind: str, steps: int, warmup: int, final: float, share: float
) -> None:
    options = {"decay_share": share} if kind == "wsd" else {}
    found = rates(steps, kind=kind, warmup_steps=warmup, final_fraction=final, **options)
    assert max(found) == pytest.approx(1)
    assert found[-1] == pytest.approx(final)
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)


def test_a_checkpoint_of_a_constant_schedule_is_a_run_of_its_length() -> None:
    assert rates(50, warmup_steps=5)[:20] == rates(20, warmup_steps=5)
