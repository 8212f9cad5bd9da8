"""The page of a study: every state has one, and its drawing shows the table's numbers."""

import json
import math
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.dashboard.study_ladder import view_study
from api.studies.markdown import as_markdown
from proxy.studies.tables import Point, tabulate
from proxy.studies.weighing import weigh_sets
from tests.api.dashboard.conftest import Seed
from tests.api.dashboard.test_page import read
from tests.api.service import Service
from tests.api.studies.test_studies import posted_in
from worker.store.models import Study
from worker.store.states import State

RATES = (1e-4, 1e-3, 1e-2)


def suite_of(recipes: int, chosen: float | None, rates: tuple[float, ...] = RATES, axis: str = "a") -> dict[str, Any]:
    """As a report has one: the lowest rate ranks recipes as their references do, the highest the other way round."""
    scale = {1e-4: 1.0, 1e-3: 0.0, 1e-2: -1.0}
    points = {
        rate: [
            Point(recipe=f"r{index}", proxy=4.0 + scale[rate] * index, reference=3.0 + index, label="tuned", axis=axis)
            for index in range(recipes)
        ]
        for rate in rates
    }
    scores = {rate: {point.recipe: point.proxy + rate for point in found} for rate, found in points.items()}
    return {"table": json.loads(json.dumps(tabulate(points, scores).as_json())), "search": {"rate": chosen}}


def page(client: TestClient, query: str = "", status: int = 200) -> str:
    answer = client.get(f"/study{query}")
    assert answer.status_code == status, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert read(answer.text).inline == []
    return re.sub(r"\s+", " ", answer.text)


def test_without_a_study_the_page_says_how_to_begin(client: TestClient) -> None:
    assert "foretaste study run FILE --corpora FOLDER --estimate" in page(client)


def test_an_unknown_study_is_not_found(client: TestClient) -> None:
    assert "stu_none" in page(client, "?id=stu_none", status=404)


def test_a_study_that_runs_broke_or_was_cancelled_has_a_page(service: Service, seed: Seed) -> None:
    posted = posted_in(service)
    text = page(service.http)
    assert "Ended: 0 of 6 proxy evaluations, 0 of 3 sweeps" in text
    assert 'max="21" value="0"' in text
    assert "Fewer than two recipes" in text
    assert page(service.http, f"?id={posted['id']}") == text
    assert page(service.http, "?id=little") == text

    def change(**changes: Any) -> None:
        seed(lambda session: [setattr(session.query(Study).one(), *pair) for pair in changes.items()])

    change(state=State.CANCELLED)
    assert "Sent again, it goes on." in page(service.http)
    change(state=State.FAILED, error="run <x> failed")
    text = page(service.http)
    assert "run &lt;x&gt; failed" in text
    assert "21 of its runs still train or wait; <code>foretaste study cancel little</code>" in text


