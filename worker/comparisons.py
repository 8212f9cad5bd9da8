"""The decision card: two recipes of one ranking side by side, what is known of them at target scale, and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError
from proxy.protocols import Protocol as ProtocolSpec
from worker.agreement import find_agreement
from worker.leaderboards import (
    describe_protocol,
    describe_recipe,
    describe_suite,
    find_leaderboard,
    gather_digest,
    gather_evidence,
)
from worker.lookup import unique_names
from worker.recipe_results import RecipeResults, results_with_losses
from worker.recipes import find_recipe
from worker.settings import Settings
from worker.store.models import Protocol, Recipe, Run, Suite

if TYPE_CHECKING:
    from proxy.ranking.comparison import PairComparison
    from proxy.ranking.targets import Calibrant, TargetChance
    from proxy.ranking.verdicts import Decision

Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which of `a` and `b`? None: of the newest ranking, and the newest references it was compared with.

    `tolerance`: an average regret one can live with, in the reference's unit; None for none.
    """

    a: str
    b: str
    protocol: str | None = None
    suite: str | None = None
    reference_set: str | None = None
    metric: str | None = None
    tolerance: float | None = None
    seed_limit: int = 5


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One of the two recipes: its results, the name it is shown by, and its reference where it has one."""

    results: RecipeResults
    name: str
    reference: Body | None

    @property
    def recipe(self) -> Recipe:
        return self.results.recipe

    @property
    def score(self) -> float:
        return sum(score.score for _, score in self.results.scored) / len(self.results.scored)

    @property
    def seeds(self) -> int:
        return len(self.results.scored)


def compare_recipes(session: Session, settings: Settings, question: Question) -> dict[str, Any]:
    """The card. InvalidInputError for unknown or equal recipes, ConflictError for one without sound evidence there,
    NotFoundError while nothing is ranked."""
    from proxy.ranking.comparison import compare_pair

    recipes = (find_recipe(session, question.a, "a"), find_recipe(session, question.b, "b"))
    if recipes[0].id == recipes[1].id:
        raise InvalidInputError.at("b", question.b, f"is the same recipe as {question.a!r}")
    ranking = find_leaderboard(session, question.protocol, question.suite)
    protocol, suite = session.get_one(Protocol, ranking.protocol_id), session.get_one(Suite, ranking.suite_id)
    results = [part for part in results_with_losses(session, settings, protocol, suite) if not part.is_broken()]
    agreement = find_agreement(session, ranking, question.reference_set, question.metric)
    names = unique_names((part.recipe.id, part.recipe.name) for part in results)
    sides = tuple(_side(results, names, recipe, protocol, agreement) for recipe in recipes)
    own = gather_evidence(settings, suite, [side.results for side in sides])
    pair = compare_pair(gather_digest(settings, protocol, suite, results), own)
    chance = _at_target(agreement, results, sides, pair)
    decision = _judge(sides, pair, chance, question, agreement)
    return {
        "protocol": describe_protocol(protocol),
        "suite": describe_suite(suite),
        "refused": ranking.body.get("refused"),
        "a": _shown(sides[0], protocol),
        "b": _shown(sides[1], protocol),
        "difference": asdict(pair.fixed),
        "difference_on_new_text": asdict(pair.random),
        "sets": {name: asdict(part) for name, part in pair.by_set.items()},
        "target": _target(agreement, chance, sides),
        "verdict": asdict(decision),
    }


def _side(
    results: Sequence[RecipeResults],
    names: Mapping[str, str],
    recipe: Recipe,
    protocol: Protocol,
    agreement: Body | None,
) -> _Side:
    points = agreement["points"] if agreement else ()
    reference = next((point for point in points if point["recipe_id"] == recipe.id), None)
    for part in results:
        if part.recipe.id == recipe.id:
            return _Side(results=part, name=names[recipe.id], reference=reference)
    raise ConflictError(
        f"recipe {recipe.name} has no sound run under protocol {protocol.name}@{protocol.version} and this suite yet"
    )


def _at_target(
    agreement: Body | None, results: Sequence[RecipeResults], sides: Sequence[_Side], pair: "PairComparison"
) -> "TargetChance | None":
    """None where there is no reference at all."""
    from proxy.ranking.targets import Candidate, predict_at_target

    if agreement is None:
        return None
    candidates = [
        Candidate(
            recipe=side.name,
            proxy=side.score,
            seed_variance=None if pair.run_variances is None else pair.run_variances[place] / side.seeds,
            seeds=side.seeds,
            axis=_axis(side.recipe),
        )
        for place, side in enumerate(sides)
    ]
    calibrants = _calibrants(agreement, results)
    return predict_at_target(
        calibrants, candidates[0], candidates[1], "lower" if agreement["direction"] == "lower" else "higher"
    )


def _calibrants(agreement: Body, results: Sequence[RecipeResults]) -> "list[Calibrant]":
    from proxy.ranking.targets import Calibrant

    names = unique_names((part.recipe.id, part.recipe.name) for part in results)
    own = {part.recipe.id: part for part in results}
    return [
        Calibrant(
            recipe=names[point["recipe_id"]],
            proxy=point["proxy"],
            reference=point["reference"],
            axis=_axis(own[point["recipe_id"]].recipe),
            seeds=len(own[point["recipe_id"]].scored),
        )
        for point in agreement["points"]
        if point["recipe_id"] in own
    ]


def _judge(
    sides: Sequence[_Side],
    pair: "PairComparison",
    chance: "TargetChance | None",
    question: Question,
    agreement: Body | None,
) -> "Decision":
    from proxy.ranking.verdicts import ProxyDifference, Stakes, judge

    difference = ProxyDifference(
        a=sides[0].name,
        b=sides[1].name,
        difference=pair.fixed.difference,
        standard_error=pair.fixed.standard_error,
        degrees=pair.fixed.degrees,
        seeds=(sides[0].seeds, sides[1].seeds),
        run_variances=pair.run_variances,
    )
    unit = (agreement or {}).get("unit") or "units of the reference"
    return judge(difference, chance, Stakes(tolerance=question.tolerance, seed_limit=question.seed_limit, unit=unit))


def _axis(recipe: Recipe) -> str | None:
    axis = recipe.spec.get("tags", {}).get("axis")
    return None if axis is None else str(axis)


def _target(agreement: Body | None, chance: "TargetChance | None", sides: Sequence[_Side]) -> dict[str, Any] | None:
    """The prediction and what it rests on; None where no recipe of this ranking has a reference. `measured` is goodness
    of A − goodness of B by their own references, which the prediction does not see; None where one has none."""
    if agreement is None or chance is None:
        return None
    named = ("reference_set", "metric", "direction", "unit")
    a, b = (side.reference for side in sides)
    sign = -1 if agreement["direction"] == "lower" else 1
    measured = None if a is None or b is None else sign * (a["reference"] - b["reference"])
    return {**{name: agreement[name] for name in named}, **asdict(chance), "measured": measured}


def _shown(side: _Side, protocol: Protocol) -> dict[str, Any]:
    """A recipe, its mean score over seeds, its reference where it has one, and what its runs cost."""
    runs = [run for run, _ in side.results.scored]
    reference = side.reference
    return {
        "recipe": describe_recipe(side.recipe),
        "score": side.score,
        "seeds": side.seeds,
        "reference": None if reference is None else {"value": reference["reference"], "label": reference["label"]},
        "cost": cost_of([*runs, *side.results.failed], protocol),
    }


def cost_of(runs: Sequence[Run], protocol: Protocol) -> dict[str, float]:
    """Device-seconds of training steps and training FLOPs (product definition) of the runs, finished or not."""
    spec = ProtocolSpec.model_validate(protocol.spec)
    done = [run.result for run in runs if run.result]
    return {
        "runs": len(runs),
        "tokens": sum(result["tokens"] for result in done),
        "device_seconds": sum(result["seconds"] for result in done),
        "flops": sum(spec.training_flops() * result["tokens"] / spec.token_budget for result in done),
    }
