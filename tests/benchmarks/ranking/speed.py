"""How long a ranking takes and how much memory: all documents of a thousand recipes at once, and one more evaluation.

Each figure is measured in a process of its own that may use two cores. Peak memory is the process's largest resident
set; it includes the evidence itself (0.8 GB). `python -m tests.benchmarks.ranking.speed` prints the rows.
"""

import multiprocessing
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from proxy.ranking.evidence import Evidence, Float64Array, RecipeDigest, RecipeEvidence, SetEvidence
from proxy.ranking.ranks import rank_recipes
from tests.benchmarks.figures import Row, at_most, process_megabytes
from worker.artifacts import SetLosses, new_losses_path, relative_path, write_losses
from worker.digests import DigestStore, digest_key, digests_path, write_digests
from worker.leaderboards import update_leaderboards
from worker.recipe_results import results_of
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.models import Evaluation, EvaluationRun, Protocol, Recipe, Run, RunScore, Suite
from worker.store.sessions import make_engine, make_sessions
from worker.store.states import State

RECIPES, SEEDS, DOCUMENTS, SETS = 1000, 5, 20_000, 4
UPDATES = 5
CORES = 2
MEGABYTES_A_GIBIBYTE = 2**30 / 1e6

MOST_SECONDS, MOST_GIBIBYTES, MOST_UPDATE_SECONDS = 60.0, 4.0, 1.0
SHAPE = f"{RECIPES} recipes × {SEEDS} seeds × {DOCUMENTS} documents"


def measure() -> list[Row]:
    """Seconds and peak memory of a ranking from scratch under both estimands, seconds of an update."""
    rows = []
    for documents in ("fixed", "random"):
        seconds, gibibytes = _in_own_process(rank_from_scratch, documents)
        rows.append(at_most(f"seconds to rank {SHAPE}, documents {documents}", seconds, MOST_SECONDS))
        rows.append(at_most(f"GiB to rank {SHAPE}, documents {documents}", gibibytes, MOST_GIBIBYTES))
    slowest, gibibytes = _in_own_process(update_after_one_evaluation)
    rows.append(at_most(f"seconds to update {SHAPE} (slowest of {UPDATES})", slowest, MOST_UPDATE_SECONDS))
    rows.append(at_most(f"GiB to update {SHAPE}", gibibytes, MOST_GIBIBYTES))
    return rows


