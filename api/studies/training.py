"""A study's evaluations: submitted in an order that gives partial results early, followed, their references registered.

Recipes come in groups: the sweeps of a few recipes, then their proxies, then the next few. More seeds of a recipe's
reference follow its sweep. They are submitted together with a second rate, because a run that may be given up is
another run than one that may not (docs/decisions/0002): so the sweep's own run counts as the first seed. The second
rate is one that the sweep gave up, for 30 % of a run; where it gave up none, the second best, whose seed tells most.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from api.client import Resource
from api.studies.registration import Registered
from api.studies.service import StudyService
from proxy.studies import StudyDefinition

METRIC = "bits_per_byte"
GROUP = 4  # recipes
FINAL = ("finished", "failed", "cancelled")


@dataclass(kw_only=True)
class Training:
    """One study's evaluations, by what they are for: (recipe, suite) and for proxies the rate."""

    service: StudyService
    definition: StudyDefinition
    registered: Registered
    say: Callable[[str], None]
    proxies: dict[tuple[str, float, str], str] = field(default_factory=dict)
    sweeps: dict[tuple[str, str], str] = field(default_factory=dict)
    more_seeds: dict[tuple[str, str], str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)  # of evaluations that are final
    _registered_references: set[str] = field(default_factory=set)

    def submit(self) -> None:
        """All proxies and sweeps; the same again is the same evaluation."""
        names = list(self.registered.recipes)
        for start in range(0, len(names), GROUP):
            group = names[start : start + GROUP]
            for name in group:
                if name in self.definition.referenced:
                    self._submit_sweep(name)
            for name in group:
                self._submit_proxies(name)

    def _submit_sweep(self, recipe: str) -> None:
        rates = list(self.definition.references.rates)
        for suite in self.registered.suites:
            self.sweeps[recipe, suite] = self._submit(
                recipe, self.registered.reference, suite, kind="reference", seeds=1, learning_rates=rates
            )

    def _submit_proxies(self, recipe: str) -> None:
        for rate, protocol in self.registered.ladder.items():
            for suite in self.registered.suites:
                self.proxies[recipe, rate, suite] = self._submit(
                    recipe, protocol, suite, seeds=self.definition.proxies.seeds
                )

    def _submit(self, recipe: str, protocol: Resource, suite: str, **options: Any) -> str:
        body = {
            "recipe": self.registered.recipes[recipe]["id"],
            "protocol": protocol["id"],
            "suite": self.registered.suites[suite]["id"],
            **options,
        }
        identifier: str = self.service.post("/v1/evaluations", body)["id"]
        return identifier

    def follow(self, poll_seconds: float = 10.0) -> None:
        """Until nothing is left; says whenever something ended."""
        self._look()
        while self._open():
            self.service.sleep(poll_seconds)
            self._look()

    def _look(self) -> None:
        """What has become final since the last look is taken up."""
        protocols = [*self.registered.ladder.values(), self.registered.reference]
        rows = [row for protocol in protocols for row in self._rows(protocol)]
        ours = set(self._all())
        ended = [row for row in rows if row["id"] in ours and row["state"] in FINAL and row["id"] not in self.states]
        for row in ended:
            self.states[row["id"]] = row["state"]
        self._take_up(ended)
        if ended:
            self.say(self.describe())

    def _rows(self, protocol: Resource) -> list[Resource]:
        return self.service.items("/v1/evaluations", protocol=protocol["id"], limit=500)

    def _all(self) -> Iterable[str]:
        return [*self.proxies.values(), *self.sweeps.values(), *self.more_seeds.values()]

    def _open(self) -> int:
        return sum(identifier not in self.states for identifier in self._all())

    def describe(self) -> str:
        """How far it is, in a line."""
        parts = [
            f"{sum(identifier in self.states for identifier in ids.values())} of {len(ids)} {name}"
            for name, ids in (
                ("proxy evaluations", self.proxies),
                ("sweeps", self.sweeps),
                ("evaluations of more seeds", self.more_seeds),
            )
        ]
        failed = sum(state != "finished" for state in self.states.values())
        return "  ended: " + ", ".join(parts) + (f"; {failed} failed" if failed else "")

    def _take_up(self, ended: list[Resource]) -> None:
        ids = {row["id"] for row in ended}
        swept = dict.fromkeys(recipe for (recipe, _), identifier in self.sweeps.items() if identifier in ids)
        for recipe in swept:
            own = {suite: self.sweeps[recipe, suite] for suite in self.registered.suites}
            if all(identifier in self.states for identifier in own.values()):
                found = {suite: self.service.get(f"/v1/evaluations/{identifier}") for suite, identifier in own.items()}
                for suite, evaluation in found.items():
                    self._register_references(suite, evaluation)
                self._submit_more_seeds(recipe, found)
        for (_, suite), identifier in self.more_seeds.items():
            if identifier in ids:
                self._register_references(suite, self.service.get(f"/v1/evaluations/{identifier}"))

    def _submit_more_seeds(self, recipe: str, sweeps: Mapping[str, Resource]) -> None:
        rates = rates_of_more_seeds(sweeps.values())
        if self.definition.references.seeds == 1 or not rates:
            return
        options = {"kind": "reference", "seeds": self.definition.references.seeds, "learning_rates": rates}
        for suite in self.registered.suites:
            self.more_seeds[recipe, suite] = self._submit(recipe, self.registered.reference, suite, **options)

    def _register_references(self, suite: str, evaluation: Resource) -> None:
        for run in evaluation["runs"]:
            key = f"{suite} {run['id']}"
            is_tried = run["result"] and run["state"] in ("finished", "stopped")
            if is_tried and key not in self._registered_references:
                self.service.post("/v1/references", self._reference(suite, evaluation, run))
                self._registered_references.add(key)

    def _reference(self, suite: str, evaluation: Resource, run: Resource) -> Resource:
        spec = self.registered.reference["spec"]
        return {
            "reference_set": self.definition.named(suite),
            "recipe": evaluation["recipe"]["id"],
            "axis": self._axis(evaluation["recipe"]["id"]),
            "metric": METRIC,
            "direction": "lower",
            "unit": "bits/byte",
            "value": score_of(run),
            "stopped_early": run["state"] == "stopped",
            "learning_rate": run["learning_rate"],
            "seed": run["seed"],
            "hyperparameters": {"steps": spec["steps"], "schedule": spec["schedule"]["kind"]},
            "parameters": run["result"]["parameters"],
            "tokens": run["result"]["tokens"],
            "source": "trained by this service",
            "evaluation": evaluation["id"],
        }

    def _axis(self, recipe_id: str) -> str:
        by_id = {row["id"]: name for name, row in self.registered.recipes.items()}
        tags = {recipe.name: recipe.tags for recipe in self.definition.recipes}
        return tags[by_id[recipe_id]]["axis"]


def score_of(run: Resource) -> float | None:
    """Bits per byte on the suite of the evaluation that shows the run; None where it was not scored."""
    scores = run.get("scores") or []
    return float(scores[0]["score"]) if scores else None


def rates_of_more_seeds(sweeps: Iterable[Resource]) -> list[float]:
    """The best rate on each suite; if that is one rate, a second one beside it: one that was given up before, and so is
    given up soon, else the second best, whose seed is worth most. Empty where nothing was scored."""
    evaluations = list(sweeps)
    best: set[float] = set()
    others: list[tuple[bool, float, float]] = []
    for evaluation in evaluations:
        scored = [
            (score, run) for run in evaluation["runs"] if (score := score_of(run)) is not None and run["seed"] == 0
        ]
        if not scored:
            return []
        best.add(min(scored, key=lambda pair: pair[0])[1]["learning_rate"])
        others += [(False, 0.0, run["learning_rate"]) for run in evaluation["runs"] if run["state"] == "stopped"]
        others += [(True, score, run["learning_rate"]) for score, run in scored]
    beside = [rate for _, _, rate in sorted(others) if rate not in best]
    return sorted(best | set(beside[:1] if len(best) == 1 else ()))
