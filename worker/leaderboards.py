"""Leaderboards: all finished runs of a protocol and suite, ranked. A snapshot is written when evidence changes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, NotFoundError
from proxy.fingerprints import fingerprint
from proxy.suites import Suite as SuiteSpec
from worker.artifacts import SetLosses, read_losses
from worker.digests import digest_key, digests_path, read_digests, write_digests
from worker.protocols import find_protocol, known_noise
from worker.recipe_results import RecipeResults, results_with_losses
from worker.set_results import set_results
from worker.settings import Settings
from worker.sharing import find_file
from worker.store.models import Leaderboard, Protocol, Recipe, Suite
from worker.suites import find_suite

if TYPE_CHECKING:
    from proxy.ranking.evidence import AnchorNoise, Digest, Evidence
    from proxy.ranking.ranks import RankedRecipe

LEVEL = 0.95
DOCUMENTS = "fixed"  # inside one suite version the suite is the objective (statistics.md, section 1)
CLAIMS = ("rank", "rank_low", "rank_high", "p_best", "expected_regret")  # of an entry, beside its letters
RNG_SEED = 20251224  # joint draws for P(best): the same evidence gives the same snapshot


def update_leaderboards(session: Session, settings: Settings, protocol_id: str, suite_id: str) -> Leaderboard | None:
    """A new snapshot if the evidence changed since the newest one; None otherwise, or if there is none yet. Runs on
    shuffled tokens are a control, and no competition."""
    protocol = session.get_one(Protocol, protocol_id)
    if protocol.spec.get("shuffled_tokens", False):
        return None
    suite = lock_suite(session, suite_id)
    results = results_with_losses(session, settings, protocol, suite)
    evidence = _evidence_print(results)
    newest = newest_leaderboard(session, protocol_id, suite_id)
    if not results or (newest is not None and newest.evidence == evidence):
        return None
    body = _body(settings, protocol, suite, results, _refusal(session, protocol, suite, results))
    row = Leaderboard(protocol_id=protocol_id, suite_id=suite_id, evidence=evidence, body=body)
    session.add(row)
    session.flush()
    return row


def lock_suite(session: Session, suite_id: str) -> Suite:
    """One ranking of a suite at a time: else the newest snapshot might be the one that saw less. Evaluations that
    name the suite can be submitted meanwhile."""
    return session.get_one(Suite, suite_id, with_for_update={"key_share": True})


def _evidence_print(results: Sequence[RecipeResults]) -> str:
    """Names exactly what was ranked."""
    return fingerprint(
        [
            [
                part.recipe.fingerprint,
                sorted(score.artifact for _, score in part.scored),
                len(part.failed),
                part.is_broken(),
            ]
            for part in sorted(results, key=lambda part: part.recipe.fingerprint)
        ]
    )


def _refusal(session: Session, protocol: Protocol, suite: Suite, results: Sequence[RecipeResults]) -> str | None:
    """Why nothing is ranked under the protocol: its anchors, where they were evaluated, fail."""
    from proxy.ranking.anchor_checks import AnchorRuns, refuse

    known = {anchor["recipe"] for anchor in protocol.spec.get("anchors", ()) if anchor["suite"] == suite.fingerprint}
    return refuse(
        [
            AnchorRuns(
                recipe=part.recipe.name,
                failed=tuple(gate["name"] for gate in part.gates() if not gate["passed"]),
                is_broken=part.is_broken(),
                progress=[
                    {name: found.progress for name, found in set_results(session, run, suite.id).items()}
                    for run, _ in part.scored
                ],
            )
            for part in results
            if part.recipe.fingerprint in known
        ]
    )


def _body(
    settings: Settings,
    protocol: Protocol,
    suite: Suite,
    results: Sequence[RecipeResults],
    refused: str | None,
) -> dict[str, Any]:
    from proxy.ranking.ranks import rank_recipes

    broken = {part.recipe.id: part for part in results if part.is_broken()}
    sound = {part.recipe.id: part for part in results if part.recipe.id not in broken}
    entries: list[dict[str, Any]] = []
    warnings: list[str] = []
    anchors: dict[str, float] | None = None
    if sound:
        digest = gather_digest(settings, protocol, suite, list(sound.values()))
        ranking = rank_recipes(digest, rng=np.random.default_rng(RNG_SEED), documents="fixed", level=LEVEL)
        entries = [_entry(sound[ranked.recipe], ranked) for ranked in ranking.entries]
        if refused is not None:
            entries = [entry | dict.fromkeys(CLAIMS) | {"letters": ""} for entry in entries]
        warnings = list(ranking.warnings)
        anchors = None if digest.anchors is None else asdict(digest.anchors)
    entries += [_unranked(part) for part in broken.values()]
    return {
        "protocol": describe_protocol(protocol),
        "suite": describe_suite(suite),
        "level": LEVEL,
        "documents": DOCUMENTS,
        "entries": entries,
        "warnings": warnings,
        "refused": refused,
        "anchors": anchors,
    }


def gather_evidence(settings: Settings, suite: Suite, results: Sequence[RecipeResults]) -> "Evidence":
    """Per-document losses out of the artifacts, which must be there. ConflictError for runs of other documents."""
    from proxy.ranking.evidence import Evidence, RecipeEvidence, SetEvidence

    shares = SuiteSpec.model_validate(suite.spec).shares()
    losses: dict[str, dict[str, SetLosses]] = {
        score.run_id: read_losses(find_file(settings, score.artifact)) for part in results for _, score in part.scored
    }
    first = next(iter(losses.values()), {})
    for run_id, parts in losses.items():
        _require_same_documents(run_id, parts, first)
    sets = tuple(
        SetEvidence(name=name, share=shares[name], text_bytes=part.text_bytes, clusters=part.clusters)
        for name, part in first.items()
    )
    recipes = tuple(
        RecipeEvidence(
            recipe=part.recipe.id,
            seeds=tuple(run.seed for run, _ in part.scored),
            nats={name: np.stack([losses[run.id][name].nats for run, _ in part.scored]) for name in first},
        )
        for part in results
    )
    return Evidence(sets=sets, recipes=recipes)


def _require_same_documents(run_id: str, parts: Mapping[str, SetLosses], first: Mapping[str, SetLosses]) -> None:
    """Losses are paired by place: by key where both have keys, else documents of the same length must be there."""
    for name, part in parts.items():
        known, other = part.keys, first[name].keys
        if known is not None and other is not None:
            is_same = np.array_equal(known, other)
        else:
            is_same = np.array_equal(part.text_bytes, first[name].text_bytes)
        if not is_same:
            raise ConflictError(f"run {run_id} was scored on the documents of {name} in another order; score it again")


def gather_digest(
    settings: Settings,
    protocol: Protocol,
    suite: Suite,
    results: Sequence[RecipeResults],
    *,
    kept_as: str | None = None,
) -> "Digest":
    """What ranking needs of all recipes' losses. Only those are read that no earlier update has digested.

    `kept_as` names the store of digests where the results are not the protocol's own ranking.
    """
    from proxy.ranking.digests import digest_evidence
    from proxy.ranking.evidence import Digest

    path = digests_path(settings, kept_as or protocol.id, suite.id)
    store = read_digests(path)
    keys = [digest_key(part.scored) for part in results]
    is_new = False
    for key, part in zip(keys, results, strict=True):
        if key not in store.digests:
            is_new = True
            store.add(key, digest_evidence(gather_evidence(settings, suite, [part])))
    if is_new:
        write_digests(path, store, keys)
    recipes = (replace(store.digests[key], recipe=part.recipe.id) for key, part in zip(keys, results, strict=True))
    shares = SuiteSpec.model_validate(suite.spec).shares()
    return Digest(sets=store.sets(shares), recipes=tuple(recipes), anchors=known_seed_noise(protocol, suite, results))


def known_seed_noise(protocol: Protocol, suite: Suite, results: Sequence[RecipeResults]) -> "AnchorNoise | None":
    """What the protocol's anchors add to the seed noise that these results show."""
    return known_noise(protocol, suite, {part.recipe.fingerprint for part in results if len(part.scored) > 1})


