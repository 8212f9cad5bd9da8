"""Anchors: recipes whose seed noise is measured once and kept with the protocol, so that a ranking of two recipes, or
of one seed each, has intervals too."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.protocols import Anchor
from proxy.protocols import Protocol as ProtocolSpec
from worker.evaluations import Request, conclude_evaluations, submit_evaluation
from worker.protocols import find_protocol, store_protocol
from worker.recipe_results import RecipeResults, results_of
from worker.recipes import find_recipe
from worker.settings import Settings
from worker.store.models import Evaluation, Protocol, Recipe, Suite
from worker.store.states import State
from worker.suites import find_suite

LEAST_SEEDS = 2


def measure_anchors(
    session: Session, settings: Settings, protocol: str, suite: str, recipes: Sequence[str]
) -> tuple[Protocol, bool]:
    """The protocol's next version, which knows these recipes' seed noise on the suite, and True if it is new.

    Nothing is trained: the new version takes over every finished evaluation of this one, with its runs.
    InvalidInputError names a recipe with fewer than two scored seeds, or whose seeds change nothing.
    """
    from proxy.ranking.seeds import noise_by_recipe

    row, on = find_protocol(session, protocol), find_suite(session, suite)
    asked = [(index, find_recipe(session, name, f"/recipes/{index}")) for index, name in enumerate(recipes)]
    # in an order of their own: sums in another order differ in their last bits, which would be another version
    wanted = sorted(asked, key=lambda pair: pair[1].fingerprint)
    results = {part.recipe.id: part for part in results_of(session, row, on) if not part.is_broken()}
    scored = [_scores(results.get(recipe.id), recipe, index) for index, recipe in wanted]
    seeds = sorted({seed for scores in scored for seed in scores})
    table_RT = np.array([[scores.get(seed, np.nan) for seed in seeds] for scores in scored])
    anchors = []
    for (index, recipe), noise in zip(wanted, noise_by_recipe(table_RT), strict=True):
        if noise is None:
            raise InvalidInputError.at(f"/recipes/{index}", recipe.name, "its seeds show no noise")
        anchors.append(
            Anchor(recipe=recipe.fingerprint, suite=on.fingerprint, variance=noise[0], degrees_of_freedom=noise[1])
        )
    made, is_new = _store(session, row, on, anchors)
    if is_new:
        _take_over(session, settings, row, made)
    return made, is_new


def _take_over(session: Session, settings: Settings, old: Protocol, new: Protocol) -> None:
    finished = select(Evaluation).where(
        Evaluation.protocol_id == old.id, Evaluation.kind == "proxy", Evaluation.state == State.FINISHED
    )
    taken = []
    for row in session.scalars(finished.order_by(Evaluation.created_at, Evaluation.id)).all():
        asked = Request(
            recipe=row.recipe_id,
            protocol=new.id,
            suite=row.suite_id,
            seeds=row.seeds,
            first_seed=row.first_seed,
            replicate=row.replicate,
        )
        taken.append(submit_evaluation(session, settings, asked, concludes=False)[0].id)
    conclude_evaluations(session, settings, taken)


def _scores(part: RecipeResults | None, recipe: Recipe, index: int) -> dict[int, float]:
    scores = {run.seed: score.score for run, score in part.scored} if part else {}
    if len(scores) < LEAST_SEEDS:
        message = f"has {len(scores)} scored seeds under this protocol and suite; an anchor needs {LEAST_SEEDS}"
        raise InvalidInputError.at(f"/recipes/{index}", recipe.name, message)
    return scores


def _store(session: Session, row: Protocol, suite: Suite, anchors: Sequence[Anchor]) -> tuple[Protocol, bool]:
    """Anchors of other suites stay; those of this suite are replaced."""
    spec = ProtocolSpec.model_validate(row.spec)
    others = [anchor for anchor in spec.anchors if anchor.suite != suite.fingerprint]
    ordered = sorted([*others, *anchors], key=lambda anchor: (anchor.suite, anchor.recipe))
    return store_protocol(session, spec.model_copy(update={"anchors": tuple(ordered)}))
