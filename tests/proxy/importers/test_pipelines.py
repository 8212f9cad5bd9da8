"""Processing steps of DCLM, Dolma, Data-Juicer and datatrove: the same documents stay, or the report says otherwise."""

import json
import math
from typing import Any

import pytest

from proxy.data.heuristics import find_heuristic
from proxy.data.statistics import find_statistic
from proxy.errors import InvalidInputError
from proxy.importers import ImportReport, import_recipe
from proxy.importers.data_juicer_operators import BOUNDS as JUICER_BOUNDS
from proxy.importers.datatrove import HEURISTIC_STEPS
from proxy.importers.dclm_processing import BOUNDS as DCLM_BOUNDS
from proxy.importers.dolma import ATTRIBUTES
from tests.proxy.importers.examples import DATA_JUICER, DATATROVE, DCLM_PROCESSING, DOLMA


def source_of(report: ImportReport, index: int = 0) -> dict[str, Any]:
    return dict(report.specifications()[0]["sources"][index])


def kinds_of(report: ImportReport) -> dict[str, str]:
    return {loss.pointer: loss.kind.value for loss in report.not_carried}


def test_dclm_steps_become_filters_in_their_order() -> None:
    report = import_recipe(DCLM_PROCESSING)
    crawl = source_of(report)
    assert crawl["filters"] == [
        {"kind": "statistic", "statistic": "words", "minimum": 40.0},
        {"kind": "statistic", "statistic": "alphabetic_word_share", "minimum": 0.75},
        {
            "kind": "heuristic",
            "heuristic": "gopher_repetition",
            "limits": {"duplicate_paragraph_share": 1e15, "duplicate_paragraph_character_share": 1e15},
        },
        {"kind": "field", "field": "score", "minimum": 0.02},
    ]
    assert crawl["subset"] == 0.5
    assert source_of(report, 1) == {"corpus": "forum", "dedup": "exact"}
    assert report.specifications()[0]["size_exponent"] == 1.0


def test_dclm_losses_say_why() -> None:
    report = import_recipe(DCLM_PROCESSING)
    assert kinds_of(report) == {
        "/0/steps/0": "list",
        "/0/steps/1/ignore_punctuation": "meaning",
        "/0/steps/2": "edit",
        "/0/steps/7": "unknown",
    }
    edited = [one.pointer for one in report.approximate if "newline_removal_modifier had edited" in one.reason]
    assert edited == ["/0/steps/3", "/0/steps/4", "/0/steps/5"]


def dclm(**step: Any) -> dict[str, Any]:
    return source_of(import_recipe(json.dumps([{"source": "s", "steps": [step]}])))


@pytest.mark.parametrize(
    ("step", "filters"),
    [
        ({"func": "repetition_filter", "granularity": 3, "max_fraction": 0.1}, [("top_3_gram_share", None, 0.1)]),
        ({"func": "repetition_filter", "granularity": 7, "max_fraction": 0.1}, [("duplicate_7_gram_share", None, 0.1)]),
        (
            {"func": "repetition_filter", "granularity": "line", "max_fraction": 0.1, "count_characters": False},
            [("duplicate_line_share", None, 0.1)],
        ),
        ({"func": "repetition_filter", "granularity": 12, "max_fraction": 0.1}, []),
        ({"func": "repetition_filter", "granularity": "line", "max_fraction": 0.1, "ignore_case": True}, []),
        ({"func": "substring_filter", "banlist": ["lorem ipsum"]}, [("lorem_ipsum", None, 0.0)]),
        ({"func": "substring_filter", "banlist": "{"}, [("curly_brackets", None, 0.0)]),
        ({"func": "substring_filter", "banlist": ["{", "cookie"]}, []),
        ({"func": "substring_filter", "banlist": ["lorem ipsum"], "location": "prefix"}, []),
        ({"func": "page_length_filter", "length_type": "sentence"}, [("sentences", 1.0, None)]),
        ({"func": "page_length_filter", "length_type": "page"}, []),
        ({"func": "line_length_filter", "length_type": "avg", "max_length": 90}, [("mean_line_length", None, 90.0)]),
        ({"func": "stop_word_filter", "count_unique": True}, [("stop_words", 2.0, None)]),
        ({"func": "word_length_filter", "min_length": 3, "max_length": 10}, [("mean_word_length", 3.0, 10.0)]),
        ({"func": "word_length_filter"}, []),
        ({"func": "exact_dedup", "content_key": "url"}, []),
    ],
)
def test_a_dclm_step(step: dict[str, Any], filters: list[tuple[str, float | None, float | None]]) -> None:
    found = dclm(**step).get("filters", [])
    assert [(one["statistic"], one.get("minimum"), one.get("maximum")) for one in found] == filters