def describe_recipe(recipe: Recipe) -> dict[str, Any]:
    """What a snapshot says of a recipe."""
    return {"id": recipe.id, "name": recipe.name, "fingerprint": recipe.fingerprint}


def _entry(part: RecipeResults, ranked: "RankedRecipe") -> dict[str, Any]:
    return {
        "rank": ranked.rank,
        "rank_low": ranked.rank_low,
        "rank_high": ranked.rank_high,
        "recipe": describe_recipe(part.recipe),
        "evaluation": part.evaluation_id,
        "score": ranked.score,
        "score_low": ranked.score_low,
        "score_high": ranked.score_high,
        "p_best": ranked.p_best,
        "expected_regret": ranked.expected_regret,
        "letters": ranked.letters,
        "seeds": ranked.seeds,
        "seed_error": ranked.seed_error,
        "gates": part.gates(),
        "sets": ranked.sets,
    }


def _unranked(part: RecipeResults) -> dict[str, Any]:
    nothing = ("rank", "rank_low", "rank_high", "score", "score_low", "score_high", "p_best", "expected_regret")
    return {
        **dict.fromkeys(nothing),
        "recipe": describe_recipe(part.recipe),
        "evaluation": part.evaluation_id,
        "letters": "",
        "seeds": len(part.scored),
        "seed_error": None,
        "gates": part.gates(),
        "sets": {},
    }


