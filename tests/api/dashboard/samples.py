"""Sample snapshots in the shape that the service stores, and rows to put them into a database with."""

import itertools
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from proxy import NUMERICS_VERSION
from worker.store.models import (
    Agreement,
    Corpus,
    Evaluation,
    Job,
    Leaderboard,
    Protocol,
    Recipe,
    Run,
    Suite,
    Tokenizer,
)
from worker.store.states import State

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_counter = itertools.count()

# name, score, half-width, rank, low, high, P(best), letters
RANKED = (
    ("prose-heavy", 1.9142, 0.0041, 1, 1, 3, 0.52, "a"),
    ("balanced", 1.9171, 0.0038, 2, 1, 4, 0.31, "ab"),
    ("long-documents", 1.9188, 0.0052, 3, 1, 4, 0.163, "ab"),
    ("deduplicated", 1.9254, 0.0040, 4, 2, 6, 0.004, "bc"),
    ("no-headers", 1.9301, 0.0043, 5, 4, 7, 0.0, "c"),
    ("code-heavy", 1.9322, 0.0039, 6, 4, 8, 0.0, "cd"),
    ("duplicated", 1.9349, 0.0047, 7, 5, 8, 0.0, "cd"),
    ("python-heavy", 1.9402, 0.0042, 8, 6, 9, 0.0, "de"),
    ("no-prose", 1.9476, 0.0051, 9, 8, 10, 0.0, "e"),
    ("only-python", 1.9551, 0.0060, 10, 9, 11, 0.0, "e"),
    ("repeated-1-percent", 1.9680, 0.0072, 11, 10, 11, 0.0, "f"),
    ("garbage-40", 2.3417, 0.0090, 12, 12, 12, 0.0, "g"),
)
SETS = {"prose": -0.12, "python": 0.03, "headers": -0.21, "stubs": 0.17}
LABELS = ("tuned", "tuned", "tuned", "swept, at the edge", "single", "swept, unequal")


def gate(name: str, passed: bool = True, *, is_fatal: bool = False, message: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "passed": passed,
        "value": 0.41,
        "threshold": 0.5,
        "message": message or f"{name} was measured on every set.",
        "is_fatal": is_fatal,
    }


def gates(name: str) -> list[dict[str, Any]]:
    """All passed, except for the garbage and the repetition."""
    low = "φ = 0.41 on headers (0: word frequencies, 1: a bigram model), the lowest of 4."
    return [
        gate("diverged", is_fatal=True, message="The training loss did not rise."),
        gate("truncated", is_fatal=True, message="Trained 400 of 400 steps."),
        gate("learned nothing", message="The training loss fell by 61.20%; a run that hardly moved is no evidence."),
        gate("past unigram", name != "garbage-40", message=low),
        gate("progress", name not in ("garbage-40", "repeated-1-percent"), message=low),
    ]


def entry(row: tuple[Any, ...], seeds: int = 2) -> dict[str, Any]:
    name, score, half, rank, low, high, p_best, letters = row
    return {
        "rank": rank,
        "rank_low": low,
        "rank_high": high,
        "recipe": {"id": f"rec_{name}", "name": name, "fingerprint": f"{abs(hash(name)):032x}"[:32]},
        "evaluation": f"eva_{name}",
        "score": score,
        "score_low": score - half,
        "score_high": score + half,
        "p_best": p_best,
        "expected_regret": 0.001,
        "letters": letters,
        "seeds": seeds,
        "gates": gates(name),
        "sets": {part: score + shift * (1 + 0.02 * rank) for part, shift in SETS.items()},
    }


def broken_entry(name: str = "hot-start") -> dict[str, Any]:
    nothing = dict.fromkeys(("rank", "rank_low", "rank_high", "score", "score_low", "score_high", "p_best"))
    told = "The training loss ended at nan nats after starting at 6.93."
    return {
        **nothing,
        "recipe": {"id": f"rec_{name}", "name": name, "fingerprint": "d" * 32},
        "evaluation": f"eva_{name}",
        "letters": "",
        "seeds": 1,
        "gates": [gate("diverged", False, is_fatal=True, message=told)],
        "sets": {},
    }


