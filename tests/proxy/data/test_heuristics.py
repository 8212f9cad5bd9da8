"""Published filters: their limits as the papers print them, and documents made to break one rule each."""

import math

import pytest

from proxy.data.heuristics import HEURISTICS, Rule, broken_rules, find_heuristic
from proxy.data.statistics import STATISTICS
from proxy.errors import InvalidInputError

SENTENCES = [
    "The old mill by the river has not turned its wheel since the winter of the great flood.",
    "Most people in the valley remember that night, and few of them like to talk about it.",
    "A bridge was swept away with three carts on it, but the horses swam to the other bank.",
    "Engineers who came from the capital proposed walls, sluices and a basin to be dug upstream.",
    "Nothing was built for ten years, because nobody could agree on who would have to pay.",
]
GOOD = "\n".join(SENTENCES)


def names(heuristic: str, text: str, **overrides: float) -> set[str]:
    return {rule.name for rule in broken_rules(find_heuristic(heuristic, overrides), text)}


PUBLISHED = {
    "gopher_quality": {
        ("words", 50, None),
        ("words", None, 100_000),
        ("mean_word_length", 3, None),
        ("mean_word_length", None, 10),
        ("symbol_to_word_ratio", None, 0.1),
        ("bullet_line_share", None, 0.9),
        ("ellipsis_line_share", None, 0.3),
        ("alphabetic_word_share", 0.8, None),
        ("stop_words", 2, None),
    },
    "gopher_repetition": {
        ("duplicate_line_share", None, 0.30),
        ("duplicate_paragraph_share", None, 0.30),
        ("duplicate_line_character_share", None, 0.20),
        ("duplicate_paragraph_character_share", None, 0.20),
        ("top_2_gram_share", None, 0.20),
        ("top_3_gram_share", None, 0.18),
        ("top_4_gram_share", None, 0.16),
        ("duplicate_5_gram_share", None, 0.15),
        ("duplicate_6_gram_share", None, 0.14),
        ("duplicate_7_gram_share", None, 0.13),
        ("duplicate_8_gram_share", None, 0.12),
        ("duplicate_9_gram_share", None, 0.11),
        ("duplicate_10_gram_share", None, 0.10),
    },
    "c4": {("c4_sentences", 3, None), ("lorem_ipsum", None, 0), ("curly_brackets", None, 0)},
    "fineweb_quality": {
        ("terminal_punctuation_line_share", 0.12, None),
        ("duplicate_line_character_share", None, 0.1),
        ("short_line_share", None, 0.67),
    },
    "fineweb_quality_datatrove": {
        ("terminal_punctuation_line_share", 0.12, None),
        ("duplicate_line_character_share", None, 0.01),
        ("short_line_share", None, 0.67),
        ("newline_ratio", None, 0.3),
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_limits_are_the_published_ones(name: str) -> None:
    rules = HEURISTICS[name].rules
    assert {(rule.statistic, rule.minimum, rule.maximum) for rule in rules} == PUBLISHED[name]
    assert len({rule.name for rule in rules}) == len(rules)


def test_every_rule_reads_a_statistic_there_is_and_has_one_limit() -> None:
    for name, heuristic in HEURISTICS.items():
        assert heuristic.name == name
        assert heuristic.source
        assert heuristic.not_carried
        for rule in heuristic.rules:
            assert rule.statistic in STATISTICS
            assert (rule.minimum is None) != (rule.maximum is None)


@pytest.mark.parametrize("name", HEURISTICS)
def test_ordinary_prose_passes_every_filter_and_an_empty_text_is_judged_too(name: str) -> None:
    assert broken_rules(HEURISTICS[name], GOOD) == []
    broken_rules(HEURISTICS[name], "")


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        (SENTENCES[0], {"fewest_words"}),
        (GOOD + "#" * 10, {"symbol_to_word_ratio"}),
        ("\n".join(f"- {line}" for line in SENTENCES), {"bullet_line_share"}),
        ("\n".join(f"{line}.." if i < 2 else line for i, line in enumerate(SENTENCES)), {"ellipsis_line_share"}),
        (GOOD + " 12" * 25, {"alphabetic_word_share"}),
        ("word other " * 30, {"stop_words"}),
        (GOOD + " " + "unimaginably" * 80, {"longest_mean_word"}),
        (GOOD + " of" * 400, {"shortest_mean_word"}),
    ],
)
def test_gopher_quality_breaks_for_the_fault_alone(text: str, broken: set[str]) -> None:
    assert names("gopher_quality", text) == broken


