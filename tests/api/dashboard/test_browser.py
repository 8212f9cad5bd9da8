"""The page in a real Chromium: nothing in its console, nothing from elsewhere, nothing cut off; it follows the work.

With FORETASTE_SCREENSHOTS=<folder> every view is also written there, to be looked at.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy.orm import Session

from api.main import create_app
from tests.api.dashboard import samples
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.models import Run
from worker.store.sessions import Sessions, make_engine, make_sessions, session_scope
from worker.store.states import State

pytestmark = [pytest.mark.browser]

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_SECONDS = 20.0
SCREENSHOTS = os.environ.get("FORETASTE_SCREENSHOTS")  # read at import: the environment is cleared for each test
IS_CI = os.environ.get("CI") == "true"
VIEWS = [(1400, "light"), (1400, "dark"), (990, "light"), (900, "dark"), (400, "light"), (400, "dark")]
NARROWEST_BAR = "Math.min(...[...document.querySelectorAll('svg.bar')].map(bar => bar.getBoundingClientRect().width))"
STICKS_OUT = (
    "document.querySelector('table.ranking').getBoundingClientRect().right"
    " - document.querySelector('#ranking').getBoundingClientRect().right"
)

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not (Path(CHROMIUM).exists() or shutil.which("chromium")):
        message = f"Chromium is missing at {CHROMIUM}: apt-get install chromium"
        pytest.fail(message) if IS_CI else pytest.skip(message)
    path = CHROMIUM if Path(CHROMIUM).exists() else shutil.which("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The real server on a free loopback port."""
    config = uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


@contextmanager
def service(folder: Path, seed: Callable[[Session], Any]) -> Iterator[tuple[str, Sessions]]:
    """A service on a fresh database, and sessions to change it while people look at it."""
    settings = Settings(_env_file=None, data_dir=folder)
    upgrade_database(settings)
    engine = make_engine(settings.resolved_database_url)
    sessions = make_sessions(engine)
    with session_scope(sessions) as session:
        seed(session)
    with serving(settings) as url:
        yield url, sessions
    engine.dispose()