def describe_protocol(protocol: Protocol) -> dict[str, Any]:
    """What a snapshot says of its protocol."""
    return {
        "id": protocol.id,
        "name": protocol.name,
        "version": protocol.version,
        "fingerprint": protocol.fingerprint,
        "learning_rate": protocol.learning_rate,
        "standard_rate": protocol.spec["standard_rate"],
        "reduction": protocol.spec["reduction"],
    }


def describe_suite(suite: Suite) -> dict[str, Any]:
    """What a snapshot says of its suite."""
    return {"id": suite.id, "name": suite.name, "version": suite.version, "fingerprint": suite.fingerprint}


def newest_leaderboard(
    session: Session, protocol_id: str | None = None, suite_id: str | None = None
) -> Leaderboard | None:
    """The newest snapshot of the protocol and suite, or of any where None."""
    query = select(Leaderboard)
    if protocol_id is not None:
        query = query.where(Leaderboard.protocol_id == protocol_id)
    if suite_id is not None:
        query = query.where(Leaderboard.suite_id == suite_id)
    return session.scalars(query.order_by(Leaderboard.created_at.desc(), Leaderboard.id).limit(1)).first()


def refusal_of(session: Session, protocol_id: str, suite_id: str) -> str | None:
    """Why nothing is ranked under them, as their newest snapshot says; None where it ranks, or there is none yet."""
    row = newest_leaderboard(session, protocol_id, suite_id)
    return None if row is None else row.body.get("refused")


def find_leaderboard(session: Session, protocol: str | None = None, suite: str | None = None) -> Leaderboard:
    """The newest snapshot under a protocol and suite, or any. NotFoundError while nothing was ranked."""
    protocol_id = find_protocol(session, protocol).id if protocol is not None else None
    suite_id = find_suite(session, suite).id if suite is not None else None
    row = newest_leaderboard(session, protocol_id, suite_id)
    if row is None:
        raise NotFoundError(f"nothing is ranked yet under protocol {protocol or 'any'} and suite {suite or 'any'}")
    return row


def read_leaderboard(session: Session, protocol: str | None = None, suite: str | None = None) -> dict[str, Any]:
    """The newest snapshot as people read it. NotFoundError while nothing was ranked."""
    row = find_leaderboard(session, protocol, suite)
    return {"id": row.id, "created_at": row.created_at.isoformat(), **row.body, **_survival(session, row)}


def _survival(session: Session, row: Leaderboard) -> dict[str, Any]:
    """How the snapshot stands today: its own standing, the recipes whose corpora have moved on, and what of it is
    retired. A retired corpus says nothing against a score that was measured before."""
    from worker.retirements import retired_sets, retired_sources
    from worker.survival import moved_sources, standing_of_ranking

    protocol, suite = session.get_one(Protocol, row.protocol_id), session.get_one(Suite, row.suite_id)
    recipes = [entry["recipe"]["id"] for entry in row.body["entries"]]
    return {
        "standing": standing_of_ranking(session, protocol, suite),
        "moved": moved_sources(session, recipes),
        "retired": {"suite": retired_sets(session, suite), "recipes": retired_sources(session, recipes)},
    }


def list_rankings(session: Session) -> list[tuple[Protocol, Suite]]:
    """Every (protocol, suite) that has a leaderboard, the newest snapshot first."""
    query = select(Leaderboard.protocol_id, Leaderboard.suite_id).order_by(Leaderboard.created_at.desc())
    pairs = dict.fromkeys((row.protocol_id, row.suite_id) for row in session.execute(query))
    return [(session.get_one(Protocol, pair[0]), session.get_one(Suite, pair[1])) for pair in pairs]