def test_gopher_words_are_limited_above() -> None:
    assert names("gopher_quality", GOOD, most_words=60) == {"most_words"}
    assert names("gopher_quality", GOOD) == set()


def test_marks_count_as_words_in_the_library_and_not_in_the_paper() -> None:
    dialogue = "\n".join(f"— “{line[:-1]},” - “yes!” -" for line in SENTENCES)
    assert names("gopher_quality", dialogue) == set()
    assert names("gopher_quality_datatrove", dialogue) == {"alphabetic_word_share"}


def test_gopher_repetition_sees_repeated_lines_paragraphs_and_phrases() -> None:
    assert names("gopher_repetition", GOOD) == set()
    assert {"duplicate_line_share", "duplicate_line_character_share"} <= names("gopher_repetition", GOOD + "\n" + GOOD)
    paragraphs = "\n\n".join([*SENTENCES, *SENTENCES])
    assert {"duplicate_paragraph_share", "duplicate_paragraph_character_share"} <= names(
        "gopher_repetition", paragraphs
    )
    assert {"top_2_gram_share", "top_3_gram_share"} <= names("gopher_repetition", GOOD + " buy it now" * 40)


def test_c4_drops_few_sentences_placeholders_and_brackets() -> None:
    assert names("c4", GOOD) == set()
    assert names("c4", "\n".join(SENTENCES[:2])) == {"c4_sentences"}
    assert names("c4", GOOD + "\nLorem ipsum dolor") == {"lorem_ipsum"}
    assert names("c4", GOOD + "\nif (x) {") == {"curly_brackets"}


def test_fineweb_drops_lists_menus_and_repeated_lines() -> None:
    assert names("fineweb_quality", GOOD.replace(".", "")) == {"terminal_punctuation_line_share"}
    menu = "\n".join(["Home.", "About.", "Contact.", "Shop."])
    assert names("fineweb_quality", menu) == {"short_line_share"}
    assert names("fineweb_quality", GOOD + "\n" + SENTENCES[0]) == {"duplicate_line_character_share"}
    assert names("fineweb_quality_datatrove", menu) == {"short_line_share", "newline_ratio"}


@pytest.mark.parametrize(("is_strict", "passes"), [(False, True), (True, False)])
def test_a_limit_itself_passes_unless_the_rule_is_strict(is_strict: bool, passes: bool) -> None:
    below = Rule(name="x", statistic="words", maximum=0.5, is_strict=is_strict, meaning="")
    above = Rule(name="x", statistic="words", minimum=0.5, is_strict=is_strict, meaning="")
    assert (below.passes(0.5), above.passes(0.5)) == (passes, passes)
    assert (below.passes(0.6), above.passes(0.4)) == (False, False)
    assert (below.passes(0.4), above.passes(0.6)) == (True, True)


def test_fineweb_drops_what_is_exactly_at_its_limit_as_the_paper_says() -> None:
    rules = {rule.name: rule for rule in HEURISTICS["fineweb_quality"].rules}
    assert not rules["terminal_punctuation_line_share"].passes(0.12)
    kept = {rule.name: rule for rule in HEURISTICS["fineweb_quality_datatrove"].rules}
    assert kept["terminal_punctuation_line_share"].passes(0.12)


def test_an_override_changes_its_limit_and_no_other() -> None:
    changed = find_heuristic("gopher_quality", {"fewest_words": 3})
    before = HEURISTICS["gopher_quality"]
    assert changed.rules[0].minimum == 3
    assert changed.rules[1:] == before.rules[1:]
    assert before.rules[0].minimum == 50
    assert names("gopher_quality", SENTENCES[0], fewest_words=3) == set()


def test_an_unknown_filter_or_rule_is_refused_with_the_known_names() -> None:
    with pytest.raises(
        InvalidInputError, match=r"/filters/2/heuristic: is no published filter.*gopher_quality.*'gofer'"
    ):
        find_heuristic("gofer", pointer="/filters/2")
    with pytest.raises(InvalidInputError, match=r"/limits/words: is no rule of c4.*c4_sentences.*'words'"):
        find_heuristic("c4", {"words": 3})


@pytest.mark.parametrize("limit", [math.nan, -math.inf, 10**400, True])
def test_an_override_that_is_no_finite_number_is_refused(limit: float) -> None:
    with pytest.raises(InvalidInputError, match="/limits/c4_sentences: must be a finite number"):
        find_heuristic("c4", {"c4_sentences": limit})
