"""Does an order hold over learning rates? The ladder of a ranking is every protocol that equals its own but for the
rate, with the proxy runs on the same suite; a run that two of them share counts once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError
from proxy.fingerprints import fingerprint
from worker.leaderboards import (
    describe_protocol,
    describe_recipe,
    describe_suite,
    find_leaderboard,
    gather_digest,
)
from worker.lookup import unique_names
from worker.recipe_results import RecipeResults, results_with_losses
from worker.recipes import find_recipe
from worker.settings import Settings
from worker.store.models import Evaluation, Protocol, Recipe, Suite

if TYPE_CHECKING:
    from proxy.ranking.rate_ladders import RateEvidence


@dataclass(frozen=True, kw_only=True)
class _Rung:
    """A learning rate, the protocols that train at it, newest last, and the recipes that did not break there."""

    rate: float
    protocols: Sequence[Protocol]
    results: Sequence[RecipeResults]


def read_flips(
    session: Session,
    settings: Settings,
    protocol: str | None = None,
    suite: str | None = None,
    first: str | None = None,
    second: str | None = None,
) -> dict[str, Any]:
    """The certificate of the newest ranking under a protocol and suite, or any; of two recipes if both are named.

    NotFoundError while nothing is ranked. InvalidInputError where one rate alone has scores, and for unknown, equal or
    half-named recipes; ConflictError for a recipe without a sound run, or where no recipe has one at the own rate.
    """
    pair = _find_pair(session, first, second)
    ranking = find_leaderboard(session, protocol, suite)
    own, suite_row = session.get_one(Protocol, ranking.protocol_id), session.get_one(Suite, ranking.suite_id)
    rungs = _rungs(session, settings, own, suite_row)
    own_rate = _own_rate(rungs, own)
    if len(rungs) < 2:
        message = "no protocol that equals it but for the learning rate has sound runs on this suite"
        raise InvalidInputError.at("protocol", f"{own.name}@{own.version}", message)
    return {
        "protocol": describe_protocol(own),
        "suite": describe_suite(suite_row),
        "refused": ranking.body.get("refused"),
        "pair": None if pair is None else [describe_recipe(recipe) for recipe in pair],
        "ladder": [_describe(rung) for rung in rungs],
        **_certify(settings, suite_row, own_rate, rungs, pair),
    }


def has_ladder(session: Session, protocol_id: str, suite_id: str) -> bool:
    """Whether another rate than the protocol's own was tried on the suite: what a certificate needs at least."""
    own = session.get_one(Protocol, protocol_id)
    rates = {_digits(rate) for rate in session.scalars(_tried(own, suite_id).with_only_columns(Protocol.learning_rate))}
    return len(rates | {_digits(own.learning_rate)}) > 1


def _certify(
    settings: Settings, suite: Suite, own_rate: float, rungs: Sequence[_Rung], pair: tuple[Recipe, Recipe] | None
) -> dict[str, Any]:
    from proxy.ranking.flip_words import describe_leaderboard, describe_pair
    from proxy.ranking.flips import certify_order

    names = unique_names({part.recipe.id: part.recipe.name for rung in rungs for part in rung.results}.items())
    ladder = [_evidence(settings, suite, rung, names) for rung in rungs]
    asked = None if pair is None else (_name_of(pair[0], names), _name_of(pair[1], names))
    found = certify_order(ladder, own_rate, pair=asked)
    words = describe_leaderboard(found) if asked is None else describe_pair(found)
    return {**asdict(words), **asdict(found)}


def _own_rate(rungs: Sequence[_Rung], own: Protocol) -> float:
    for rung in rungs:
        if _digits(rung.rate) == _digits(own.learning_rate):
            return rung.rate
    raise ConflictError(f"no recipe has a sound run at the rate of protocol {own.name}@{own.version} on this suite yet")


