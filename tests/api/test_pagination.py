"""Pages neither repeat nor skip."""

import pytest

from api.pagination import LARGEST_PAGE
from tests.api.service import RECIPE, Service, pointers_of


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_together_are_the_list(service: Service, limit: int) -> None:
    for epochs in range(1, 4):
        source = {**RECIPE["sources"][0], "max_epochs": epochs}
        service.made("/v1/recipes", {"name": f"r{epochs}", "sources": [source]})
    names, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = service.get("/v1/recipes", params={"limit": limit} | ({"cursor": cursor} if cursor else {})).json()
        names += [item["name"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert names == ["r1", "r2", "r3"]
    assert pages == -(-3 // limit)


def test_an_empty_list_has_one_page(empty: Service) -> None:
    for noun in ("corpora", "tokenizers", "recipes", "protocols", "suites", "evaluations", "references", "schedules"):
        assert empty.get(f"/v1/{noun}").json() == {"items": [], "next_cursor": None}


def test_a_page_has_a_largest_size(empty: Service) -> None:
    assert pointers_of(empty.get(f"/v1/recipes?limit={LARGEST_PAGE + 1}")) == ["/limit"]
