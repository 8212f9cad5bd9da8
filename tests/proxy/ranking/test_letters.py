import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from proxy.ranking.letters import compact_letters


def resolved(pairs: list[tuple[int, int]], recipes: int) -> np.typing.NDArray[np.bool_]:
    table = np.zeros((recipes, recipes), dtype=bool)
    for first, second in pairs:
        table[first, second] = table[second, first] = True
    return table


@pytest.mark.parametrize(
    ("pairs", "letters"),
    [
        ([], ["a", "a", "a"]),
        ([(0, 2)], ["a", "ab", "b"]),
        ([(0, 1), (0, 2)], ["a", "b", "b"]),
        ([(0, 1), (0, 2), (1, 2)], ["a", "b", "c"]),
    ],
)
def test_letters_of_three_recipes_are_the_textbook_ones(pairs: list[tuple[int, int]], letters: list[str]) -> None:
    assert compact_letters(resolved(pairs, 3)) == letters


def split(text: str) -> set[str]:
    marks: list[str] = []
    for character in text:
        if character.isdigit():
            marks[-1] += character
        else:
            marks.append(character)
    return set(marks)


@given(st.integers(1, 9).flatmap(lambda size: arrays(np.bool_, (size, size))))
def test_two_recipes_share_a_letter_exactly_if_they_are_not_resolved(table: np.typing.NDArray[np.bool_]) -> None:
    is_resolved = np.triu(table, 1) | np.triu(table, 1).T
    marks = [split(text) for text in compact_letters(is_resolved)]
    shares = np.array([[bool(first & second) for second in marks] for first in marks])
    np.testing.assert_array_equal(shares, ~is_resolved | np.eye(len(table), dtype=bool))


def test_after_the_alphabet_letters_are_numbered() -> None:
    letters = compact_letters(~np.eye(120, dtype=bool))
    assert letters[:2] == ["a", "b"]
    assert letters[51:54] == ["Z", "a2", "b2"]
    assert len(set(letters)) == 120


def plain(is_resolved: np.typing.NDArray[np.bool_]) -> list[list[int]]:
    """The greedy groups as sets of Python, one recipe after the other."""
    tied = ~is_resolved
    covered: set[tuple[int, int]] = set()
    groups = []
    for first in range(len(tied)):
        while partners := [j for j in range(len(tied)) if tied[first, j] and (first, j) not in covered]:
            group = [first, partners[-1]]
            for candidate in range(len(tied)):
                if all(tied[candidate, member] for member in group):
                    group.append(candidate)
            groups.append(sorted(set(group)))
            covered |= {(a, b) for a in group for b in group}
    return groups


def test_many_recipes_get_the_groups_of_the_plain_algorithm() -> None:
    rng = np.random.default_rng(6)
    half = np.triu(rng.random((70, 70)) < 0.4, 1)
    letters = compact_letters(half | half.T)
    groups = plain(half | half.T)
    assert len(groups) > 52
    for index, text in enumerate(letters):
        assert len(split(text)) == sum(index in group for group in groups)