def rank_from_scratch(documents: str) -> tuple[float, float]:
    """Seconds to check and rank losses that lie in memory, every document its own cluster; peak GiB."""
    rng = np.random.default_rng(0)
    sets = tuple(
        SetEvidence(
            name=f"set-{index}",
            share=1 / SETS,
            text_bytes=rng.integers(200, 3000, DOCUMENTS // SETS),
            clusters=np.arange(DOCUMENTS // SETS),
        )
        for index in range(SETS)
    )
    difficulty = [0.1 * rng.standard_normal(DOCUMENTS // SETS) for _ in sets]
    recipes = tuple(
        RecipeEvidence(
            recipe=f"recipe-{index}",
            seeds=tuple(range(SEEDS)),
            nats={
                part.name: draw_losses(index, part.text_bytes, hard_D, rng)
                for part, hard_D in zip(sets, difficulty, strict=True)
            },
        )
        for index in range(RECIPES)
    )
    start = time.perf_counter()
    rank_recipes(Evidence(sets=sets, recipes=recipes), rng=rng, documents=documents)  # type: ignore[arg-type]
    return time.perf_counter() - start, _peak_gibibytes()


def draw_losses(
    index: int, bytes_D: np.typing.NDArray[np.int64], hard_D: Float64Array, rng: np.random.Generator
) -> Float64Array:
    """Recipes a little apart, so that some pairs are resolved and many are not."""
    losses_SD = rng.standard_normal((SEEDS, len(bytes_D)))
    losses_SD *= 0.05
    losses_SD += 0.7 + 2e-4 * (index % RECIPES) + hard_D
    losses_SD *= bytes_D
    return losses_SD


def update_after_one_evaluation() -> tuple[float, float]:
    """Slowest of some updates, each after one more recipe with real losses; peak GiB.

    The thousand before it are rows in SQLite whose digests an earlier update has kept. Nothing reads their losses, so
    that empty files stand for them.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(_env_file=None, data_dir=Path(folder), threads=1, compile=False)
        upgrade_database(settings)
        engine = make_engine(settings.resolved_database_url)
        sessions = make_sessions(engine)
        with sessions.begin() as session:
            board = Board(session, settings)
            for index in range(RECIPES):
                board.add(index)
            session.flush()
            board.keep_digests()
            protocol, suite = board.protocol.id, board.suite.id
        seconds = []
        for index in range(RECIPES, RECIPES + UPDATES):
            with sessions.begin() as session:
                Board(session, settings).add(index, with_losses=True)
            start = time.perf_counter()
            with sessions.begin() as session:
                row = update_leaderboards(session, settings, protocol, suite)
                assert row is not None
                assert len(row.body["entries"]) == index + 1
            seconds.append(time.perf_counter() - start)
        engine.dispose()
    return max(seconds), _peak_gibibytes()


class Board:
    """Finished evaluations of one protocol and suite."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self.session, self.settings = session, settings
        self.rng = np.random.default_rng(1)
        self.bytes_D = self.rng.integers(200, 3000, DOCUMENTS)
        self.hard_D = 0.1 * self.rng.standard_normal(DOCUMENTS)
        self.protocol = session.query(Protocol).first() or Protocol(
            name="small",
            version=1,
            fingerprint="0",
            cohort_key="0",
            learning_rate=1e-4,
            spec={"standard_rate": 1e-3, "reduction": 10},
        )
        spec = {"name": "suite", "sets": [{"name": "held", "corpus": "held"}]}
        self.suite = session.query(Suite).first() or Suite(name="suite", version=1, fingerprint="0", spec=spec)
        session.add_all([self.protocol, self.suite])
        session.flush()

    def add(self, index: int, *, with_losses: bool = False) -> None:
        """One recipe with its evaluation, runs and scores."""
        recipe = Recipe(name=f"recipe-{index}", fingerprint=uuid.uuid4().hex, spec={}, corpora={})
        self.session.add(recipe)
        self.session.flush()
        evaluation = Evaluation(
            kind="proxy",
            recipe_id=recipe.id,
            protocol_id=self.protocol.id,
            suite_id=self.suite.id,
            seeds=SEEDS,
            learning_rates=[1e-4],
            request_key=uuid.uuid4().hex,
            state=State.FINISHED,
        )
        runs = [self._run(recipe, seed) for seed in range(SEEDS)]
        self.session.add_all([evaluation, *runs])
        self.session.flush()
        losses_SD = draw_losses(index, self.bytes_D, self.hard_D, self.rng) if with_losses else [None] * SEEDS
        for run, losses_D in zip(runs, losses_SD, strict=True):
            self.session.add(EvaluationRun(evaluation_id=evaluation.id, run_id=run.id))
            self.session.add(self._score(run, losses_D))

    def keep_digests(self) -> None:
        """As an update would have: made-up numbers of the size that losses give."""
        results = results_of(self.session, self.protocol, self.suite)
        keys = [digest_key(part.scored) for part in results]
        store = DigestStore(clusters={"held": DOCUMENTS})
        for index, key in enumerate(keys):
            scores_S = (0.7 + 2e-4 * index + 1e-3 * self.rng.standard_normal(SEEDS)) / np.log(2)
            store.digests[key] = RecipeDigest(
                recipe=key,
                seeds=tuple(range(SEEDS)),
                scores={"held": scores_S},
                document_variances={"held": 1e-6},
                seed_by_document={"held": 1e-6},
            )
        write_digests(digests_path(self.settings, self.protocol.id, self.suite.id), store, keys)

    def _run(self, recipe: Recipe, seed: int) -> Run:
        return Run(
            fingerprint=uuid.uuid4().hex,
            recipe_id=recipe.id,
            protocol_id=self.protocol.id,
            cohort_key="0",
            learning_rate=1e-4,
            seed=seed,
            state=State.FINISHED,
            result={"losses": list(range(500))},
        )

    def _score(self, run: Run, losses_D: Float64Array | None) -> RunScore:
        path = new_losses_path(self.settings, run.id, self.suite.id)
        if losses_D is None:
            path.parent.mkdir(parents=True)
            path.touch()
        else:
            losses = SetLosses(nats=losses_D, text_bytes=self.bytes_D, clusters=np.arange(DOCUMENTS))
            write_losses(path, {"held": losses})
        gates = [
            {"name": name, "passed": True, "value": 1.0, "threshold": 0.5, "message": "", "is_fatal": False}
            for name in ("learned", "diverged", "floor", "truncated")
        ]
        artifact = relative_path(self.settings, path)
        return RunScore(
            run_id=run.id, suite_id=self.suite.id, score=1.0, sets={"held": 1.0}, gates=gates, artifact=artifact
        )


def _in_own_process(work: Callable[..., tuple[float, float]], *arguments: object) -> tuple[float, float]:
    with multiprocessing.get_context("spawn").Pool(1, initializer=_take_two_cores) as pool:
        seconds, gibibytes = pool.apply(work, arguments)
    return seconds, gibibytes


def _take_two_cores() -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def _peak_gibibytes() -> float:
    return process_megabytes()["VmHWM"] / MEGABYTES_A_GIBIBYTE


if __name__ == "__main__":
    for row in measure():
        print(row["holds"], row["value"], row["must"], row["figure"], sep="\t", flush=True)
