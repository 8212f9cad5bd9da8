"""Reads everything that one page shows, out of snapshots and the runs in progress. Nothing is computed here that the
HTTP interface would compute differently."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from api.dashboard.agreement import AgreementView, view_agreement
from api.dashboard.next_steps import WORKER_STEP, NextStep, next_step, reference_step
from api.dashboard.queries import (
    Choices,
    Work,
    read_choices,
    read_external_sets,
    read_inventory,
    read_rate_search,
    read_reference_sets,
    read_rival_protocols,
    read_work,
)
from api.dashboard.races import RaceBadge, read_badge
from api.dashboard.ranking import Ranking, view_ranking
from api.dashboard.scales import Scales, view_scales
from api.dashboard.selection import Selection
from proxy.errors import ConflictError, InvalidInputError, NotFoundError
from worker.agreement import read_agreement
from worker.comparisons import Question, compare_recipes
from worker.external import read_external_agreement
from worker.extrapolations import Question as ScalesQuestion
from worker.extrapolations import read_extrapolation
from worker.flips import has_ladder, read_flips
from worker.leaderboards import read_leaderboard
from worker.protocols import find_protocol
from worker.sensitivities import read_sensitivity
from worker.settings import Settings
from worker.suites import find_suite

Body = Mapping[str, Any]
QUICK_RECIPES = 200  # more, and a flip certificate takes too long for a page that nobody asked it of


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page. `problem` is set when the selection names something that does not exist."""

    selection: Selection
    base_url: str
    choices: Choices
    work: Work
    protocol: str = ""
    suite: str = ""
    body: Body | None = None
    ranking: Ranking | None = None
    agreement: AgreementView | None = None
    rivals: tuple[Body, ...] = ()
    elsewhere: tuple[Body, ...] = ()
    reference_sets: tuple[str, ...] = ()
    card: Body | None = None
    question_problem: str = ""
    weights: Body | None = None
    flips: Body | None = None
    pair_flips: Body | None = None
    offers_flips: bool = False
    scales: Scales | None = None
    race: RaceBadge | None = None
    rate_search: str | None = None  # id of the one that found the protocol's rate
    step: NextStep | None = None
    problem: str = ""

    @property
    def worker_step(self) -> NextStep | None:
        """Set if work waits that nobody takes."""
        return WORKER_STEP if self.work.is_unattended else None


def read_page(session: Session, settings: Settings, selection: Selection, base_url: str, now: datetime) -> Page:
    """The page that the selection asks for."""
    page = Page(selection=selection, base_url=base_url, choices=read_choices(session), work=read_work(session, now))
    try:
        body = read_leaderboard(session, selection.protocol or None, selection.suite or None)
    except InvalidInputError as error:
        protocol, suite = _chosen(page)
        return replace(page, problem=str(error), protocol=protocol, suite=suite)
    except NotFoundError:
        return _without_ranking(session, page)
    return _with_questions(session, settings, _with_flips(session, settings, _with_ranking(session, page, body)))


def _with_flips(session: Session, settings: Settings, page: Page) -> Page:
    """The certificates of the ranking and of the two chosen recipes, where other learning rates were tried."""
    assert page.body is not None
    if not has_ladder(session, page.body["protocol"]["id"], page.body["suite"]["id"]):
        return page
    selection = page.selection
    is_quick = len(page.body["entries"]) <= QUICK_RECIPES
    page = replace(page, offers_flips=not is_quick)
    try:
        if is_quick or selection.flips:
            page = replace(page, flips=read_flips(session, settings, page.protocol, page.suite))
        if selection.is_pair:
            pair = (selection.a, selection.b)
            page = replace(page, pair_flips=read_flips(session, settings, page.protocol, page.suite, *pair))
    except (InvalidInputError, ConflictError, NotFoundError):
        return page  # nobody asked: other rates have no sound runs yet, or the pair is told of where it is compared
    return page


