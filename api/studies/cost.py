"""What a study costs before it starts: runs, tokens and hours, at the speed that models of these shapes have here.

The speed is measured where nothing like them was trained yet, on a few steps of the first recipes, as many at once as
will train at once. References are counted as if no rate of a sweep were given up, which some are: it is at most this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from api.client import Resource
from api.studies.registration import Registered
from api.studies.service import StudyService
from proxy.protocols import Protocol
from proxy.studies import StudyDefinition
from proxy.studies.definition import Trained

SPEED_STEPS = 80
LENGTHS = ("steps", "tokens", "tokens_per_parameter")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Proxies, or references. `tokens_per_second` is of one lane while the others train too."""

    name: str
    parameters: int
    runs: int
    runs_left: int
    tokens_a_run: int
    tokens_per_second: float | None

    @property
    def tokens_left(self) -> int:
        """To train."""
        return self.runs_left * self.tokens_a_run

    def hours(self, lanes: int) -> float | None:
        """With so many trainings at once; None where the speed is unknown."""
        return None if not self.tokens_per_second else self.tokens_left / self.tokens_per_second / lanes / 3600


def describe(parts: Sequence[Part], lanes: int | None) -> list[str]:
    """A line a part, and their sum."""
    lines = [_line(part, lanes or 1) for part in parts]
    hours = [part.hours(lanes or 1) for part in parts]
    known = [hour for hour in hours if hour is not None]
    if len(known) == len(parts):
        how = f"with {lanes} at once" if lanes else "of one device; with several at once it is less"
        lines.append(f"  about {sum(known):.1f} hours {how}, at most; what has finished is not trained again")
    return lines


def _line(part: Part, lanes: int) -> str:
    hours = part.hours(lanes)
    time = "time unknown" if hours is None else f"{part.tokens_per_second:,.0f} tokens/s a lane, {hours:.1f} hours"
    return (
        f"  {part.name:<11} {part.parameters:>10,} parameters: {part.runs} runs, {part.runs_left} to train, "
        f"{part.tokens_left / 1e6:,.1f}M tokens; {time}"
    )


def estimate(service: StudyService, definition: StudyDefinition, registered: Registered) -> list[Part]:
    """Nothing is queued by it. Runs of an evaluation that is not finished are all counted."""
    recipes, referenced = len(definition.recipes), len(definition.referenced)
    proxies, references = definition.proxies, definition.references
    done = {rate: _finished(service, protocol) for rate, protocol in registered.ladder.items()}
    swept = len(_finished(service, registered.reference, learning_rates=list(references.rates)))
    more = max(references.seeds - 1, 0)
    again = _finished(service, registered.reference, seeds=references.seeds) if more else set()
    return [
        _part(
            "proxies",
            proxies.resolved(definition.vocabulary),
            runs=recipes * len(proxies.rates) * proxies.seeds,
            left=sum(recipes - len(names) for names in done.values()) * proxies.seeds,
            speed=_speed(service, list(registered.ladder.values())),
        ),
        _part(
            "references",
            references.resolved(definition.vocabulary),
            runs=referenced * (len(references.rates) + more),
            left=(referenced - swept) * len(references.rates) + (referenced - len(again)) * more,
            speed=_speed(service, [registered.reference]),
        ),
    ]


def _part(name: str, protocol: Protocol, *, runs: int, left: int, speed: float | None) -> Part:
    return Part(
        name=name,
        parameters=protocol.architecture.parameters,
        runs=runs,
        runs_left=left,
        tokens_a_run=protocol.token_budget,
        tokens_per_second=speed,
    )


def _finished(service: StudyService, protocol: Resource, **wanted: Any) -> set[str]:
    """Recipes with a finished evaluation under a protocol, which has these values."""
    rows = service.items("/v1/evaluations", protocol=protocol["id"], state="finished")
    return {row["recipe"]["id"] for row in rows if all(row[name] == value for name, value in wanted.items())}


def _speed(service: StudyService, protocols: Sequence[Resource]) -> float | None:
    """The median of what has been trained under these, or in the measurement of their speed."""
    named = [protocol["id"] for protocol in protocols]
    rows = [row for protocol in named for row in service.items("/v1/evaluations", protocol=protocol, state="finished")]
    if not rows:
        rows = _speed_rows(service, protocols[0]["name"])
    speeds = [
        run["result"]["tokens_per_second"]
        for row in rows[:10]
        for run in service.get(f"/v1/evaluations/{row['id']}")["runs"]
        if run["result"] and run["result"].get("tokens_per_second")
    ]
    return median(speeds) if speeds else None


def _speed_rows(service: StudyService, name: str) -> list[Resource]:
    wanted = _speed_name(name)
    known = [row for row in service.items("/v1/protocols") if row["name"] == wanted]
    return service.items("/v1/evaluations", protocol=known[-1]["id"], state="finished") if known else []


def _speed_name(protocol: str) -> str:
    return f"{protocol.split('-at-')[0]}-speed"


def measure_speed(
    service: StudyService, definition: StudyDefinition, registered: Registered, say: Callable[[str], None]
) -> None:
    """Trains a few steps of each shape where its speed is unknown."""
    shapes: list[tuple[Resource, Trained]] = [
        (registered.base, definition.proxies),
        (registered.reference, definition.references),
    ]
    for protocol, trained in shapes:
        ladder = list(registered.ladder.values()) if protocol is registered.base else [protocol]
        if _speed(service, ladder) is None:
            parameters = trained.resolved(definition.vocabulary).architecture.parameters
            say(f"  measuring the speed of {parameters:,} parameters")
            _measure(service, definition, registered, protocol, trained)


def _measure(
    service: StudyService,
    definition: StudyDefinition,
    registered: Registered,
    protocol: Resource,
    trained: Trained,
) -> None:
    body = trained.body(_speed_name(protocol["name"]), registered.tokenizer, min(trained.rates))
    body = {name: value for name, value in body.items() if name not in (*LENGTHS, "schedule")}
    speed = service.post("/v1/protocols", {**body, "steps": SPEED_STEPS, "scoring": {"checkpoints": 1}})
    suite = next(iter(registered.suites.values()))
    recipes = list(registered.recipes.values())[: service.lanes or 1]
    rows = [
        service.post("/v1/evaluations", {"recipe": recipe["id"], "protocol": speed["id"], "suite": suite["id"]})
        for recipe in recipes
    ]
    for row in rows:
        service.wait(f"/v1/evaluations/{row['id']}", poll_seconds=1.0)