def test_a_step_that_moves_a_field_edits_no_text() -> None:
    steps = [{"func": "move_url_modifier"}, {"func": "word_length_filter", "max_length": 9}]
    report = import_recipe(json.dumps([{"source": "s", "steps": steps}]))
    assert (report.approximate, kinds_of(report)) == ((), {"/0/steps/0": "bookkeeping"})


def test_dedup_of_lines_is_no_dedup_of_documents() -> None:
    steps = [{"func": "split_lines_modifier"}, {"func": "join_lines_modifier"}, {"func": "exact_dedup"}]
    assert "dedup" not in source_of(import_recipe(json.dumps([{"source": "s", "steps": steps}])))


def test_dolma_thresholds_become_closed_ranges() -> None:
    report = import_recipe(DOLMA)
    web = source_of(report)
    assert web["filters"] == [
        {"kind": "statistic", "statistic": "words", "minimum": 50.0},
        {"kind": "statistic", "statistic": "duplicate_line_share", "maximum": math.nextafter(0.3, 0)},
        {"kind": "length", "minimum": 20},
    ]
    assert web["subset"] == 0.25
    assert source_of(report, 1) == {"corpus": "books"}
    losses = kinds_of(report)
    assert (losses["/streams/0/filter/exclude/2"], losses["/streams/0/filter/exclude/3"]) == ("meaning", "list")
    assert losses["/streams/0/span_replacement"] == "edit"


@pytest.mark.parametrize(
    "change",
    [
        {"syntax": "jq"},
        {"include": ["$.attributes[?(@.a__word_count[0][2] > 3)]"] * 2},
        {"include": ["$.attributes[?(@.a__word_count && @.other[0] && @.a__word_count[0][2] > 3)]"]},
        {"include": ["$.attributes[?(@.a__word_count[0][2] > 3 || @.b[0][2] < 1)]"]},
        {"include": ["$.attributes[?(@.my_word_count[0][2] > 3)]"]},
    ],
)
def test_an_expression_that_says_more_is_lost_whole(change: dict[str, Any]) -> None:
    simple = ["$.attributes[?(@.a__word_count[0][2] > 3)]"]
    stream = {"name": "s", "filter": {"include": simple, **change}}
    report = import_recipe(json.dumps({"streams": [stream]}))
    assert "filters" not in source_of(report)
    assert len([loss for loss in report.not_carried if "/include/" in loss.pointer]) == len(stream["filter"]["include"])


@pytest.mark.parametrize(("kind", "sign"), [("include", ">"), ("exclude", "<="), ("include", "<"), ("exclude", ">=")])
def test_a_dolma_condition_keeps_what_it_says(kind: str, sign: str) -> None:
    text = f"$.attributes[?(@.t__word_count[0][2] {sign} 7)]"
    report = import_recipe(json.dumps({"streams": [{"name": "s", "filter": {kind: [text]}}]}))
    made = source_of(report)["filters"][0]
    compare = {">": lambda n: n > 7, "<=": lambda n: n <= 7, "<": lambda n: n < 7, ">=": lambda n: n >= 7}[sign]
    for words in (6, 7, 8):
        stays = made.get("minimum", -math.inf) <= words <= made.get("maximum", math.inf)
        assert stays == (compare(words) == (kind == "include"))


def test_two_streams_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="is the name of two streams"):
        import_recipe(DOLMA.replace("name: books", "name: web"))


