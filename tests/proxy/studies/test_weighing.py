"""Sets of which it is known what their differences weigh."""

import pytest

from proxy.studies.weighing import weigh_sets

# Two sets that disagree. Among the references the first decides; among the low rate's proxies the second does, because
# its differences have grown out while the first's are a tenth of theirs.
REFERENCES = {f"r{index}": {"slow": 2.0 + 0.1 * index, "quick": 2.0 - 0.02 * index} for index in range(8)}
LOW = {f"r{index}": {"slow": 4.0 + 0.01 * index, "quick": 3.0 - 0.02 * index} for index in range(8)}
STANDARD = {f"r{index}": {"slow": 3.0 + 0.08 * index, "quick": 2.5 - 0.02 * index} for index in range(8)}
SHARES = {"slow": 0.5, "quick": 0.5}


def test_a_wrong_exchange_of_sets_that_are_right_is_seen_and_mended() -> None:
    low, standard = weigh_sets({1e-2: STANDARD, 1e-3: LOW}, REFERENCES, SHARES, standard=1e-2)
    assert (low.rate, low.n, standard.rate) == (1e-3, 8, 1e-2)
    assert [low.sets[name].spearman for name in SHARES] == [1.0, 1.0]
    assert low.sets["slow"].spread_share == pytest.approx(0.1)
    assert low.sets["quick"].spread_share == pytest.approx(1.0)
    assert {name: found.spearman for name, found in low.weighings.items()} == {
        "mean": -1.0,
        "logs": -1.0,
        "standard spreads": 1.0,
        "reference spreads": 1.0,
    }
    gain = low.weighings["standard spreads"].gain
    assert (gain.estimate, gain.high) == (2.0, 2.0)
    assert gain.low == pytest.approx(1.80, abs=0.005)  # eight recipes in perfect order are no proof of one
    assert low.weighings["mean"].gain.estimate == 0.0
    assert low.weighings["mean"].regret_at_1 == pytest.approx(7 * 0.04)
    assert standard.weighings["mean"].spearman == 1.0


def test_logs_count_relative_differences() -> None:
    """Equal ratios against equal differences: the set with the larger values counts for less by its log."""
    steep = {f"r{index}": {"slow": 1.0 + 0.02 * index, "quick": 4.0 - 0.03 * index} for index in range(8)}
    (row,) = weigh_sets({1e-3: steep}, REFERENCES, SHARES, standard=None)
    assert (row.weighings["mean"].spearman, row.weighings["logs"].spearman) == (-1.0, 1.0)
    assert "standard spreads" not in row.weighings


def test_shares_weigh_the_sets() -> None:
    (row,) = weigh_sets({1e-3: LOW}, REFERENCES, {"slow": 0.9, "quick": 0.1}, standard=None)
    assert row.weighings["mean"].spearman == 1.0


def test_nothing_is_brought_to_the_spread_of_other_recipes() -> None:
    fewer = {name: STANDARD[name] for name in list(STANDARD)[:7]}
    low, standard = weigh_sets({1e-3: LOW, 1e-2: fewer}, REFERENCES, SHARES, standard=1e-2)
    assert "standard spreads" not in low.weighings
    assert (standard.n, standard.weighings["standard spreads"].spearman) == (7, 1.0)


def test_a_set_in_which_all_are_equal_decides_nothing() -> None:
    flat = {name: {**sets, "quick": 3.0} for name, sets in LOW.items()}
    (row,) = weigh_sets({1e-3: flat}, REFERENCES, SHARES, standard=1e-3)
    assert row.sets["quick"].spearman is None
    assert row.sets["quick"].spread_share == 0.0
    assert all(found.spearman == 1.0 for found in row.weighings.values())
    equal = {name: {**sets, "quick": 2.0} for name, sets in REFERENCES.items()}
    assert weigh_sets({1e-3: LOW}, equal, SHARES, standard=None)[0].sets["quick"].spread_share is None


def test_two_recipes_are_no_order() -> None:
    few = {name: LOW[name] for name in ("r0", "r1")}
    (row,) = weigh_sets({1e-3: few}, REFERENCES, SHARES, standard=1e-3)
    assert (row.n, row.sets, row.weighings) == (2, {}, {})


def test_what_has_been_learned_is_told_by_set() -> None:
    """A set that nobody knows φ of, and a recipe that lacks it, are left out."""
    learned = {name: {"slow": 0.1 * place, "quick": None} for place, name in enumerate(LOW)}
    del learned["r0"]
    (row,) = weigh_sets({1e-3: LOW}, REFERENCES, SHARES, None, {1e-3: learned})
    assert (row.sets["slow"].progress, row.sets["quick"].progress) == (pytest.approx(0.4), None)
    assert row.progress_reached == pytest.approx(0.1)  # of seven, nine in ten are all seven
    assert weigh_sets({1e-3: LOW}, REFERENCES, SHARES, None)[0].progress_reached is None
