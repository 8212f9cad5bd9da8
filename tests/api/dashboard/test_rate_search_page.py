"""The page of a rate search: its drawing shows the report's numbers, and every state has a page."""

import itertools
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api.dashboard.rate_ladder import view_equal_travel, view_ladder
from api.rate_searches.levels import drawn_level
from api.rate_searches.picture import draw_search, make_figure
from proxy.ranking.rate_search import Ladder, search_rate
from tests.api.dashboard.conftest import Seed
from tests.proxy.ranking.rate_search.ladders import ANCHORS, RATES, ladder_of
from worker.store.models import Protocol, RateSearch, Recipe, Suite
from worker.store.states import State

ESTIMATE = {
    "runs": 48,
    "runs_to_train": 48,
    "tokens": 1,
    "training_flops": 1.0,
    "tokens_per_second": None,
    "device_seconds": None,
}


def report_of(ladder: Ladder) -> dict[str, Any]:
    levels = [{"travel": 0.1, "losses": {f"{rate:g}": 5.25 for rate in ladder.rates}}]
    names = {anchor: anchor for anchor in ladder.anchors}
    return {**asdict(search_rate(ladder)), "names": names, "equal_travel": levels}


def add_search(session: Session, state: State, report: dict[str, Any] | None, error: str | None = None) -> str:
    """A search of a protocol that is ranked already."""
    protocol = session.query(Protocol).first()
    suite, anchor = session.query(Suite).first(), session.query(Recipe).first()
    assert protocol is not None
    assert suite is not None
    assert anchor is not None
    row = RateSearch(
        request_key=f"key-{session.query(RateSearch).count()}",
        protocol_id=protocol.id,
        suite_id=suite.id,
        anchors=[anchor.id],
        rates=list(RATES),
        seeds=3,
        steps=1000,
        state=state,
        estimate=ESTIMATE,
        points=[],
        report=report,
        found_id=protocol.id if report is not None and report["rate"] is not None else None,
        error=error,
    )
    session.add(row)
    session.flush()
    return row.id


def page(client: TestClient, query: str = "", status: int = 200) -> str:
    answer = client.get(f"/rate-search{query}")
    assert answer.status_code == status, answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return re.sub(r"\s+", " ", answer.text)


def test_without_a_search_the_page_says_how_to_begin(client: TestClient) -> None:
    assert "foretaste rate-search" in page(client)


def test_an_unknown_search_is_not_found(client: TestClient) -> None:
    assert "rat_none" in page(client, "?id=rat_none", status=404)


def test_a_chosen_rate_is_shown_with_all_gates(client: TestClient, seed: Seed, ranked: list[Protocol]) -> None:
    seed(lambda session: add_search(session, State.FINISHED, report_of(ladder_of())))
    text = page(client)
    assert "<strong>Chosen.</strong>" in text
    assert "is the lowest rate that passes every gate" in text
    assert "Stored as" in text
    assert text.count("<b>numerical floor</b>") == len(RATES)
    assert all(f">{anchor}</text>" in text for anchor in ANCHORS)
    assert "5.250" in text
    assert "matters little" in text


def test_a_version_names_the_search_that_found_its_rate(client: TestClient, seed: Seed, ranked: list[Protocol]) -> None:
    search = seed(lambda session: add_search(session, State.FINISHED, report_of(ladder_of())))
    items = client.get("/v1/protocols").json()["items"]
    assert sorted(item["rate_searches"] for item in items) == [[], [search]]
    found = next(item for item in items if item["rate_searches"])
    assert client.get(f"/v1/protocols/{found['id']}").json() == found
    name = f"{found['name']}@{found['version']}"
    assert f'<a href="rate-search?id={search}">' in client.get("/", params={"protocol": name}).text
    other = next(f"{item['name']}@{item['version']}" for item in items if not item["rate_searches"])
    assert "found by a rate search" not in client.get("/", params={"protocol": other}).text


def test_what_would_pass_is_shown_where_nothing_does(client: TestClient, seed: Seed, ranked: list[Protocol]) -> None:
    ladder = ladder_of(
        lambda _a, rate, _s: {"progress": {"prose": 0.3 + 0.2 * RATES.index(rate)}}, tokens_per_second=1e4
    )
    seed(lambda session: add_search(session, State.FINISHED, report_of(ladder)))
    text = page(client)
    assert "<strong>Nothing passes.</strong>" in text
    assert "What would pass" in text
    assert "A run takes here" in text


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [(State.RUNNING, None, "0 of 0 runs have ended"), (State.FAILED, "run <x> failed", "run &lt;x&gt; failed")],
)
def test_a_search_without_a_report_has_a_page(
    client: TestClient, seed: Seed, ranked: list[Protocol], state: State, error: str | None, words: str
) -> None:
    name = seed(lambda session: add_search(session, state, None, error))
    assert words in page(client, f"?id={name}")