def test_data_juicer_operators_become_filters_with_their_defaults() -> None:
    report = import_recipe(DATA_JUICER)
    source = source_of(report)
    assert source["corpus"] == "crawl-small"
    assert source["filters"] == [
        {"kind": "statistic", "statistic": "characters", "minimum": 10.0, "maximum": 5000.0},
        {"kind": "statistic", "statistic": "words", "minimum": 20.0},
        {"kind": "statistic", "statistic": "duplicate_5_gram_share", "minimum": 0.0, "maximum": 0.2},
        {"kind": "quantile", "field": "score", "low": 0.8, "high": 1.0},
        {"kind": "statistic", "statistic": "mean_line_length", "minimum": 5.0},
    ]
    assert source["dedup"] == {"kind": "near", "shingle_words": 5, "bands": 9, "rows": 13, "similarity": 0.7}
    losses = kinds_of(report)
    assert losses["/process/0"] == "edit"
    assert losses["/process/4/language_id_score_filter"] == "model"
    assert losses["/process/5/special_characters_filter"] == "meaning"
    assert any("some filters came behind it" in one.reason for one in report.approximate)


def juicer(name: str, **arguments: Any) -> ImportReport:
    return import_recipe(json.dumps({"process": [{name: arguments}]}))


def test_words_of_a_tokenizer_are_not_our_words() -> None:
    report = juicer("words_num_filter", tokenization=True, min_num=5)
    assert "filters" not in source_of(report)
    assert [loss.pointer for loss in report.not_carried] == ["/process/0/words_num_filter"]


@pytest.mark.parametrize(
    ("name", "arguments", "pointer"),
    [
        ("text_length_filter", {"min_len": 10, "max_len": 5}, "/process/0/text_length_filter"),
        ("text_length_filter", {"min_len": "few"}, "/process/0/text_length_filter/min_len"),
        ("random_selector", {"select_ratio": 2}, "/process/0/random_selector"),
        (
            "topk_specified_field_selector",
            {"field_key": "x", "top_ratio": -1},
            "/process/0/topk_specified_field_selector",
        ),
        ("document_minhash_deduplicator", {"num_bands": 0}, "/process/0/document_minhash_deduplicator/num_bands"),
        ("document_minhash_deduplicator", {"num_bands": 999}, "/process/0/document_minhash_deduplicator"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(name: str, arguments: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        juicer(name, **arguments)
    assert caught.value.problems[0].pointer == pointer


def test_datatrove_filters_become_heuristics_with_their_limits() -> None:
    report = import_recipe(DATATROVE)
    source = source_of(report)
    quality, repetition, c4, fineweb = source["filters"]
    assert quality["limits"] == {"fewest_words": 30.0, "stop_words": 0.0}
    assert repetition["limits"] == {
        "duplicate_line_share": 0.25,
        "top_2_gram_share": 0.2,
        "top_3_gram_share": 1e15,
        "top_4_gram_share": 1e15,
    }
    assert c4["limits"] == {"c4_sentences": 5.0, "curly_brackets": 1e15}
    assert fineweb == {"kind": "heuristic", "heuristic": "fineweb_quality_datatrove"}
    assert (source["corpus"], source["subset"]) == ("crawl", 0.5)
    assert source["dedup"] == {"kind": "near", "shingle_words": 5, "bands": 14, "rows": 8, "similarity": 0.066667}
    losses = kinds_of(report)
    assert losses["/pipeline/0"] == "location"
    assert losses["/pipeline/5"] == "model"
    assert losses["/pipeline/2/arguments/top_n_grams/1"] == "meaning"
    assert losses["/pipeline/3/arguments/filter_no_terminal_punct"] == "meaning"
    assert any("C4QualityFilter had edited" in one.reason for one in report.approximate)


def test_a_datatrove_list_may_stand_alone() -> None:
    report = import_recipe("- name: GopherQualityFilter")
    assert report.corpora == ("documents",)
    assert import_recipe("- name: GopherQualityFilter", corpora={"documents": "web"}).corpora == ("web",)


def test_every_table_names_statistics_and_rules_that_there_are() -> None:
    named = [bounds.statistic for table in (DCLM_BOUNDS, JUICER_BOUNDS) for bounds in table.values()]
    for name in (*named, *(statistic for statistic, _ in ATTRIBUTES.values())):
        find_statistic(name)
    for step in HEURISTIC_STEPS.values():
        find_heuristic(step.heuristic, dict(step.rules.values()))