def _with_questions(session: Session, settings: Settings, page: Page) -> Page:
    """The decision card, the suite's weights and the loss law, where they were asked for: they take their time."""
    selection = page.selection
    question = Question(a=selection.a, b=selection.b, protocol=page.protocol, suite=page.suite)
    try:
        if selection.weights:
            page = replace(page, weights=read_sensitivity(session, settings, page.protocol, page.suite))
        if selection.scales:
            page = replace(page, scales=view_scales(read_extrapolation(session, _scales_question(session, page))))
        if selection.is_pair:
            page = replace(page, card=compare_recipes(session, settings, question))
    except (InvalidInputError, ConflictError, NotFoundError) as error:
        return replace(page, question_problem=str(error))
    return page


def _scales_question(session: Session, page: Page) -> ScalesQuestion:
    assert page.body is not None
    sets = read_reference_sets(session, page.body["protocol"]["id"], page.body["suite"]["id"])
    reference_set, metric = sets.get(page.selection.reference_set, (None, None))
    return ScalesQuestion(
        suite=page.suite,
        like=page.protocol,
        reference_set=reference_set,
        metric=metric,
        parameters=_number("parameters", page.selection.parameters),
        tokens=_number("tokens", page.selection.tokens),
    )


def _number(name: str, text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise InvalidInputError.at(name, text, "must be a number") from None


def _chosen(page: Page) -> tuple[str, str]:
    """The selected protocol and suite, or the newest."""
    selection, choices = page.selection, page.choices
    return (
        selection.protocol or next(iter(choices.protocols), ""),
        selection.suite or next(iter(choices.suites), ""),
    )


def _without_ranking(session: Session, page: Page) -> Page:
    protocol, suite = _chosen(page)
    if page.selection.protocol:
        protocol = versioned(find_protocol(session, protocol))
    if page.selection.suite:
        suite = versioned(find_suite(session, suite))
    step = next_step(read_inventory(session), page.work, page.base_url, protocol, suite)
    return replace(page, step=step, protocol=protocol, suite=suite)


def _with_ranking(session: Session, page: Page, body: Body) -> Page:
    protocol, suite = versioned(body["protocol"]), versioned(body["suite"])
    sets = read_reference_sets(session, body["protocol"]["id"], body["suite"]["id"])
    page = replace(
        page,
        body=body,
        protocol=protocol,
        suite=suite,
        ranking=view_ranking(body, page.selection),
        race=read_badge(session, body["protocol"]["id"], body["suite"]["id"]),
        rate_search=read_rate_search(session, body["protocol"]["id"]),
        reference_sets=tuple(sets),
    )
    if not sets:
        return replace(page, step=reference_step(page.base_url, _first_recipe(body)))
    chosen = page.selection.reference_set or next(iter(sets))
    if chosen not in sets:
        return replace(page, problem=f"reference_set: no recipe of this ranking has a reference in {chosen!r}")
    agreement = read_agreement(session, protocol, suite, *sets[chosen])
    rivals = read_rivals(session, body["suite"]["id"], suite, *sets[chosen])
    elsewhere = tuple(
        read_external_agreement(session, name, *sets[chosen]) for name in read_external_sets(session, *sets[chosen])
    )
    view = view_agreement(agreement, ranks=page.selection.shows_ranks)
    return replace(page, agreement=view, rivals=rivals, elsewhere=elsewhere)


def read_rivals(session: Session, suite_id: str, suite: str, reference_set: str, metric: str) -> tuple[Body, ...]:
    """Agreement of every protocol tried against the same references, lowest rate first."""
    protocols = read_rival_protocols(session, suite_id, reference_set, metric)
    return tuple(read_agreement(session, protocol, suite, reference_set, metric) for protocol in protocols)


def versioned(named: Any) -> str:
    """`name@version` of a row or of what a body says of it."""
    if isinstance(named, Mapping):
        return f"{named['name']}@{named['version']}"
    return f"{named.name}@{named.version}"


def _first_recipe(body: Body) -> str:
    return str(body["entries"][0]["recipe"]["name"]) if body["entries"] else "first"