def test_a_search_in_which_everything_diverged_can_be_drawn(
    client: TestClient, seed: Seed, ranked: list[Protocol]
) -> None:
    seed(lambda session: add_search(session, State.FINISHED, report_of(ladder_of(lambda *_: {"score": None}))))
    assert "every rate" in page(client)


def test_lines_pass_through_the_numbers_of_the_report() -> None:
    ladder = ladder_of(lambda a, rate, s: {"score": None} if (a, rate, s) == ("code", 3e-3, 1) else {})
    report = report_of(ladder)
    drawing = view_ladder(report)
    score, progress, _, order = drawing.panels
    assert len(score.lines[0].dots) == 3  # the rate at which a run diverged has no score
    xs = [x for x, _ in progress.lines[0].dots]
    shares = [(x - xs[0]) / (xs[-1] - xs[0]) for x in xs] if len(xs) > 1 else []
    logs = [math.log10(rate) for rate in RATES[: len(xs)]]
    assert shares == pytest.approx([(one - logs[0]) / (logs[-1] - logs[0]) for one in logs], abs=1e-3)
    assert progress.threshold is not None
    assert progress.top < progress.threshold < progress.bottom
    by_name = {line.label: line for line in order.lines}
    heights = [by_name[anchor].label_y for anchor in ANCHORS]
    assert heights == sorted(heights)  # the best anchor on top
    assert [mark.label for mark in drawing.marks] == ["chosen", "η*"]
    assert drawing.marks[0].at == pytest.approx(xs[0])


def test_labels_of_rates_do_not_overlap() -> None:
    rates = tuple(1e-4 * 1.3**k for k in range(16))
    drawing = view_ladder(report_of(ladder_of(rates=rates, anchors=ANCHORS[:3], seeds=2)))
    places = [tick.at for tick in drawing.rates]
    assert min(b - a for a, b in itertools.pairwise(places)) >= 60


def test_the_picture_shows_the_same_numbers_as_the_report(tmp_path: Path) -> None:
    report = report_of(ladder_of(lambda a, rate, s: {"score": None} if (a, rate, s) == ("code", 3e-3, 1) else {}))
    search = {"protocol": {"name": "tiny", "version": 1}, "report": report}
    score, progress, _, ranks = make_figure(search).axes
    shown = score.lines[0].get_xydata()
    assert shown.tolist() == [[row["rate"], row["score"]] for row in report["rates"][:3]]
    assert progress.lines[1].get_ydata()[0] == 0.8
    assert sorted(line.get_label() for line in ranks.lines[: len(ANCHORS)]) == sorted(ANCHORS)
    draw_search(search, tmp_path / "new" / "search.png")
    assert (tmp_path / "new" / "search.png").read_bytes().startswith(b"\x89PNG")


def level_of(report: dict[str, Any], index: int, known: tuple[float, ...], *, is_end: bool = True) -> dict[str, Any]:
    """A level of Σ rates at which these rates are known: scores are 9 less the rate's place, ranks are turned round."""
    travel, rates = report["rates"][index]["travel"], [row["rate"] for row in report["rates"]]
    rows = [
        {
            "rate": rate,
            "step": 1000 - RATES.index(rate),
            "travel": travel,
            "is_end": is_end or rate == rates[index],
            "score": 9.0 - RATES.index(rate),
            "progress_median": 0.61,
            "reliability": 0.912,
            "reliability_low": 0.85,
            "scores": dict.fromkeys(ANCHORS, 9.0),
            "ranks": {anchor: len(ANCHORS) - place for place, anchor in enumerate(ANCHORS)},
        }
        for rate in known
    ]
    missing = {f"{rate:.6g}": "12 of 12 runs were not scored there" for rate in rates[index:] if rate not in known}
    return {"travel": travel, "losses": {f"{rate:g}": 5.25 for rate in rates}, "rates": rows, "missing": missing}