def test_what_is_there_is_shown_where_it_is_too_little_to_draw(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rate has recipes to compare: no line, but a table, and what the rate search and the grids' edges say."""
    posted_in(service)
    (suite,) = service.get("/v1/studies/little/report").json()["suites"]
    told = {**suite, **suite_of(8, None, rates=RATES[:1]), "search": {"rate": None, "conclusion": "nothing passes"}}
    told["recipes"] = [{**row, "label": "swept, at the edge", "best_rate": 0.1} for row in suite["recipes"]]
    report = service.get("/v1/studies/little/report").json() | {"suites": [told]}
    monkeypatch.setattr("worker.studies.reports.report_of_row", lambda *_: report)
    text = page(service.http)
    assert "nothing passes" in text
    assert "The best rate of some references is at the edge of their grid" in text
    assert "Fewer than two rates have recipes to compare so far" in text
    assert 'aria-label="Agreement at every rate"' in text
    assert "Drawing of suite" not in text
    assert "Fewer than two recipes" not in text
    assert 'aria-label="Agreement within sets"' not in text
    assert "chance</th>" in text
    assert "Differences between rates" not in text
    assert '<th scope="row">little-reference</th><td>9 queued</td>' in text
    sets = {f"r{place}": {"a": 2.0 + 0.1 * place, "b": 3.0} for place in range(4)}
    rows = weigh_sets({RATES[0]: sets}, sets, {"a": 0.5, "b": 0.5}, standard=None)
    report["suites"] = [told | {"sets": ["a", "b"], "weighing": [row.as_json() for row in rows]}]
    text = page(service.http)
    assert 'aria-label="Agreement within sets"' in text
    assert '<th scope="col" class="num">All, by reference spreads</th>' in text
    assert '<td class="num">1.00 <span class="quiet">(1.00, –)</span></td>' in text
    assert '<td class="num">– <span class="quiet">(–, –)</span></td>' in text
    report["suites"] = [told | suite_of(8, None) | {"search": told["search"]}]
    text = page(service.http)
    assert 'aria-label="Differences between rates on suite' in text
    assert re.search(r'<b>2.000</b> <span class="quiet">\[1.80, 2.00\]</span>', text)
    report["suites"] = [told | suite_of(1, None, rates=RATES) | {"search": told["search"]}]
    text = page(service.http)
    assert "nothing passes" in text
    assert "Fewer than two recipes have both proxies and references so far." in text
    assert 'aria-label="Agreement at every rate"' not in text


def test_recipes_that_repeat_have_a_table_of_their_own(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    posted_in(service)
    report = service.get("/v1/studies/little/report").json()
    (suite,) = report["suites"]
    report["suites"] = [suite | suite_of(6, None, axis="repetition") | {"search": suite["search"]}]
    monkeypatch.setattr("worker.studies.reports.report_of_row", lambda *_: report)
    text = page(service.http)
    assert 'aria-label="Agreement of recipes that repeat"' in text
    assert 'aria-label="Agreement at every rate"' not in text
    assert "Fewer than two recipes" not in text
    assert '<td class="num">6</td><td class="num"><b>1.000</b>' in text
    words = as_markdown({**report, "machine": {}})
    assert "Recipes that repeat a source more than 4 times are in the table of repetition alone." in words
    assert "### Repetition" in words
    report["suites"] = [suite | suite_of(6, None) | {"search": suite["search"]}]
    assert 'aria-label="Agreement of recipes that repeat"' not in page(service.http)
    assert "repeat a source" not in as_markdown({**report, "machine": {}})


def test_the_drawing_passes_through_the_numbers_of_the_table() -> None:
    drawing = view_study(suite_of(8, 1e-4))
    assert drawing is not None
    spearman, decisions, regret = drawing.panels
    xs = [x for x, _ in decisions.lines[0].dots]
    assert [x - xs[0] for x in xs] == pytest.approx([(xs[-1] - xs[0]) * share for share in (0, 0.5, 1)], abs=0.02)
    assert [math.log10(rate) for rate in RATES] == [-4, -3, -2]
    right, reversed_order = spearman.lines[0].dots[0], spearman.lines[0].dots[-1]
    assert spearman.top < right[1] < reversed_order[1] < spearman.bottom
    assert spearman.threshold == pytest.approx((right[1] + reversed_order[1]) / 2, abs=0.02)  # chance: no correlation
    assert regret.lines[0].dots[0][1] > regret.lines[0].dots[-1][1]
    assert [mark.label for mark in drawing.marks] == ["standard", "chosen"]
    assert all(high <= low for _, low, high in spearman.intervals)


def test_a_rate_that_is_both_is_marked_once_and_too_few_recipes_are_not_drawn() -> None:
    suite = suite_of(8, 1e-4)
    standard = next(row["rate"] for row in suite["table"]["rows"] if row["is_standard"])
    drawing = view_study({**suite, "search": {"rate": standard}})
    assert drawing is not None
    assert [mark.label for mark in drawing.marks] == ["chosen, standard"]
    assert view_study(suite_of(1, None)) is None
