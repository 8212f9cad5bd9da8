"""What a search is asked for, checked, and the protocols of its ladder, which differ in nothing but the rate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import FieldProblem, InvalidInputError
from proxy.fingerprints import fingerprint
from proxy.protocols import Protocol as ProtocolSpec
from proxy.seeds import require_first_seed
from worker.parsing import validate
from worker.protocols import find_protocol
from worker.recipes import find_recipe
from worker.store.models import Protocol, RateSearch, Recipe, Suite
from worker.suites import find_suite

LEAST_ANCHORS, MOST_ANCHORS = 3, 50
LEAST_RATES, MOST_RATES = 3, 20
LEAST_SEEDS, MOST_SEEDS = 2, 20
LADDER = (4.0, 2.0, 1.0, 1 / 2, 1 / 4, 1 / 10, 1 / 30, 1 / 100)  # × the standard rate: the optimum, then far below it
NAME_CHARACTERS = 80  # of a protocol's: room for the rate
CONTROL_CHARACTERS = 70  # and for more words


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """What a user asks for. `rates`: default `LADDER`; `steps`: the budget of a run, default the protocol's own."""

    protocol: str
    suite: str
    anchors: tuple[str, ...]
    rates: tuple[float, ...] = field(default=())
    seeds: int = 3
    first_seed: int = 0
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request whose words have become rows; `rates` ascend, and `specs` are the ladder's protocols in that order."""

    base: Protocol
    suite: Suite
    anchors: tuple[Recipe, ...]
    rates: tuple[float, ...]
    seeds: int
    first_seed: int
    steps: int
    specs: tuple[ProtocolSpec, ...]

    @property
    def control_specs(self) -> tuple[ProtocolSpec, ...]:
        """The protocols of controls, one a rate, as `specs`."""
        base = ProtocolSpec.model_validate(self.base.spec)
        return tuple(shuffled_at_rate(base, rate, self.steps) for rate in self.rates)

    @property
    def key(self) -> str:
        """The same question, in whatever order, is the same search."""
        anchors = sorted(anchor.fingerprint for anchor in self.anchors)
        rates = [f"{rate:.9e}" for rate in self.rates]
        first = [self.first_seed] if self.first_seed else []  # said where it is not 0: older searches keep their keys
        return fingerprint([self.base.id, self.suite.id, anchors, rates, self.seeds, self.steps, *first])


def plan_search(session: Session, request: SearchRequest) -> Plan:
    """InvalidInputError names every field that is wrong; nothing is written."""
    base, suite = _base(session, request.protocol), find_suite(session, request.suite)
    spec = ProtocolSpec.model_validate(base.spec)
    rates = _rates(request, spec)
    _check_count("/seeds", request.seeds, LEAST_SEEDS, MOST_SEEDS, "one seed shows no noise")
    require_first_seed(request.first_seed)
    steps = spec.steps if request.steps is None else request.steps
    return Plan(
        base=base,
        suite=suite,
        anchors=_anchors(session, request.anchors),
        rates=rates,
        seeds=request.seeds,
        first_seed=request.first_seed,
        steps=steps,
        specs=tuple(at_rate(spec, rate, steps) for rate in rates),
    )


def _base(session: Session, reference: str) -> Protocol:
    """Whose rate is searched. A bare name is the newest version that no search made: so the same words are the same
    search again, also once it has ended. A version that is asked for by number, fingerprint or id is taken."""
    row = find_protocol(session, reference)
    while reference == row.name and (made_of := _made_of(session, row)) is not None:
        row = made_of
    return row


def _made_of(session: Session, row: Protocol) -> Protocol | None:
    """The newest older version of its name whose search made it."""
    searched = (
        select(Protocol)
        .join(RateSearch, RateSearch.protocol_id == Protocol.id)
        .where(RateSearch.found_id == row.id, Protocol.name == row.name, Protocol.version < row.version)
        .order_by(Protocol.version.desc())
    )
    return session.scalars(searched).first()


def at_rate(base: ProtocolSpec, rate: float, steps: int) -> ProtocolSpec:
    """The protocol of one rate of the ladder. It knows no seed noise: that of the base is of another rate."""
    name = f"{base.name[:NAME_CHARACTERS]}-at-{rate:g}"
    changes = {"name": name, "standard_rate": rate, "reduction": 1.0, "steps": steps, "anchors": ()}
    return validate(ProtocolSpec, base.model_dump(mode="json") | changes)


def shuffled_at_rate(base: ProtocolSpec, rate: float, steps: int) -> ProtocolSpec:
    """The same on training documents whose tokens are shuffled."""
    name = f"{base.name[:CONTROL_CHARACTERS]}-at-{rate:g}-shuffled"
    return at_rate(base, rate, steps).model_copy(update={"name": name, "shuffled_tokens": True})


def _rates(request: SearchRequest, base: ProtocolSpec) -> tuple[float, ...]:
    asked = request.rates or tuple(
        base.standard_rate * multiple for multiple in LADDER if base.standard_rate * multiple <= 1
    )
    for index, rate in enumerate(asked):
        if not (math.isfinite(rate) and 0 < rate <= 1):
            raise InvalidInputError.at(f"/rates/{index}", rate, "must be above 0 and at most 1")
    distinct = {f"{rate:.9e}": float(rate) for rate in asked}
    message = "an optimum lies between two worse rates"
    _check_count("/rates", len(distinct), LEAST_RATES, MOST_RATES, message, list(asked))
    return tuple(sorted(distinct.values()))


def _anchors(session: Session, references: Sequence[str]) -> tuple[Recipe, ...]:
    """In the order of their names. InvalidInputError for two that are one recipe."""
    message = "two recipes show no order to keep"
    _check_count("/anchors", len(references), LEAST_ANCHORS, MOST_ANCHORS, message, list(references)[:MOST_ANCHORS])
    rows = [find_recipe(session, reference, f"/anchors/{index}") for index, reference in enumerate(references)]
    first: dict[str, int] = {}
    problems = []
    for index, row in enumerate(rows):
        if first.setdefault(row.id, index) != index:
            message = f"is the same recipe as /anchors/{first[row.id]}: anchors must differ"
            problems.append(FieldProblem(pointer=f"/anchors/{index}", value=references[index], message=message))
    if problems:
        raise InvalidInputError(problems)
    return tuple(sorted(rows, key=lambda row: (row.name, row.id)))


def _check_count(pointer: str, count: int, least: int, most: int, why: str, value: object = None) -> None:
    if not least <= count <= most:
        message = f"at least {least} are needed ({why}) and at most {most} are taken"
        raise InvalidInputError.at(pointer, count if value is None else value, message)
