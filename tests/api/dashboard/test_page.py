"""The page as the service sends it: whole without JavaScript, escaped, and linkable."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlparse

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from api.dashboard.queries import MOST_SHOWN
from tests.api.dashboard import samples
from tests.api.dashboard.conftest import Seed
from worker.store.models import Agreement, Leaderboard, Protocol, Recipe, utc_now
from worker.store.states import State

VOID = {"meta", "link", "input", "br", "rect", "circle", "line", "path"}


class Reader(HTMLParser):
    """Collects ids, addresses and inline code, and fails on tags that do not nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids += [str(named["id"])] if "id" in named else []
        self.addresses += [str(named[key]) for key in ("href", "src", "action") if key in named]
        self.inline += [key for key in named if key == "style" or key.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert [tag for tag in reader.open if tag not in ("li", "option")] == []
    return reader


def test_the_ranking_is_whole_in_the_first_answer(client: Any, ranked: list[Protocol]) -> None:
    response = client.get("/")
    page = response.text
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    for words in ("prose-heavy", "1.9142", "± 0.0041", "1–3", "52 %", "off the scale", "past unigram", "hot-start"):
        assert words in page
    assert "Seed noise differs between recipes" in page
    assert "3 of 12 recipes could be the best" in page
    assert "demo-reduced@1 on demo@1" in page


def test_a_ranking_whose_protocol_has_a_newer_version_is_marked(
    client: Any, seed: Seed, ranked: list[Protocol]
) -> None:
    assert "Stale" not in client.get("/").text
    old = ranked[0]
    newer = {"id": "pro_newer", "name": old.name, "version": old.version + 1, "fingerprint": "other"}
    rates = {"learning_rate": 1e-4, "standard_rate": 1e-3, "reduction": 0.1}
    seed(lambda session: samples.add_protocol(session, newer | rates))
    page = client.get("/", params={"protocol": f"{old.name}@{old.version}"}).text
    assert "<strong>Stale</strong>" in page
    assert f"protocol {old.name} has version {old.version + 1}" in page


def test_an_agreement_is_taken_apart_and_raises_its_alarm(client: Any, seed: Seed, ranked: list[Protocol]) -> None:
    figures = {"n": 6, "spearman": 0.5, "spearman_low": -0.3, "spearman_high": 0.9}
    figures |= {"decision_accuracy": 0.7, "decision_accuracy_low": 0.4, "decision_accuracy_high": 0.9}
    more = {
        "conclusion": "Weak evidence: 12 recipes.",
        "alarm": "Spearman may be as low as 0.10.",
        "by_axis": {"filter": figures},
        "without_easy": figures,
        "noise_only_low": 0.6,
        "noise_only_high": 0.8,
        "ceiling": 0.97,
        "ceiling_note": "one seed",
    }

    def extend(session: Session) -> None:
        for row in session.scalars(select(Agreement)):
            row.body = row.body | more

    seed(extend)
    page = client.get("/").text
    for words in (
        "Weak evidence",
        "<strong>Alarm</strong>",
        "Axis filter",
        "Without the easy recipes",
        "[−0.30, 0.90]",
    ):
        assert words in page
    assert "new seeds would give a Spearman in [0.60, 0.80]" in page
    assert "caps it at 0.970 (one seed)" in page


def test_the_newest_ranking_is_shown_unless_another_is_named(client: Any, ranked: list[Protocol]) -> None:
    assert "2.67 × 10⁻³, 1/3 of the standard 8 × 10⁻³" in client.get("/").text
    assert "8 × 10⁻³ (standard)" in client.get("/", params={"protocol": "demo-standard"}).text


def test_agreement_has_its_interval_its_note_and_every_protocol_tried(client: Any, ranked: list[Protocol]) -> None:
    page = client.get("/").text
    assert "[0.74, 0.99]" in page
    assert "the order of a new one of this kind is predicted" in page
    assert "2 protocols were tried" in page
    assert "[0.31, 0.93]" in page
    assert page.index("demo-reduced@1</a>") < page.index("demo-standard@1</a>")


def test_the_page_is_well_formed_and_every_address_is_its_own(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    seed(lambda session: samples.add_work(session, session.get_one(Protocol, "pro_demo-reduced")))
    for query in ("", "?view=ranks", "?find=nothing-like-it", "?sort=-score"):
        reader = read(client.get(f"/{query}").text)
        assert len(set(reader.ids)) == len(reader.ids)
        assert reader.inline == []
        assert all(not urlparse(address).netloc and not urlparse(address).scheme for address in reader.addresses)


def test_every_linked_resource_of_ours_is_a_route(client: Any, ranked: list[Protocol]) -> None:
    addresses = set(read(client.get("/").text).addresses)
    followed = [
        address for address in addresses if address.startswith(("static/", "?", "v1/leader", "v1/agree", "openapi"))
    ]
    assert len(followed) > 10
    for address in followed:
        assert client.get(f"/{address.partition('#')[0]}").status_code == 200, address
    paths = client.get("/openapi.json").json()["paths"]
    for noun in ("recipes/{", "evaluations/{", "runs/{", "jobs/{"):
        assert any(path.startswith(f"/v1/{noun}") for path in paths)


def test_a_static_address_changes_with_the_content_and_nothing_else_is_served(client: Any) -> None:
    [style] = re.findall(r"static/dashboard\.css\?v=[0-9a-f]{12}", client.get("/").text)
    assert client.get(f"/{style}").headers["content-type"].startswith("text/css")
    assert client.get("/static/../page.html").status_code == 404
    assert client.get("/static/none.js").status_code == 404


def test_the_page_lets_a_browser_load_nothing_from_elsewhere(client: Any) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_an_unknown_protocol_is_named_with_what_comes_close(client: Any, ranked: list[Protocol]) -> None:
    response = client.get("/", params={"protocol": "demo-reducd"})
    assert response.status_code == 404
    assert "did you mean demo-reduced" in response.text
    assert "demo-reducd" in response.text
    read(response.text)


def test_an_unknown_reference_set_leaves_the_ranking_in_place(client: Any, ranked: list[Protocol]) -> None:
    response = client.get("/", params={"reference_set": "nobody's"})
    assert response.status_code == 404
    assert "nobody&#39;s" in response.text
    assert "prose-heavy" in response.text


def test_a_pair_without_a_ranking_says_how_to_get_one(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    def add(session: Session) -> None:
        samples.add_materials(session)
        samples.add_protocol(session, samples.protocol_body("brand-new"))

    seed(add)
    response = client.get("/", params={"protocol": "brand-new", "suite": "demo"})
    assert response.status_code == 200
    assert "Nothing is ranked under brand-new@1 on demo@1" in response.text
    assert "<option selected>brand-new@1</option>" in response.text
    assert "--protocol brand-new@1 --suite demo@1" in response.text


def test_a_ranking_without_references_says_how_to_register_one(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    seed(lambda session: session.execute(delete(Agreement)))
    page = client.get("/").text
    assert "No reference yet" in page
    assert "/v1/references" in page
    assert "prose-heavy" in page


def test_several_reference_sets_can_be_chosen(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    def add(session: Session) -> None:
        body = samples.agreement_body(count=4) | {"reference_set": "older"}
        ids = {"protocol_id": "pro_demo-reduced", "suite_id": "sui_demo", "evidence": "x"}
        body = body | {"metric": "loss"}
        when = samples.NOW - timedelta(days=1)
        session.add(Agreement(reference_set="older", metric="loss", body=body, created_at=when, **ids))

    seed(add)
    assert "<option>older</option>" in client.get("/").text
    page = client.get("/", params={"reference_set": "older"}).text
    assert "<option selected>older</option>" in page
    assert "Not evidence" in page


def test_names_are_escaped_everywhere(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    evil = "<script>alert(1)</script>"

    def rename(session: Session) -> None:
        body = samples.leaderboard_body() | {"warnings": [evil]}
        body["entries"][0]["recipe"]["name"] = evil
        body["entries"][0]["gates"][0]["message"] = evil
        when = samples.NOW + timedelta(days=1)
        session.add(
            Leaderboard(protocol_id="pro_demo-reduced", suite_id="sui_demo", evidence="z", body=body, created_at=when)
        )

    seed(rename)
    page = client.get("/", params={"find": evil}).text
    assert evil not in page
    assert "&lt;script&gt;" in page
    read(page)


def test_what_is_found_is_counted_and_nothing_found_is_said(client: Any, ranked: list[Protocol]) -> None:
    page = client.get("/", params={"find": "python"}).text
    assert "2 of 13 recipes contain “python”" in page
    assert "No recipe’s name contains “xyz”" in client.get("/", params={"find": "xyz"}).text


@pytest.mark.parametrize("query", [{"sort": "nonsense"}, {"view": "nonsense"}, {"unknown": "1"}])
def test_a_selection_nobody_knows_is_the_default(client: Any, ranked: list[Protocol], query: dict[str, str]) -> None:
    assert client.get("/", params=query).status_code == 200


def test_runs_in_progress_have_bars_and_failures_their_reason(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    def add(session: Session) -> None:
        protocol = session.get_one(Protocol, "pro_demo-reduced")
        samples.add_work(session, protocol)
        recipe = session.get_one(Recipe, "rec_balanced")
        samples.add_run(session, recipe, protocol, State.FAILED, error="out of memory", finished_at=utc_now())

    seed(add)
    page = client.get("/").text
    assert "3 running · 2 queued · 1 other job" in page
    assert '<progress max="400" value="312"' in page
    assert "loss 4.217 · 61,234 tokens/s · 4 s left" in page
    assert "claimed; waiting for its turn" in page
    assert "41,200 documents" in page
    assert "out of memory" in page
    assert 'data-busy="yes"' in page


def test_what_is_read_for_a_run_is_shown_before_its_steps(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    reading = {"activity": "computing columns", "documents": 12000, "bytes": 30, "of_bytes": 90}
    reading |= {"megabytes_a_second": 10.0, "seconds_left": 6, "steps": 400, "step": 0}

    def add(session: Session) -> None:
        protocol, recipe = session.get_one(Protocol, "pro_demo-reduced"), session.get_one(Recipe, "rec_balanced")
        for progress in (reading, reading | {"activity": "tokenising", "of_bytes": None, "seconds_left": None}):
            samples.add_run(session, recipe, protocol, State.RUNNING, started_at=samples.NOW, progress=progress)

    seed(add)
    page = client.get("/").text
    assert '<progress max="90" value="30" aria-label="computing columns for balanced' in page
    assert "computing columns · 12,000 documents · 10.0 MB/s · 6 s left" in page
    assert "tokenising · 12,000 documents · 10.0 MB/s</span>" in page


def test_only_so_many_runs_are_listed(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    def add(session: Session) -> None:
        protocol, recipe = session.get_one(Protocol, "pro_demo-reduced"), session.get_one(Recipe, "rec_balanced")
        for _ in range(MOST_SHOWN + 3):
            samples.add_run(session, recipe, protocol, State.RUNNING, started_at=samples.NOW)

    seed(add)
    assert "and 3 more" in client.get("/").text


def test_work_that_nobody_takes_says_how_to_start_a_worker(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    def add(session: Session) -> None:
        protocol, recipe = session.get_one(Protocol, "pro_demo-reduced"), session.get_one(Recipe, "rec_balanced")
        samples.add_run(session, recipe, protocol, State.QUEUED, created_at=samples.NOW)

    assert "foretaste worker" not in client.get("/").text
    seed(add)
    assert "foretaste worker" in client.get("/").text


def test_work_that_waits_behind_other_work_is_attended(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    def add(session: Session) -> None:
        protocol, recipe = session.get_one(Protocol, "pro_demo-reduced"), session.get_one(Recipe, "rec_balanced")
        for state in (State.QUEUED, State.RUNNING):
            samples.add_run(session, recipe, protocol, state, created_at=samples.NOW)

    seed(add)
    assert "foretaste worker" not in client.get("/").text


def test_several_metrics_of_a_set_can_be_chosen(client: Any, ranked: list[Protocol], seed: Seed) -> None:
    def add(session: Session) -> None:
        body = samples.agreement_body(count=4) | {"metric": "accuracy", "direction": "higher"}
        ids = {"protocol_id": "pro_demo-reduced", "suite_id": "sui_demo", "evidence": "x"}
        when = samples.NOW - timedelta(days=1)
        session.add(Agreement(reference_set="demo", metric="accuracy", body=body, created_at=when, **ids))

    seed(add)
    assert "<option>demo (accuracy)</option>" in client.get("/").text
    page = client.get("/", params={"reference_set": "demo (accuracy)"}).text
    assert "<option selected>demo (accuracy)</option>" in page
    assert "metric=accuracy" in page


def test_a_ranking_whose_losses_are_gone_says_so(client: Any, ranked: list[Protocol]) -> None:
    page = client.get("/", params={"weights": "varied"})
    assert page.status_code == 200
    assert "there is no order to vary" in page.text