def protocol_body(name: str = "demo-reduced", reduction: float = 1 / 3) -> dict[str, Any]:
    return {
        "id": f"pro_{name}",
        "name": name,
        "version": 1,
        "fingerprint": "a" * 32,
        "learning_rate": 0.008 * reduction,
        "standard_rate": 0.008,
        "reduction": reduction,
    }


SUITE_BODY = {"id": "sui_demo", "name": "demo", "version": 1, "fingerprint": "b" * 32}


def leaderboard_body(protocol: dict[str, Any] | None = None, *, with_broken: bool = True) -> dict[str, Any]:
    """Twelve ranked recipes, two with marks, and one broken."""
    return {
        "id": "lea_sample",
        "created_at": NOW.isoformat(),
        "protocol": protocol or protocol_body(),
        "suite": SUITE_BODY,
        "level": 0.95,
        "documents": "fixed",
        "entries": [entry(row) for row in RANKED] + ([broken_entry()] if with_broken else []),
        "warnings": ["Seed noise differs between recipes (p = 0.02): intervals of the noisiest are too short."],
    }


def agreement_body(protocol: dict[str, Any] | None = None, noise: float = 0.006, count: int = 12) -> dict[str, Any]:
    """Points near a line; figures that fit the shape, not these points."""
    points = [
        {
            "recipe": row[0],
            "recipe_id": f"rec_{row[0]}",
            "proxy": row[1],
            "reference": round(1.72 + 0.8 * (row[1] - 1.9) + noise * math.sin(7 * index), 4),
            "label": LABELS[index % len(LABELS)],
        }
        for index, row in enumerate(RANKED[:count])
    ]
    is_evidence = count >= 5
    limits = {"spearman": (0.93, 0.74, 0.99), "kendall": (0.79, 0.55, 0.93), "decision_accuracy": (0.89, 0.78, 0.97)}
    figures: dict[str, Any] = {}
    for name, (value, low, high) in limits.items():
        figures |= {name: value, f"{name}_low": low if is_evidence else None}
        figures |= {f"{name}_high": high if is_evidence else None}
    for k, value in ((1, 0.0017), (3, 0.0), (5, 0.0)):
        figures |= {f"regret_at_{k}": value, f"regret_at_{k}_low": 0.0, f"regret_at_{k}_high": 0.0124 / k}
    return {
        "id": "agr_sample",
        "created_at": NOW.isoformat(),
        "protocol": protocol or protocol_body(),
        "suite": SUITE_BODY,
        "leaderboard": "lea_sample",
        "reference_set": "demo",
        "metric": "bits_per_byte",
        "direction": "lower",
        "unit": "bits/byte",
        "n": count,
        **figures,
        "pearson": 0.98,
        "chance": {"spearman": 0.0, "kendall": 0.0, "decision_accuracy": 0.5, "regret_at_1": 0.0521},
        "is_evidence": is_evidence,
        "note": f"With {count} recipes, the order of a new one of this kind is predicted with ρ between 0.74 and 0.99."
        if is_evidence
        else f"{count} recipes are too few for an interval: this is not evidence.",
        "points": points,
        "protocols_tried": 2,
    }


def add_protocol(session: Session, body: dict[str, Any]) -> Protocol:
    spec = {
        "standard_rate": body["standard_rate"],
        "reduction": body["reduction"],
        "numerics_version": NUMERICS_VERSION,
    }
    row = Protocol(
        id=body["id"],
        name=body["name"],
        version=body["version"],
        fingerprint=body["fingerprint"],
        cohort_key="c",
        learning_rate=body["learning_rate"],
        spec=spec,
        created_at=NOW + timedelta(seconds=next(_counter)),
    )
    session.add(row)
    return row


