"""Twenty replicates of one recipe, really trained: whatever a leaderboard resolves among them is false.

A replicate starts from the same weights for the same seed and draws its own documents, as another recipe of the same
content would. Real text, the product's own registration, training and scoring.

`python -m tests.benchmarks.ranking.nano_null` prints the rows. Axes: R replicates, S seeds.
"""

import tempfile
from pathlib import Path

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.demo.corpora import write_corpora
from proxy.protocols import Architecture, Protocol
from proxy.ranking.evidence import Evidence, RecipeEvidence, SetEvidence
from proxy.ranking.ranks import resolve_pairs
from proxy.ranking.uncertainty import measure_noise, probabilities_of_being_better, spread_of_differences
from proxy.suites import Suite
from tests.benchmarks.figures import Row
from worker import corpora, protocols, suites, tokenizers
from worker.artifacts import read_losses, stored_path
from worker.engine import work_until_idle
from worker.evaluations import Request, submit_evaluation
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.models import Evaluation, RunScore
from worker.store.sessions import Sessions, make_engine, make_sessions, read_scope, session_scope

REPLICATES, SEEDS, STEPS, VOCABULARY = 20, 3, 250, 1024
SHAPE = {"layers": 2, "width": 64, "heads": 2, "hidden": 128, "context_tokens": 64, "vocabulary": VOCABULARY}
NAMES = ("python", "stubs")


def measure() -> list[Row]:
    """Pairs that a leaderboard of the replicates resolves, and how often a single pair's test at 5 % would."""
    with tempfile.TemporaryDirectory() as folder:
        evidence = train(Path(folder))
    noise = measure_noise(evidence)
    spread = spread_of_differences(noise, "fixed")
    resolved_RR = resolve_pairs(noise.mean_R[:, None] - noise.mean_R[None, :], noise, "fixed", 0.95)
    assert spread is not None
    assert resolved_RR is not None
    chance_RR = probabilities_of_being_better(noise, spread)
    upper = chance_RR[np.triu_indices(REPLICATES, 1)]
    marginal = float(((upper < 0.025) | (upper > 0.975)).mean())
    board = f"{REPLICATES} replicates of one recipe, {SEEDS} seeds, trained"
    resolved = int(resolved_RR.sum())
    return [
        {"figure": f"resolved pairs among {board}", "value": resolved, "must": "= 0", "holds": resolved == 0},
        {
            "figure": f"share of pairs that differ at 5 % by themselves, {board}",
            "value": round(marginal, 3),
            "must": "reported: about .05",
            "holds": True,
        },
    ]


def train(folder: Path) -> Evidence:
    """Registers, trains and scores everything on a database in the folder."""
    settings = Settings(_env_file=None, data_dir=folder / "data", lanes=1, threads=1)
    upgrade_database(settings)
    engine = make_engine(settings.resolved_database_url)
    sessions = make_sessions(engine)
    register(sessions, settings, folder)
    with session_scope(sessions) as session:
        recipe = {"name": "null", "sources": [{"corpus": name, "weight": 1} for name in NAMES]}
        for replicate in range(1, REPLICATES + 1):
            asked = Request(recipe=recipe, protocol="null", suite="null", seeds=SEEDS, replicate=replicate)
            submit_evaluation(session, settings, asked)
    work_until_idle(sessions, settings)
    with read_scope(sessions) as session:
        evidence = gather(session, settings)
    engine.dispose()
    return evidence


def register(sessions: Sessions, settings: Settings, folder: Path) -> None:
    with session_scope(sessions) as session:
        for made in write_corpora(folder / "corpora"):
            if made.name in NAMES:
                corpora.register_corpus(session, made.name, str(made.path), fields=("source",))
                corpora.register_corpus(session, f"{made.name}-held-out", str(made.held_out), fields=("source",))
    work_until_idle(sessions, settings)
    with session_scope(sessions) as session:
        tokenizers.train_tokenizer(session, "null", VOCABULARY, list(NAMES), 1_000_000)
    work_until_idle(sessions, settings)
    sets = [{"name": name, "corpus": f"{name}-held-out", "cluster_field": "source"} for name in NAMES]
    with session_scope(sessions) as session:
        suites.store_suite(session, Suite.model_validate({"name": "null", "sets": sets}))
        protocol = Protocol(
            name="null",
            architecture=Architecture(**SHAPE),
            tokenizer="null",
            batch_sequences=8,
            steps=STEPS,
            standard_rate=1e-3,
        )
        protocols.store_protocol(session, protocol)


def gather(session: Session, settings: Settings) -> Evidence:
    """Each replicate as a recipe of its own."""
    recipes = []
    sets: tuple[SetEvidence, ...] = ()
    for evaluation in session.scalars(select(Evaluation).order_by(Evaluation.replicate)):
        runs = sorted(evaluation.runs, key=lambda run: run.seed)
        scores = [session.get_one(RunScore, (run.id, evaluation.suite_id)) for run in runs]
        losses = [read_losses(stored_path(settings, score.artifact)) for score in scores]
        nats = {name: np.stack([one[name].nats for one in losses]) for name in losses[0]}
        recipes.append(
            RecipeEvidence(recipe=str(evaluation.replicate), seeds=tuple(run.seed for run in runs), nats=nats)
        )
        sets = tuple(
            SetEvidence(name=name, share=1 / len(NAMES), text_bytes=part.text_bytes, clusters=part.clusters)
            for name, part in losses[0].items()
        )
    return Evidence(sets=sets, recipes=tuple(recipes))


if __name__ == "__main__":
    for row in measure():
        print(row)
