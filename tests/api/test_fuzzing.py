"""No recipe, however broken, is answered with an error of ours, and every refusal names a field."""

from collections import Counter
from pathlib import Path

import pytest

from tests.api.fuzzing import points_into, prepare, requests, send
from tests.api.service import Service


def test_no_recipe_is_answered_with_an_error_of_ours(empty: Service, tmp_path: Path) -> None:
    prepare(empty, tmp_path)
    statuses: Counter[int] = Counter()
    for sent in requests(300, seed=1, bodies=60):
        status, wrong = send(empty, sent)
        statuses[status] += 1
        assert wrong is None, f"{sent.path} {sent.body[:2000]!r}: {wrong}"
    assert statuses[200] + statuses[201] >= 30
    assert statuses[422] >= 100


@pytest.mark.parametrize(
    ("pointer", "is_there"),
    [
        ("", True),
        ("/a", True),
        ("/b", True),
        ("/a/0/x", True),
        ("/a/1/x", False),
        ("/b/c", False),
        ("/~1/x", True),
    ],
)
def test_a_pointer_names_a_part_or_what_it_lacks(pointer: str, is_there: bool) -> None:
    assert points_into(pointer, {"a": [{}], "/": {}}) is is_there
