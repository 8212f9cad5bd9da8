"""What has become of past results: valid, bridgeable or stale. Computed when read; what was stored is never rewritten.

A ranking is **valid** under the newest version of its protocol and its suite, computed by this code's numerics, on
corpora that have not changed since. Otherwise it is **bridgeable** where enough recipes were measured under the old and
the new version alike (proxy.ranking.bridges), so that old scores can be carried over with an interval, or **stale**.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from proxy import NUMERICS_VERSION
from worker.store.models import Corpus, Evaluation, EvaluationRun, Protocol, Recipe, Run, RunScore, Suite
from worker.store.states import State

VALID, BRIDGEABLE, STALE = "valid", "bridgeable", "stale"

Scores = Mapping[tuple[str, int], float]  # by recipe id and seed


def standing_of_ranking(session: Session, protocol: Protocol, suite: Suite) -> dict[str, Any]:
    """`status`, the `reasons` in words, and one bridge for each thing that has a newer version."""
    changes = [*_newer_suite(session, protocol, suite), *_newer_protocol(session, protocol, suite)]
    reasons = [change["reason"] for change in changes]
    numerics = protocol.spec["numerics_version"]
    if numerics != NUMERICS_VERSION:
        words = f"computed by numerics version {numerics}, now {NUMERICS_VERSION}"
        newer = next((change for change in changes if change["version_of"] == "protocol"), None)
        if newer is not None and newer["offset"] is not None:  # a new version carries the new numerics
            newer["reason"] += f"; {words}"
            reasons[changes.index(newer)] = newer["reason"]
        else:
            reasons.append(words)
    reasons += read_revisions(session).moved({part["corpus"]: part["corpus"] for part in suite.spec["sets"]})
    is_bridged = len(changes) == len(reasons) and all(change["offset"] is not None for change in changes)
    status = VALID if not reasons else BRIDGEABLE if is_bridged else STALE
    return {"status": status, "reasons": reasons, "bridges": changes}


def standing_of_evaluation(session: Session, evaluation: Evaluation) -> dict[str, Any]:
    """Its ranking's standing; stale where a corpus of its recipe has newer content."""
    standing = standing_of_ranking(session, evaluation.protocol, evaluation.suite)
    moved = moved_sources(session, [evaluation.recipe_id]).get(evaluation.recipe_id, [])
    return standing if not moved else {**standing, "status": STALE, "reasons": [*standing["reasons"], *moved]}


def moved_sources(session: Session, recipe_ids: Collection[str]) -> dict[str, list[str]]:
    """By recipe, the corpora that have newer content than it was made of, in words; recipes without any left out."""
    revisions = read_revisions(session)
    recipes = session.execute(select(Recipe.id, Recipe.corpora).where(Recipe.id.in_(recipe_ids)))
    found = {recipe_id: revisions.moved(corpora) for recipe_id, corpora in recipes}
    return {recipe_id: words for recipe_id, words in found.items() if words}


def _newer_suite(session: Session, protocol: Protocol, suite: Suite) -> list[dict[str, Any]]:
    newest = session.scalars(select(Suite).where(Suite.name == suite.name).order_by(Suite.version.desc())).first()
    if newest is None or newest.id == suite.id:
        return []
    reason = f"suite {suite.name} has version {newest.version}"
    old, new = (_scores(session, protocol.id, one.id) for one in (suite, newest))
    return [_bridge("suite", reason, old, new)]


def _newer_protocol(session: Session, protocol: Protocol, suite: Suite) -> list[dict[str, Any]]:
    same_name = select(Protocol).where(Protocol.name == protocol.name).order_by(Protocol.version.desc())
    newest = session.scalars(same_name).first()
    if newest is None or _treatment(newest) == _treatment(protocol):
        return []  # another version may only know more of the same treatment: its anchors
    reason = f"protocol {protocol.name} has version {newest.version}"
    old, new = (_scores(session, one.id, suite.id) for one in (protocol, newest))
    return [_bridge("protocol", reason, old, new)]


def _treatment(protocol: Protocol) -> tuple[str, float]:
    return protocol.cohort_key, protocol.learning_rate


def _bridge(what: str, reason: str, old: Scores, new: Scores) -> dict[str, Any]:
    """Over the seeds that a recipe has under both: what other seeds do to all recipes alike is no offset."""
    from proxy.ranking.bridges import measure_bridge

    by_recipe: dict[str, list[tuple[str, int]]] = {}
    for key in sorted(old.keys() & new.keys()):
        by_recipe.setdefault(key[0], []).append(key)
    old_R, new_R = ([fmean(scores[key] for key in keys) for keys in by_recipe.values()] for scores in (old, new))
    found = asdict(measure_bridge(old_R, new_R))
    missing = found.pop("reason")
    return {"version_of": what, "reason": reason if missing is None else f"{reason}; {missing}", **found}


def _scores(session: Session, protocol_id: str, suite_id: str) -> dict[tuple[str, int], float]:
    """Of each recipe's finished proxy runs; replicates are left out."""
    query = (
        select(Run.recipe_id, Run.seed, RunScore.score)
        .join(RunScore, RunScore.run_id == Run.id)
        .where(Run.state == State.FINISHED, RunScore.suite_id == suite_id, Run.id.in_(_proxy_runs(protocol_id)))
    )
    return {(recipe_id, seed): score for recipe_id, seed, score in session.execute(query)}


def _proxy_runs(protocol_id: str) -> Any:
    return (
        select(EvaluationRun.run_id)
        .join(Evaluation, Evaluation.id == EvaluationRun.evaluation_id)
        .where(Evaluation.kind == "proxy", Evaluation.replicate == 0, Evaluation.protocol_id == protocol_id)
    )


@dataclass(frozen=True, kw_only=True)
class Revisions:
    """What every corpus holds now: by content fingerprint the names that ever held it, and by name its newest revision
    and content."""

    names: Mapping[str, frozenset[str]]
    newest: Mapping[str, tuple[int, str]]

    def moved(self, contents: Mapping[str, str]) -> list[str]:
        """In words, which corpora have newer content. `contents` maps how a corpus is called to its fingerprint; who
        names a revision means that revision. What is called by its content has moved where every name of it has."""
        words = []
        for called, content in contents.items():
            holders = self.names.get(content, frozenset())
            names = {called} if holders and called in self.newest else holders
            moved = sorted(name for name in names if self.newest[name][1] != content)
            if moved and len(moved) == len(names) and "@" not in called:
                words.append(f"corpus {moved[0]} has revision {self.newest[moved[0]][0]}")
        return words


def read_revisions(session: Session) -> Revisions:
    """Of all corpora that have been counted."""
    columns = select(Corpus.name, Corpus.revision, Corpus.fingerprint).where(Corpus.state == State.FINISHED)
    names: dict[str, set[str]] = {}
    newest: dict[str, tuple[int, str]] = {}
    for name, revision, content in session.execute(columns):
        names.setdefault(str(content), set()).add(name)
        newest[name] = max(newest.get(name, (0, "")), (revision, str(content)))
    return Revisions(names={content: frozenset(found) for content, found in names.items()}, newest=newest)
