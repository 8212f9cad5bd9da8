"""What a study costs before it starts, in words; the speed is measured where nothing like its models was trained yet,
on a few steps of the first recipes, as many at once as will train at once."""

from collections.abc import Callable
from typing import Any

from api.client import Resource
from api.studies.registration import Registered
from api.studies.service import StudyService
from proxy.studies import StudyDefinition
from proxy.studies.definition import Trained

SPEED_STEPS = 80
LENGTHS = ("steps", "tokens", "tokens_per_parameter")
PARTS = ("proxies", "references")


def describe(estimate: Resource, lanes: int | None) -> list[str]:
    """A line a part of the service's estimate, what needs no training, and their sum; `lanes`: trainings at once."""
    lines = [_line(name, estimate[name], lanes or 1) for name in PARTS]
    if given := estimate["recipes_given"]:
        recipes = f"{given} recipe{'s' if given > 1 else ''}"
        lines.append(f"  the references of {recipes} are registered already, and taken as they are")
    if estimate["device_seconds"] is not None:
        how = f"with {lanes} at once" if lanes else "of one device; with several at once it is less"
        hours = estimate["device_seconds"] / (lanes or 1) / 3600
        lines.append(f"  about {hours:.1f} hours {how}; what has finished is not trained again")
    return lines


def _line(name: str, part: dict[str, Any], lanes: int) -> str:
    time = "time unknown"
    if part["device_seconds"] is not None:
        hours = part["device_seconds"] / lanes / 3600
        time = f"{part['tokens_per_second']:,.0f} tokens/s a lane, {hours:.1f} hours"
    return (
        f"  {name:<11} {part['parameters']:>10,} parameters: {part['runs']} runs, {part['runs_to_train']} to train, "
        f"{part['tokens'] / 1e6:,.1f}M tokens; {time}"
    )


def measure_speed(
    service: StudyService,
    definition: StudyDefinition,
    registered: Registered,
    estimate: Resource,
    say: Callable[[str], None],
) -> bool:
    """Trains a few steps of each shape that has runs to train and no known speed; True if there was one."""
    is_unknown = False
    for name, kind, trained in zip(
        PARTS, ("proxy", "reference"), (definition.proxies, definition.references), strict=True
    ):
        if estimate[name]["runs_to_train"] and estimate[name]["tokens_per_second"] is None:
            say(f"  measuring the speed of {estimate[name]['parameters']:,} parameters")
            _measure(service, definition.named(f"{kind}-speed"), trained, registered)
            is_unknown = True
    return is_unknown


def _measure(service: StudyService, name: str, trained: Trained, registered: Registered) -> None:
    body = trained.body(name, registered.tokenizer, min(trained.rates))
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
