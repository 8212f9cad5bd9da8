"""Digests of losses: what an update of a leaderboard reads, and what it does without them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from proxy.errors import InvalidInputError
from proxy.ranking.digests import digest_evidence
from proxy.ranking.evidence import Evidence, RecipeEvidence, SetEvidence
from tests.worker.cases.boards import finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import leaderboards
from worker.digests import DigestStore, digests_path, read_digests, write_digests
from worker.leaderboards import gather_digest, gather_evidence
from worker.recipe_results import results_of
from worker.store.models import Evaluation


def submit_and_finish(session: Session, bureau: Bureau, name: str, nats: float, **weights: float) -> Evaluation:
    evaluation, _ = submit(session, bureau, recipe(name, **weights), seeds=2)
    for run in evaluation.runs:
        finish(session, bureau, run, evaluation.suite_id, nats)
    return evaluation


@pytest.fixture
def board(session: Session, bureau: Bureau) -> Iterator[Evaluation]:
    """Two recipes are ranked."""
    submit_and_finish(session, bureau, "first", 100.0, web=31, code=1)
    evaluation = submit_and_finish(session, bureau, "second", 101.0, web=32, code=1)
    path = digests_path(bureau.settings, evaluation.protocol_id, evaluation.suite_id)
    yield evaluation
    path.unlink(missing_ok=True)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The losses that were read."""
    paths: list[Path] = []
    plain = leaderboards.read_losses

    def watched(path: Path) -> object:
        paths.append(path)
        return plain(path)

    monkeypatch.setattr(leaderboards, "read_losses", watched)
    return paths


def test_an_update_reads_the_losses_of_the_new_recipe_only(
    session: Session, bureau: Bureau, board: Evaluation, read: list[Path]
) -> None:
    new = submit_and_finish(session, bureau, "third", 99.0, web=33, code=1)
    assert {path.parent.name for path in read} == {run.id for run in new.runs}


def test_digests_give_what_the_losses_give(session: Session, bureau: Bureau, board: Evaluation) -> None:
    results = results_of(session, board.protocol, board.suite)
    whole = digest_evidence(gather_evidence(bureau.settings, board.suite, results))
    for _ in range(2):
        digest = gather_digest(bureau.settings, board.protocol, board.suite, results)
        assert digest.sets == whole.sets
        for found, expected in zip(digest.recipes, whole.recipes, strict=True):
            assert (found.recipe, found.seeds) == (expected.recipe, expected.seeds)
            assert found.document_variances == expected.document_variances
            assert found.seed_by_document == expected.seed_by_document
            np.testing.assert_array_equal(found.scores["held"], expected.scores["held"])


@pytest.mark.parametrize("damage", [None, b"", b"PK not a zip"])
def test_a_file_that_is_gone_or_broken_is_made_again(
    session: Session, bureau: Bureau, board: Evaluation, read: list[Path], damage: bytes | None
) -> None:
    path = digests_path(bureau.settings, board.protocol_id, board.suite_id)
    kept = path.read_bytes()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    results = results_of(session, board.protocol, board.suite)
    gather_digest(bureau.settings, board.protocol, board.suite, results)
    assert len(read) == sum(len(part.scored) for part in results)
    assert len(read_digests(path).digests) == len(results)
    assert path.stat().st_size == len(kept)


def test_a_new_seed_makes_a_new_digest(session: Session, bureau: Bureau, board: Evaluation, read: list[Path]) -> None:
    more, _ = submit(session, bureau, recipe("second", web=32, code=1), seeds=3)
    finish(session, bureau, next(run for run in more.runs if run.seed == 2), more.suite_id, 101.0)
    assert {path.parent.name for path in read} == {run.id for run in more.runs}


def some_digests(clusters: Sequence[int]) -> DigestStore:
    store = DigestStore()
    rng = np.random.default_rng(0)
    part = SetEvidence(name="a/b c", share=1.0, text_bytes=np.full(len(clusters), 50), clusters=np.array(clusters))
    for key, seeds in (("x", (3, 1)), ("y", (2,))):
        nats = {"a/b c": 30 + rng.standard_normal((len(seeds), len(clusters)))}
        entry = RecipeEvidence(recipe=key, seeds=seeds, nats=nats)
        store.add(key, digest_evidence(Evidence(sets=(part,), recipes=(entry,))))
    return store


def test_what_is_written_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    store = some_digests([0, 0, 1, 2])
    write_digests(tmp_path / "digests.npz", store, ["y", "x"])
    back = read_digests(tmp_path / "digests.npz")
    assert back.clusters == {"a/b c": 3}
    assert list(back.digests) == ["y", "x"]
    for key, digest in back.digests.items():
        assert digest.seeds == store.digests[key].seeds
        assert digest.document_variances == store.digests[key].document_variances
        np.testing.assert_array_equal(digest.scores["a/b c"], store.digests[key].scores["a/b c"])


def test_runs_of_one_suite_on_other_documents_are_refused() -> None:
    store = some_digests([0, 0, 1, 2])
    part = SetEvidence(name="a/b c", share=1.0, text_bytes=np.full(4, 50), clusters=np.arange(4))
    entry = RecipeEvidence(recipe="z", seeds=(0,), nats={"a/b c": np.ones((1, 4))})
    with pytest.raises(InvalidInputError, match="other runs of this suite"):
        store.add("z", digest_evidence(Evidence(sets=(part,), recipes=(entry,))))
