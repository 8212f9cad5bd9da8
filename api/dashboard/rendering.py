"""Templates, and addresses of the files beside them. Every value is escaped; an unknown name is an error."""

import hashlib
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from api.dashboard import formats
from api.dashboard.pages import Page, versioned
from api.dashboard.races import PLACES, RacePage
from api.dashboard.searches import SearchPage
from api.dashboard.studies import StudyPage
from proxy.ranking.flip_words import write_rate

STATIC = Path(__file__).parent / "static"  # served at /static


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("api.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in (
        "count",
        "duration",
        "interval",
        "moment",
        "number",
        "probability",
        "rate",
        "reduction",
        "side",
        "standing",
    ):
        environment.filters[name] = getattr(formats, name)
    environment.filters["short_rate"] = write_rate
    environment.globals.update(static_url=static_url, versioned=versioned)
    return environment


def render_page(page: Page) -> str:
    """The page as HTML."""
    return _environment().get_template("page.html").render(page=page, selection=page.selection)


def render_search(page: SearchPage) -> str:
    """The page of a rate search as HTML."""
    return _environment().get_template("rate_search.html").render(page=page)


def render_race(page: RacePage) -> str:
    """The page of a replication as HTML."""
    return _environment().get_template("replication.html").render(page=page, places=PLACES)


def render_study(page: StudyPage) -> str:
    """The page of a study as HTML."""
    return _environment().get_template("study.html").render(page=page)


@lru_cache(maxsize=16)
def static_url(name: str) -> str:
    """A relative address that changes with the content, so that no browser shows an old style to a new page."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"static/{name}?v={digest[:12]}"
