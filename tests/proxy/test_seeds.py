"""Where seeds begin, and how they are told."""

import pytest

from proxy.errors import InvalidInputError
from proxy.seeds import MOST_FIRST_SEED, SEED_BITS, describe_seeds, require_first_seed, seeds_from


@pytest.mark.parametrize("first", [-1, MOST_FIRST_SEED + 1])
def test_a_first_seed_that_is_none_is_named_with_its_value(first: int) -> None:
    with pytest.raises(InvalidInputError) as refused:
        require_first_seed(first, "--first-seed")
    assert [(one.pointer, one.value) for one in refused.value.problems] == [("--first-seed", first)]


def test_the_last_seeds_fit_a_column_of_32_bits() -> None:
    require_first_seed(MOST_FIRST_SEED)
    assert max(seeds_from(MOST_FIRST_SEED, 1000)) < 2**SEED_BITS


def test_seeds_from_zero_on_are_told_as_ever() -> None:
    assert [describe_seeds(0, 2), describe_seeds(0, 1)] == ["2 seeds", "1 seed"]
    assert describe_seeds(100, 2) == "2 seeds from 100 on"
