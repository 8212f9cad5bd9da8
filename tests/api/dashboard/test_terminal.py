"""The same snapshots in a terminal and as a picture."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from api.pictures import draw_agreement
from api.tables import agreement_table, leaderboard_table, paired_agreement_table
from tests.api.dashboard import samples


def printed(table: Table, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_leaderboard_shows_rank_score_interval_and_gates() -> None:
    text = printed(leaderboard_table(samples.leaderboard_body()))
    for words in ("1–3", "1.9142 ± 0.0041", "52 %", "✓ 5", "! past unigram, ! progress", "✕ diverged", "2.67 × 10⁻³"):
        assert words in text
    assert "3 of 12 recipes could be the best" in text
    assert "Warning: Seed noise differs" in text


def test_no_gate_and_no_interval_are_dashes() -> None:
    entry = samples.entry(samples.RANKED[0]) | {"gates": [], "score_low": None, "p_best": None}
    text = printed(leaderboard_table(samples.leaderboard_body() | {"entries": [entry], "warnings": []}))
    assert "±" not in text
    assert text.count("–") == 3  # P(best), gates, and the rank's own


def test_markup_in_a_name_is_only_text() -> None:
    row = ("[red]x[/]", *samples.RANKED[0][1:])
    body = samples.leaderboard_body() | {"entries": [samples.entry(row)], "warnings": ["[bold]b[/]"]}
    text = printed(leaderboard_table(body))
    assert "[red]x[/]" in text
    assert "[bold]b[/]" in text


def test_agreement_has_one_row_a_protocol_and_its_notes() -> None:
    bodies = [samples.agreement_body(), samples.agreement_body(samples.protocol_body("demo-standard", 1.0))]
    text = printed(agreement_table(bodies))
    assert "0.93 [0.74, 0.99]" in text
    assert "demo-standard@1" in text
    assert "By chance: ρ and τ 0, decision accuracy 0.50, regret@1 0.0521." in text
    assert text.count("the order of a new one of this kind") == 2


def test_two_protocols_stand_in_two_rows_with_their_difference_below() -> None:
    first, second = samples.agreement_body(), samples.agreement_body(samples.protocol_body("demo-standard", 1.0))
    body = {
        "protocol": first["protocol"],
        "against": second["protocol"],
        "reference_set": first["reference_set"],
        "first": {name: first[name] for name in first if name not in ("protocol", "reference_set")},
        "second": {name: second[name] for name in second if name not in ("protocol", "reference_set")},
        "conclusion": "No difference is resolved: [b].",
    }
    text = printed(paired_agreement_table(body))
    assert text.count("0.93 [0.74, 0.99]") == 2
    assert "demo-standard@1" in text
    assert "No difference is resolved: [b]." in text


def test_too_few_references_show_values_without_intervals() -> None:
    body = samples.agreement_body(count=3) | {"chance": {}}
    text = printed(agreement_table([body]))
    assert "not evidence" in text
    assert "[0.74" not in text
    assert "By chance" not in text


@pytest.mark.parametrize("width", [60, 100])
def test_tables_fit_the_terminal(width: int) -> None:
    for table in (leaderboard_table(samples.leaderboard_body()), agreement_table([samples.agreement_body()])):
        assert all(len(line) <= width for line in printed(table, width).splitlines())


def size_of(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_the_picture_has_one_panel_a_protocol(tmp_path: Path) -> None:
    standard = samples.agreement_body(samples.protocol_body("demo-standard", 1.0), noise=0.02)
    draw_agreement([samples.agreement_body(), standard], tmp_path / "made" / "two.png")
    draw_agreement([samples.agreement_body()], tmp_path / "one.png")
    two, one = size_of(tmp_path / "made" / "two.png"), size_of(tmp_path / "one.png")
    assert two[0] == 2 * one[0]
    assert two[1] == one[1]


@pytest.mark.parametrize(
    "change",
    [
        {"points": [], "n": 0, "is_evidence": False},
        {"points": samples.agreement_body(count=1)["points"], "direction": "higher"},
    ],
)
def test_a_picture_of_almost_nothing_is_still_a_picture(tmp_path: Path, change: dict[str, Any]) -> None:
    draw_agreement([samples.agreement_body() | change], tmp_path / "small.png")
    assert size_of(tmp_path / "small.png")[0] > 0


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no agreement"):
        draw_agreement([], tmp_path / "none.png")


def test_a_ranking_that_has_been_overtaken_says_so() -> None:
    bridge = {"version_of": "suite", "offset": 0.5, "low": 0.4, "high": 0.6, "recipes": 3, "order_kept": 2 / 3}
    body = samples.leaderboard_body()
    first = body["entries"][0]["recipe"]
    standing = {"status": "bridgeable", "reasons": ["suite demo has version 2"], "bridges": [bridge]}
    text = printed(
        leaderboard_table(body | {"standing": standing, "moved": {first["id"]: ["corpus web has revision 2"]}})
    )
    assert "suite demo has version 2." in text
    assert "0.5000 [0.4000, 0.6000] bits per byte to the new suite" in text
    assert "67 % of their pairs" in text
    assert f"{first['name']}: corpus web has revision 2" in text
