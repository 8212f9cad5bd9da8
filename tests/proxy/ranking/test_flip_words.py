"""What is said of a flip certificate."""

from dataclasses import replace

import numpy as np
import pytest

from proxy.ranking.flip_words import FlipWords, Tone, describe_leaderboard, describe_pair, write_rate
from proxy.ranking.flips import certify_order
from proxy.ranking.rate_ladders import RateEvidence
from tests.proxy.ranking.builders import from_scores

RATES = (1e-4, 3e-4, 1e-3)


def say(*levels: list[float], own: float = 3e-4, pair: bool = False, unclear: tuple[int, ...] = ()) -> FlipWords:
    """One list of true scores a rate, seen clearly but at the `unclear` ones."""
    rng = np.random.default_rng(0)
    rungs = []
    for place, (rate, truth) in enumerate(zip(RATES, levels, strict=False)):
        noise_RT = rng.normal(scale=50.0 if place in unclear else 1e-3, size=(len(truth), 4))
        rungs.append(RateEvidence(rate=rate, evidence=from_scores(100 + np.array(truth)[:, None] + noise_RT)))
    found = certify_order(rungs, own, pair=("recipe-0", "recipe-1") if pair else None)
    return describe_pair(found) if pair else describe_leaderboard(found)


@pytest.mark.parametrize(
    ("rate", "words"), [(3e-4, "3e-4"), (0.001, "1e-3"), (1.25e-5, "1.25e-5"), (1.0, "1e0"), (2.4e-3, "2.4e-3")]
)
def test_rates_are_written_as_people_do(rate: float, words: str) -> None:
    assert write_rate(rate) == words


def test_an_order_that_holds_everywhere_is_stable() -> None:
    said = say([1, 2, 3], [1, 2, 3], [1, 2, 3])
    assert (said.badge, said.tone) == ("order stable from 1e-4 to 1e-3", Tone.GOOD)
    assert said.sentence == "Each of 3 pairs has the same better recipe at every rate from 1e-4 to 1e-3."


def test_flips_are_counted_and_the_calm_around_the_rate_is_named() -> None:
    said = say([1, 2, 3], [1, 2, 3], [2, 1, 3])
    assert (said.badge, said.tone) == ("1 pair flips, none from 1e-4 to 3e-4", Tone.WARNING)
    assert said.sentence == (
        "1 of 3 pairs flips somewhere from 1e-4 to 1e-3, none from 1e-4 to 3e-4, where 3 hold at every rate; "
        "over all rates 2 hold and 0 are unresolved."
    )


def test_flips_next_to_the_rate_leave_no_calm() -> None:
    said = say([1, 2, 3], [1, 2, 3], [2, 1, 3], own=1e-3)
    assert said.badge == "1 pair flips, some next to 1e-3"
    assert "between 1e-3 and the rates next to it" in said.sentence


def test_a_certificate_of_no_pairs_calls_nothing_stable() -> None:
    found = certify_order([RateEvidence(rate=rate, evidence=from_scores([[1, 2], [3, 5]])) for rate in RATES], 3e-4)
    said = describe_leaderboard(replace(found, stable=0, flipping=0, unresolved=0, pairs=()))
    assert (said.badge, said.tone) == ("unresolved from 1e-4 to 1e-3", Tone.OPEN)


def test_what_is_unresolved_is_not_called_stable() -> None:
    said = say([1, 1000, 1001], [1, 1000, 1001], unclear=(0,))
    assert (said.badge, said.tone) == ("no flips from 1e-4 to 3e-4", Tone.OPEN)
    assert (
        said.sentence == "No pair is seen to flip from 1e-4 to 3e-4: 2 of 3 pairs hold at every rate, 1 is unresolved."
    )
    nothing = say([1, 2], [1, 2], unclear=(0, 1))
    assert (nothing.badge, nothing.tone) == ("unresolved from 1e-4 to 3e-4", Tone.OPEN)
    assert nothing.sentence.endswith("0 of 1 pair holds at every rate, 1 is unresolved.")


@pytest.mark.parametrize(
    ("levels", "unclear", "badge", "sentence"),
    [
        (
            ([1, 2], [1, 2], [1, 2]),
            (),
            "stable from 1e-4 to 1e-3",
            "recipe-0 is better at every rate from 1e-4 to 1e-3.",
        ),
        (
            ([1, 2], [2, 1], [1, 2]),
            (),
            "flips between 1e-4 and 3e-4 and between 3e-4 and 1e-3",
            "The order flips between 1e-4 and 3e-4 and between 3e-4 and 1e-3: recipe-0 is better at 1e-4, recipe-1 at "
            "3e-4; recipe-1 is better at 3e-4, recipe-0 at 1e-3.",
        ),
        (
            ([1, 2], [1, 2], [2, 1]),
            (1,),
            "flips between 1e-4 and 1e-3",
            "The order flips between 1e-4 and 1e-3: recipe-0 is better at 1e-4, recipe-1 at 1e-3.",
        ),
        (
            ([1, 2], [1, 2], [1, 2]),
            (1,),
            "unresolved from 1e-4 to 1e-3",
            "recipe-0 is better at 1e-4 and 1e-3, and neither is resolved at the other rates from 1e-4 to 1e-3.",
        ),
        (
            ([1, 2], [1, 2]),
            (0, 1),
            "unresolved from 1e-4 to 3e-4",
            "recipe-0 and recipe-1 cannot be told apart at any rate from 1e-4 to 3e-4.",
        ),
    ],
)
def test_a_pair_is_said_to_be_what_it_is(
    levels: tuple[list[float], ...], unclear: tuple[int, ...], badge: str, sentence: str
) -> None:
    said = say(*levels, unclear=unclear, pair=True)
    assert (said.badge, said.sentence) == (badge, sentence)