def seed_everything(session: Session) -> None:
    protocols = samples.add_rankings(session)
    samples.add_materials(session)
    samples.add_work(session, protocols[1])


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Sessions]]:
    with service(tmp_path_factory.mktemp("ranked"), seed_everything) as running:
        yield running


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens pages that must leave the console empty and ask nobody but our service."""
    contexts, problems, asked = [], [], []

    def start(url: str, width: int = 1400, scheme: str = "light", *, javascript: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=javascript,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        return page

    yield start
    for context in contexts:
        context.close()
    assert problems == []
    assert [url for url in asked if not url.startswith("http://127.0.0.1:")] == []


def keep_picture(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_nothing_is_cut_off_at_any_width(
    ranked: tuple[str, Sessions], open_page: Open, width: int, scheme: str
) -> None:
    page = open_page(ranked[0], width, scheme)
    keep_picture(page, f"{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("svg.scatter:visible").count() == 1
    assert page.locator(".ranking tbody tr").count() == 13
    assert page.evaluate(NARROWEST_BAR) >= 140
    assert page.evaluate(STICKS_OUT) <= 0
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(22, 19, 17)" if scheme == "dark" else "rgb(250, 247, 242)")


def test_text_in_every_drawing_is_large_enough_to_read(ranked: tuple[str, Sessions], open_page: Open) -> None:
    for width in (400, 1400):
        page = open_page(ranked[0], width)
        heights = page.evaluate(
            "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect())"
            ".filter(r => r.width > 0).map(r => Math.min(r.height, r.width > r.height ? r.height : r.width))"
        )
        assert len(heights) > 10
        assert min(heights) >= 5  # a lone digit's box is as wide as the digit


def test_without_javascript_everything_is_there(ranked: tuple[str, Sessions], open_page: Open) -> None:
    page = open_page(ranked[0], javascript=False)
    with page.expect_navigation(url="**sort=p_best**"):
        page.get_by_role("link", name="P(best)").click()
    page.get_by_label("Recipe contains").fill("heavy")
    with page.expect_navigation(url="**find=heavy**"):
        page.get_by_role("button", name="Show").click()
    assert "sort=p_best" in page.url
    expect(page.locator(".ranking tbody tr")).to_have_count(3)
    page.locator("details.gates summary").first.click()
    expect(page.locator("details.gates li").first).to_be_visible()


def test_sorting_changes_the_address_and_keeps_the_focus(ranked: tuple[str, Sessions], open_page: Open) -> None:
    page = open_page(ranked[0])
    page.evaluate("window.isSamePage = true")
    page.locator("#sort-recipe").click()
    expect(page.locator(".ranking tbody th").first).to_have_text("balanced")
    assert page.url.endswith("?sort=recipe")
    assert page.evaluate("document.activeElement.id") == "sort-recipe"
    assert page.evaluate("window.isSamePage")
    page.go_back()
    expect(page.locator(".ranking tbody th").first).to_have_text("prose-heavy")


def test_a_mark_opens_its_explanation_and_escape_closes_it(ranked: tuple[str, Sessions], open_page: Open) -> None:
    page = open_page(ranked[0])
    marks = page.locator("details.gates", has_text="diverged").last
    marks.locator("summary").click()
    expect(page.get_by_text("ended at nan nats")).to_be_visible()
    keep_picture(page, "gates")
    page.keyboard.press("Escape")
    assert page.get_by_text("ended at nan nats").is_hidden()


def test_another_protocol_is_one_choice_away(ranked: tuple[str, Sessions], open_page: Open) -> None:
    page = open_page(ranked[0])
    with page.expect_navigation():
        page.locator("select[name=protocol]").select_option("demo-standard@1")
    assert "protocol=demo-standard%401" in page.url
    assert page.get_by_text("(standard)").is_visible()


def test_ranks_can_be_drawn_instead_of_values(ranked: tuple[str, Sessions], open_page: Open) -> None:
    page = open_page(f"{ranked[0]}?view=ranks#agreement")
    assert page.locator("svg.is-wide .diagonal").count() == 1
    assert page.locator("#view-ranks").get_attribute("aria-current") == "true"


def test_the_page_follows_the_work(open_page: Open, tmp_path: Path) -> None:
    with service(tmp_path, seed_everything) as (url, sessions):
        page = open_page(url)
        assert "312 of 400 steps" in page.inner_text("#work")
        with session_scope(sessions) as session:
            run = session.query(Run).filter(Run.state == State.RUNNING, Run.attempt == 1).first()
            assert run is not None
            run.progress = {**run.progress, "step": 399}
        page.get_by_text("399 of 400 steps").wait_for(timeout=10_000)


def test_the_first_page_says_what_to_type(open_page: Open, tmp_path: Path) -> None:
    with service(tmp_path, lambda session: None) as (url, _):
        for width in (400, 1100):
            page = open_page(url, width)
            keep_picture(page, f"empty-{width}")
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.get_by_text("foretaste corpus add web /data/web.jsonl.zst").is_visible()


def test_a_wrong_address_is_explained(browser: Browser, ranked: tuple[str, Sessions]) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{ranked[0]}?protocol=demo-reducd")
    assert page.get_by_role("alert").is_visible()
    keep_picture(page, "unknown")
    context.close()


def test_paper_leaves_out_what_only_a_screen_needs(ranked: tuple[str, Sessions], open_page: Open) -> None:
    page = open_page(ranked[0], 800)
    page.emulate_media(media="print")
    keep_picture(page, "print")
    assert page.locator(".selection").is_hidden()
    assert page.locator("#work").is_hidden()
    assert page.locator("svg.scatter:visible").count() == 1