def with_levels(report: dict[str, Any], *known: tuple[float, ...], is_end: bool = True) -> dict[str, Any]:
    levels = [level_of(report, index, rates, is_end=is_end) for index, rates in enumerate(known)]
    return {**report, "equal_travel": levels}


ALL_KNOWN = tuple(RATES[index:] for index in range(len(RATES)))


def test_at_equal_travel_the_page_draws_the_chosen_rates_level_and_tells_every_one(
    client: TestClient, seed: Seed, ranked: list[Protocol]
) -> None:
    report = with_levels(report_of(ladder_of()), RATES, RATES[1:], RATES[2:3], RATES[3:])
    seed(lambda session: add_search(session, State.FINISHED, report))
    text = page(client)
    assert f"Σ rates = {report['rates'][0]['travel']:.3g}" in text
    assert text.count('<svg class="scatter ladder"') == 2
    turned = " · ".join(f"{rank} {name}" for rank, name in enumerate(ANCHORS[::-1], start=1))
    assert text.count(turned) == 9
    assert text.count("not known: 12 of 12 runs were not scored there") == 1
    assert "what a shorter run would have ended with" not in text


def test_under_a_decay_the_page_says_that_a_middle_is_no_end(
    client: TestClient, seed: Seed, ranked: list[Protocol]
) -> None:
    seed(lambda session: add_search(session, State.FINISHED, with_levels(report_of(ladder_of()), RATES, is_end=False)))
    assert "a middle is not what a shorter run would have ended with" in page(client)


@pytest.mark.parametrize("known", [(), tuple((rate,) for rate in RATES)])
def test_without_scores_on_the_way_the_page_says_so(
    client: TestClient, seed: Seed, ranked: list[Protocol], known: tuple[tuple[float, ...], ...]
) -> None:
    report = report_of(ladder_of())  # with `known`, as a report of runs that were trained before; without, an older one
    seed(lambda session: add_search(session, State.FINISHED, with_levels(report, *known) if known else report))
    text = page(client)
    assert "are not known at equal Σ rates" in text
    assert text.count('<svg class="scatter ladder"') == 1


def test_the_level_that_decides_is_drawn() -> None:
    report = with_levels(report_of(ladder_of()), *ALL_KNOWN)
    assert drawn_level(report) is report["equal_travel"][0]  # of the rate that was chosen
    open_ = {**report, "rate": None}
    assert drawn_level(open_) is report["equal_travel"][1]  # of the highest that is low enough
    none = {**open_, "rates": [{**row, "is_low_enough": False} for row in report["rates"]]}
    assert drawn_level(none) is report["equal_travel"][2]  # the largest that two rates know
    assert drawn_level({**report, "equal_travel": [{"travel": 1.0, "losses": {}}]}) is None


def test_both_drawings_share_their_axis_and_unknown_rates_leave_a_gap() -> None:
    report = with_levels(report_of(ladder_of()), (RATES[0], RATES[2], RATES[3]))
    steps, travel = view_ladder(report), view_equal_travel(report)
    assert travel is not None
    assert (travel.rates, travel.marks) == (steps.rates, steps.marks)
    dots = {x for x, _ in travel.panels[0].lines[0].dots}
    assert dots == {x for place, (x, _) in enumerate(steps.panels[1].lines[0].dots) if place != 1}
    assert travel.panels[0].lines[0].path.count("M") == 2
    first = [line.label_y for line in travel.panels[3].lines]
    assert first == sorted(first, reverse=True)  # the ranks are turned round there


def test_the_picture_has_equal_travel_beside_equal_steps() -> None:
    report = with_levels(report_of(ladder_of()), *ALL_KNOWN)
    axes = make_figure({"protocol": {"name": "tiny", "version": 1}, "report": report}).axes
    assert len(axes) == 8
    steps, travel = axes[0], axes[1]
    assert travel.get_title(loc="left") == f"at equal Σ rates, {report['rates'][0]['travel']:.3g}"
    assert travel.lines[0].get_xydata().tolist() == [[rate, 9.0 - place] for place, rate in enumerate(RATES)]
    assert steps.get_ylim() == travel.get_ylim()
    low, high = axes[7].get_ylim()
    assert low > high  # rank 1 is on top
    ranks = {line.get_label(): list(line.get_ydata()) for line in axes[7].lines[: len(ANCHORS)]}
    assert ranks == {anchor: [len(ANCHORS) - place] * 4 for place, anchor in enumerate(ANCHORS)}
