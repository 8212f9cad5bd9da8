"""Flip certificates of stored runs: what the ladder of a ranking is, and what it cannot be made of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session

from proxy.errors import ConflictError, InvalidInputError, NotFoundError
from proxy.protocols import Anchor
from tests.worker.cases.boards import DIVERGED, fail, finish
from tests.worker.cases.conftest import Bureau, recipe, submit
from worker import leaderboards, protocols
from worker.digests import digests_path
from worker.flips import has_ladder, read_flips
from worker.protocols import find_protocol
from worker.store.models import Suite
from worker.store.states import State
from worker.suites import find_suite

# Nats a document; prose and code change places above 1e-3.
LADDER = {
    0.03: {"prose": 100.0, "code": 110.0, "both": 130.0},
    0.1: {"prose": 100.0, "code": 110.0, "both": 130.0},
    1.0: {"prose": 110.0, "code": 100.0, "both": 130.0},
}


def rank_at(
    session: Session, bureau: Bureau, nats: Mapping[str, float], *, name: str, seeds: int = 3, **options: Any
) -> None:
    """A protocol with its finished runs."""
    protocols.store_protocol(session, bureau.protocol(name, **options))
    rng = np.random.default_rng(len(name))
    for index, (called, value) in enumerate(nats.items()):
        row, _ = submit(session, bureau, recipe(called, web=2 + index, code=3), seeds=seeds, protocol=name)
        for run in row.runs:
            if run.state != State.FINISHED:
                finish(session, bureau, run, row.suite_id, value + rng.normal(scale=0.2))


@pytest.fixture
def ladder(session: Session, bureau: Bureau) -> Session:
    for reduction, nats in LADDER.items():
        rank_at(session, bureau, nats, name=f"at-{reduction:g}", reduction=reduction)
    return session


def ask(session: Session, bureau: Bureau, protocol: str = "at-0.1", **options: Any) -> dict[str, Any]:
    return read_flips(session, bureau.settings, protocol, "suite", **options)


def verdicts(body: Mapping[str, Any]) -> dict[str, str]:
    return {f"{pair['first']} {pair['second']}": str(pair["verdict"]) for pair in body["pairs"]}


def test_the_ladder_is_every_protocol_that_equals_it_but_for_the_rate(ladder: Session, bureau: Bureau) -> None:
    rank_at(ladder, bureau, LADDER[1.0], name="longer", steps=9, reduction=0.5)
    body = ask(ladder, bureau)
    assert [rung["rate"] for rung in body["ladder"]] == pytest.approx([3e-4, 1e-3, 1e-2])
    assert [rung["protocols"] for rung in body["ladder"]] == [["at-0.03@1"], ["at-0.1@1"], ["at-1@1"]]
    assert [rung["recipes"] for rung in body["ladder"]] == [3, 3, 3]
    assert verdicts(body) == {"prose code": "flips", "prose both": "stable", "code both": "stable"}
    assert (body["no_flip_low"], body["no_flip_high"]) == pytest.approx((3e-4, 1e-3))
    assert body["held"] == 3
    assert body["badge"] == "1 pair flips, none from 3e-4 to 1e-3"


def test_around_another_rate_the_interval_is_another(ladder: Session, bureau: Bureau) -> None:
    body = ask(ladder, bureau, "at-1")
    assert (body["no_flip_low"], body["no_flip_high"]) == (body["own_rate"], body["own_rate"])
    assert "some next to 1e-2" in body["badge"]
    assert set(verdicts(body)) == {"code prose", "code both", "prose both"}  # best first at its own rate


def test_a_pair_is_told_apart_at_each_rate(ladder: Session, bureau: Bureau) -> None:
    body = ask(ladder, bureau, first="code", second="prose")
    (pair,) = body["pairs"]
    assert [part["better"] for part in pair["by_rate"]] == ["prose", "prose", "code"]
    assert body["badge"] == "flips between 1e-3 and 1e-2"
    assert body["sentence"].endswith("prose is better at 1e-3, code at 1e-2.")
    differences = [part["difference"] for part in pair["by_rate"]]
    assert differences == pytest.approx([10 / (150 * np.log(2)) * sign for sign in (1, 1, -1)], rel=0.1)
    stable = ask(ladder, bureau, first="prose", second="both")
    assert stable["sentence"] == "prose is better at every rate from 3e-4 to 1e-2."


def test_versions_of_one_rate_are_one_rung_and_a_shared_run_counts_once(ladder: Session, bureau: Bureau) -> None:
    suite = find_suite(ladder, "suite")
    known = (Anchor(recipe="0" * 32, suite=suite.fingerprint, variance=1e-6, degrees_of_freedom=20),)
    before = ask(ladder, bureau, first="code", second="prose")["pairs"][0]
    rank_at(ladder, bureau, LADDER[0.1] | {"late": 150.0}, name="at-0.1", reduction=0.1, anchors=known)
    body = ask(ladder, bureau, "at-0.1@1")
    assert [rung["protocols"] for rung in body["ladder"]] == [["at-0.03@1"], ["at-0.1@1", "at-0.1@2"], ["at-1@1"]]
    assert [rung["recipes"] for rung in body["ladder"]] == [3, 4, 3]
    after = ask(ladder, bureau, "at-0.1@2", first="code", second="prose")["pairs"][0]
    assert [part["difference"] for part in after["by_rate"]] == [part["difference"] for part in before["by_rate"]]
    widths = [[part["high"] - part["low"] for part in pair["by_rate"]] for pair in (before, after)]
    assert widths[1][1] < widths[0][1]  # what the anchors know narrows the rung that they are known at


def test_reading_leaves_the_digests_of_the_rankings_alone(ladder: Session, bureau: Bureau) -> None:
    known = (Anchor(recipe="0" * 32, suite="0" * 32, variance=1e-6, degrees_of_freedom=20),)
    rank_at(ladder, bureau, LADDER[0.1] | {"late": 150.0}, name="at-0.1", reduction=0.1, anchors=known)
    path = digests_path(bureau.settings, find_protocol(ladder, "at-0.1@1").id, find_suite(ladder, "suite").id)
    stored = path.read_bytes()
    ask(ladder, bureau)
    assert path.read_bytes() == stored
    row = leaderboards.update_leaderboards(ladder, bureau.settings, *_ids(ladder))
    assert row is None  # nor is anything ranked anew


def _ids(session: Session) -> tuple[str, str]:
    return find_protocol(session, "at-0.1").id, find_suite(session, "suite").id


def test_one_rate_has_no_order_to_follow(session: Session, bureau: Bureau) -> None:
    rank_at(session, bureau, LADDER[1.0], name="alone")
    assert not has_ladder(session, find_protocol(session, "alone").id, find_suite(session, "suite").id)
    with pytest.raises(InvalidInputError, match="but for the learning rate") as caught:
        ask(session, bureau, "alone")
    assert caught.value.problems[0].value == "alone@1"
    submit(session, bureau, recipe("prose", web=2, code=3), protocol="small")  # its runs wait
    protocols.store_protocol(session, bureau.protocol("waiting", reduction=0.25))
    submit(session, bureau, recipe("prose", web=2, code=3), protocol="waiting")
    assert has_ladder(session, find_protocol(session, "alone").id, find_suite(session, "suite").id)
    with pytest.raises(InvalidInputError, match="no protocol"):
        ask(session, bureau, "alone")


def test_a_rate_of_other_recipes_is_no_ladder(session: Session, bureau: Bureau) -> None:
    rank_at(session, bureau, LADDER[1.0], name="one")
    rank_at(session, bureau, {"prose": 100.0}, name="two", reduction=0.1)
    with pytest.raises(InvalidInputError, match="two recipes that share two of the rates"):
        ask(session, bureau, "one")


def test_without_a_sound_run_at_its_own_rate_an_order_is_not_followed(ladder: Session, bureau: Bureau) -> None:
    protocols.store_protocol(ladder, bureau.protocol("hot", standard_rate=0.1))
    for index, name in enumerate(LADDER[1.0]):
        row, _ = submit(ladder, bureau, recipe(name, web=2 + index, code=3), protocol="hot")
        fail(ladder, bureau, row.runs[0], "the training loss became nan at step 3", DIVERGED)
    pairs: tuple[dict[str, str], ...] = ({}, {"first": "prose", "second": "code"})
    for pair in pairs:
        with pytest.raises(ConflictError, match="sound run at the rate of protocol hot@1"):
            ask(ladder, bureau, "hot", **pair)
    assert [rung["rate"] for rung in ask(ladder, bureau)["ladder"]] == pytest.approx([3e-4, 1e-3, 1e-2])


def test_bad_pairs_are_named(ladder: Session, bureau: Bureau) -> None:
    for options, pointer in (
        ({"first": "prose"}, "second"),
        ({"second": "prose"}, "first"),
        ({"first": "prose", "second": "nobody"}, "second"),
        ({"first": "prose", "second": "prose"}, "second"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            ask(ladder, bureau, **options)
        assert caught.value.problems[0].pointer == pointer
    submit(ladder, bureau, recipe("queued", web=9))
    with pytest.raises(ConflictError, match="no sound run"):
        ask(ladder, bureau, first="prose", second="queued")


def test_nothing_ranked_is_not_found(session: Session, bureau: Bureau) -> None:
    assert session.query(Suite).count()
    with pytest.raises(NotFoundError):
        read_flips(session, bureau.settings)