def _find_pair(session: Session, first: str | None, second: str | None) -> tuple[Recipe, Recipe] | None:
    if first is None and second is None:
        return None
    if first is None or second is None:
        missing = "first" if first is None else "second"
        raise InvalidInputError.at(missing, None, "is needed: a pair is two recipes, a leaderboard none")
    pair = find_recipe(session, first, "first"), find_recipe(session, second, "second")
    if pair[0].id == pair[1].id:
        raise InvalidInputError.at("second", second, f"is the same recipe as {first!r}")
    return pair


def _name_of(recipe: Recipe, names: dict[str, str]) -> str:
    if recipe.id not in names:
        raise ConflictError(f"recipe {recipe.name} has no sound run at any of these rates on this suite yet")
    return names[recipe.id]


def _rungs(session: Session, settings: Settings, own: Protocol, suite: Suite) -> list[_Rung]:
    """Lowest rate first; rates at which no recipe has a sound run are left out."""
    by_rate: dict[str, list[Protocol]] = defaultdict(list)
    for protocol in session.scalars(_tried(own, suite.id).order_by(Protocol.created_at, Protocol.id)):
        by_rate[_digits(protocol.learning_rate)].append(protocol)
    rungs = []
    for protocols in sorted(by_rate.values(), key=lambda found: found[0].learning_rate):
        found = _merge([results_with_losses(session, settings, protocol, suite) for protocol in protocols])
        sound = [part for part in found if not part.is_broken()]
        if sound:
            rungs.append(_Rung(rate=protocols[0].learning_rate, protocols=protocols, results=sound))
    return rungs


def _tried(own: Protocol, suite_id: str) -> Any:
    """Protocols of the same treatment, whatever their rate, with a proxy evaluation on the suite."""
    tried = select(Evaluation.protocol_id).where(Evaluation.kind == "proxy", Evaluation.suite_id == suite_id)
    return select(Protocol).where(Protocol.cohort_key == own.cohort_key, Protocol.id.in_(tried))


def _merge(of_protocols: Sequence[Sequence[RecipeResults]]) -> list[RecipeResults]:
    if len(of_protocols) == 1:
        return list(of_protocols[0])
    merged: dict[str, RecipeResults] = {}
    seen: set[str] = set()
    for part in (part for results in of_protocols for part in results):
        one = merged.setdefault(part.recipe.id, RecipeResults(recipe=part.recipe, evaluation_id=part.evaluation_id))
        one.scored.extend(pair for pair in part.scored if pair[0].id not in seen)
        one.lost.extend(pair for pair in part.lost if pair[0].id not in seen)
        one.failed.extend(run for run in part.failed if run.id not in seen)
        seen.update(run.id for run, _ in (*part.scored, *part.lost))
        seen.update(run.id for run in part.failed)
    return list(merged.values())


def _evidence(settings: Settings, suite: Suite, rung: _Rung, names: dict[str, str]) -> "RateEvidence":
    """With the seed noise of the newest protocol of this rate that knows any."""
    from proxy.ranking.rate_ladders import RateEvidence

    knowing = [protocol for protocol in rung.protocols if protocol.spec.get("anchors")]
    chosen = (knowing or list(rung.protocols))[-1]
    kept_as = None if len(rung.protocols) == 1 else fingerprint(sorted(protocol.id for protocol in rung.protocols))
    digest = gather_digest(settings, chosen, suite, list(rung.results), kept_as=kept_as)
    recipes = tuple(replace(entry, recipe=names[entry.recipe]) for entry in digest.recipes)
    return RateEvidence(rate=rung.rate, evidence=replace(digest, recipes=recipes))


def _describe(rung: _Rung) -> dict[str, Any]:
    """`marked`: recipes with a gate that failed, to tell a flip at a hopeless rate from one that matters."""
    marked = sum(any(not gate["passed"] for gate in part.gates()) for part in rung.results)
    return {
        "rate": rung.rate,
        "protocols": [f"{protocol.name}@{protocol.version}" for protocol in rung.protocols],
        "recipes": len(rung.results),
        "marked": marked,
    }


def _digits(rate: float) -> str:
    """Rates are the same as runs' fingerprints take them to be."""
    return f"{rate:.9e}"
