"""One experiment, driven from the outside: everything below is an HTTP request that any user could send.

Order: corpora → tokenizer and suite → the proxy architecture's own optimum rate, measured → protocols →
evaluations under the reduced and the standard rate → references swept over one grid → their registration.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from api.client import Client, Resource
from api.demo.recipes import Size
from api.progress import RunWatcher
from proxy.ranking.rates import optimum_rate

METRIC = "bits_per_byte"


@dataclass(frozen=True, kw_only=True)
class TrainingCorpus:
    """A corpus file to register, and the held-out file of the same kind where the suite asks for it."""

    name: str
    path: Path
    held_out: Path | None


@dataclass(frozen=True, kw_only=True)
class StandardRate:
    """The proxy architecture's optimum, and the sweep it was read from: per anchor, score by rate."""

    rate: float
    is_interior: bool
    sweeps: dict[str, dict[float, float]]


@dataclass(kw_only=True)
class Experiment:
    """Runs one experiment against a service; `label` names its suite, protocols and reference set."""

    client: Client
    console: Console
    size: Size
    label: str
    evaluations: dict[str, list[Resource]] = field(default_factory=dict)

    def register_data(self, corpora: Sequence[TrainingCorpus]) -> None:
        """Corpora, their held-out counterparts, the tokenizer trained on all of them, and the suite."""
        held_out = [corpus for corpus in corpora if corpus.held_out]
        registered = [self._register(corpus.name, corpus.path) for corpus in corpora]
        registered += [self._register(f"{corpus.name}-held-out", Path(str(corpus.held_out))) for corpus in held_out]
        for corpus in registered:
            done = self.client.wait(f"/v1/corpora/{corpus['id']}", poll_seconds=0.2)
            self.console.print(
                f"  {done['name']:<22} {done['documents']:>6,} documents  {done['text_bytes'] / 1e6:6.2f} MB"
            )
        self._train_tokenizer([corpus.name for corpus in held_out])
        sets = [
            {"name": corpus.name, "corpus": f"{corpus.name}-held-out", "cluster_field": "source"} for corpus in held_out
        ]
        self.client.post("/v1/suites", {"name": self.label, "sets": sets})

    def _register(self, name: str, path: Path) -> Resource:
        return self.client.post("/v1/corpora", {"name": name, "uri": str(path.resolve()), "fields": ["source"]})

    def _train_tokenizer(self, corpora: list[str]) -> None:
        training = {"vocabulary": self.size.vocabulary, "corpora": corpora, "sample_bytes": 4_000_000}
        tokenizer = self.client.post("/v1/tokenizers", {"name": self.label, "train": training})
        self._tokenizer = self.client.wait(f"/v1/tokenizers/{tokenizer['id']}", poll_seconds=0.2)

    def register_recipes(self) -> None:
        """All recipes; a recipe is its content, so registering again changes nothing."""
        for recipe in self.size.recipes:
            self.client.post("/v1/recipes", recipe)

    def find_standard_rate(self) -> StandardRate:
        """Trains the proxy architecture over a ladder of rates on the anchor recipes; the optimum is the vertex of a
        parabola in log rate through the best rate and its neighbours, averaged (geometric mean) over the anchors.

        Each rate is an evaluation of its own: in a sweep the neighbours of the best might be given up early.
        """
        self._protocol("probe", self.size.proxy, standard_rate=max(self.size.probe_rates), reduction=1.0)
        ids = [
            self._submit(anchor, "probe", kind="reference", seeds=1, learning_rates=[rate])
            for anchor in self.size.anchors
            for rate in self.size.probe_rates
        ]
        sweeps: dict[str, dict[float, float]] = {}
        for evaluation in self._watch(ids, "rate ladder"):
            sweeps.setdefault(evaluation["recipe"]["name"], {}).update(_scores_by_rate(evaluation))
        optima = [optimum_rate(list(sweep), list(sweep.values())) for sweep in sweeps.values()]
        rate = math.exp(statistics.fmean(math.log(optimum.rate) for optimum in optima))
        is_interior = all(optimum.is_interior for optimum in optima)
        return StandardRate(rate=float(f"{rate:.2e}"), is_interior=is_interior, sweeps=sweeps)

    def register_protocols(self, standard_rate: float) -> None:
        """The reduced and the standard protocol differ in the rate alone."""
        self._protocol("reduced", self.size.proxy, standard_rate=standard_rate, reduction=self.size.reduction)
        self._protocol("standard", self.size.proxy, standard_rate=standard_rate, reduction=1.0)
        if self.size.with_references:
            self._protocol(
                "reference",
                self.size.reference,
                standard_rate=max(self.size.reference_rates),
                reduction=1.0,
                schedule={"kind": "cosine"},
            )

    def _protocol(self, name: str, shape: dict[str, int], **options: Any) -> Resource:
        body = {
            "name": f"{self.label}-{name}",
            "architecture": self.size.architecture(shape),
            "tokenizer": self._tokenizer["fingerprint"],
            "batch_sequences": self.size.batch_sequences,
            "steps": self.size.steps,
            **options,
        }
        return self.client.post("/v1/protocols", body)

    def evaluate(self) -> None:
        """Every recipe under the reduced and the standard protocol, and the references; waits for all of them."""
        ids = {
            name: [self._submit(recipe["name"], name, seeds=self.size.seeds) for recipe in self.size.recipes]
            for name in ("reduced", "standard")
        }
        if self.size.with_references:
            rates = self.size.reference_rates
            ids["reference"] = [
                self._submit(recipe["name"], "reference", kind="reference", seeds=1, learning_rates=rates)
                for recipe in self.size.recipes
            ]
        ended = self._watch([identifier for group in ids.values() for identifier in group], "all runs")
        by_id = {evaluation["id"]: evaluation for evaluation in ended}
        self.evaluations = {name: [by_id[identifier] for identifier in group] for name, group in ids.items()}

    def _submit(self, recipe: str, protocol: str, **options: Any) -> str:
        body = {"recipe": recipe, "protocol": f"{self.label}-{protocol}", "suite": self.label, **options}
        identifier: str = self.client.post("/v1/evaluations", body)["id"]
        return identifier

    def _watch(self, evaluation_ids: list[str], title: str) -> list[Resource]:
        return RunWatcher(self.client, self.console).watch(evaluation_ids, title)

    def register_references(self) -> list[Resource]:
        """Registers every rate of every reference sweep; the service computes the label from the whole grid."""
        for evaluation in self.evaluations.get("reference", ()):
            for run in evaluation["runs"]:
                if run["result"]:  # a rate that diverged was tried, and lost
                    self.client.post("/v1/references", self._reference(evaluation, run))
        return list(self.client.items("/v1/references", reference_set=self.label))

    def _reference(self, evaluation: Resource, run: Resource) -> Resource:
        return {
            "reference_set": self.label,
            "recipe": evaluation["recipe"]["id"],
            "metric": METRIC,
            "direction": "lower",
            "unit": "bits/byte",
            "value": score_of(run),
            "stopped_early": run["state"] != "finished",
            "learning_rate": run["learning_rate"],
            "seed": run["seed"],
            "hyperparameters": {"steps": self.size.steps, "schedule": "cosine"},
            "parameters": run["result"]["parameters"],
            "tokens": run["result"]["tokens"],
            "source": "trained by this service",
            "evaluation": evaluation["id"],
        }

    def trigger_schedule(self) -> Resource:
        """Makes a nightly schedule for the reduced protocol and fires it now; it may train nothing twice."""
        body = {
            "name": f"{self.label}-nightly",
            "cron": "0 3 * * *",
            "protocol": f"{self.label}-reduced",
            "suite": self.label,
            "seeds": self.size.seeds,
        }
        schedule = self.client.post("/v1/schedules", body)
        return self.client.post(f"/v1/schedules/{schedule['id']}:trigger")

    def leaderboard(self, protocol: str) -> Resource:
        """The ranking under one of the protocols."""
        return self.client.get("/v1/leaderboard", protocol=f"{self.label}-{protocol}", suite=self.label)

    def agreement(self, protocol: str) -> Resource:
        """How that ranking agrees with the references."""
        query = {"protocol": f"{self.label}-{protocol}", "suite": self.label, "reference_set": self.label}
        return self.client.get("/v1/agreement", **query)


def score_of(run: Resource) -> float | None:
    """Bits per byte of a run on the experiment's only suite; None where it was not scored."""
    scores = run.get("scores") or []
    return float(scores[0]["score"]) if scores else None


def _scores_by_rate(evaluation: Resource) -> dict[float, float]:
    scored = ((run["learning_rate"], score_of(run)) for run in evaluation["runs"])
    return {rate: score for rate, score in sorted(scored) if score is not None}