def add_suite(session: Session) -> Suite:
    row = Suite(**SUITE_BODY, spec={"name": "demo", "sets": [{"name": "prose", "corpus": "x"}]}, created_at=NOW)
    session.add(row)
    return row


def add_recipe(session: Session, name: str) -> Recipe:
    spec = {"name": name, "sources": [{"corpus": "prose", "weight": 1}]}
    row = Recipe(id=f"rec_{name}", name=name, fingerprint=f"f-{name}", spec=spec, corpora={"prose": "0"})
    session.add(row)
    return row


def add_run(session: Session, recipe: Recipe, protocol: Protocol, state: State, **columns: Any) -> Run:
    number = next(_counter)
    row = Run(
        fingerprint=f"run-{number}",
        recipe_id=recipe.id,
        protocol_id=protocol.id,
        cohort_key="c",
        learning_rate=protocol.learning_rate,
        seed=number,
        state=state,
        **columns,
    )
    session.add(row)
    return row


def add_evaluation(session: Session, recipe: Recipe, protocol: Protocol) -> Evaluation:
    row = Evaluation(
        kind="proxy",
        recipe_id=recipe.id,
        protocol_id=protocol.id,
        suite_id=SUITE_BODY["id"],
        seeds=2,
        learning_rates=[],
        request_key=f"request-{next(_counter)}",
    )
    session.add(row)
    return row


def add_materials(session: Session) -> None:
    """A finished corpus and a finished tokenizer."""
    session.add(Corpus(name="prose", revision=1, uri="/prose.jsonl", state=State.FINISHED, fingerprint="0" * 32))
    session.add(Tokenizer(name="bpe", state=State.FINISHED, fingerprint="1" * 32, vocabulary=1024))


def add_rankings(session: Session) -> list[Protocol]:
    """The reduced and the standard protocol, each with a leaderboard and its agreement; the reduced one is newest."""
    bodies = [protocol_body("demo-standard", 1.0), protocol_body()]
    protocols = [add_protocol(session, body) for body in bodies]
    add_suite(session)
    recipes = [add_recipe(session, row[0]) for row in RANKED]
    session.flush()
    for index, (row, body) in enumerate(zip(protocols, bodies, strict=True)):
        when = NOW + timedelta(minutes=index)
        ids = {"protocol_id": row.id, "suite_id": SUITE_BODY["id"], "evidence": "e", "created_at": when}
        agreed = agreement_body(body, noise=0.02 if index == 0 else 0.006)
        agreed |= {"spearman": 0.74, "spearman_low": 0.31, "spearman_high": 0.93} if index == 0 else {}
        session.add(Leaderboard(body=_stored(leaderboard_body(body)), **ids))
        session.add(Agreement(reference_set="demo", metric=agreed["metric"], body=_stored(agreed), **ids))
        add_evaluation(session, recipes[0], row)
    return protocols


def _stored(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("id", "created_at")}


def add_work(session: Session, protocol: Protocol) -> None:
    """Three runs in progress, two that wait, a job, and one failure."""
    recipe = session.get_one(Recipe, "rec_balanced")
    for step in (312, 148):
        progress = {"step": step, "steps": 400, "loss": 4.217, "tokens_per_second": 61234.0, "seconds_left": 4.4}
        add_run(session, recipe, protocol, State.RUNNING, progress=progress, started_at=NOW, attempt=1)
    add_run(session, recipe, protocol, State.RUNNING, started_at=NOW, attempt=2)
    for _ in range(2):
        add_run(session, recipe, protocol, State.QUEUED)
    error = "the training loss became nan at step 117"
    add_run(session, recipe, protocol, State.FAILED, error=error, finished_at=NOW, attempt=3)
    session.add(
        Job(kind="register_corpus", payload={}, state=State.RUNNING, progress={"documents": 41200, "bytes": 90_000_000})
    )
