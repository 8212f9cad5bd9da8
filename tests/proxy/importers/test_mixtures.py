"""RegMix, DCLM data sets, Olmix and regmixer: shares as those tools mean them."""

import json
import math

import pytest

from proxy.errors import InvalidInputError
from proxy.importers import import_recipe
from tests.proxy.importers.examples import DCLM_DATASET, OLMIX, REGMIX, REGMIXER


def test_regmix_weights_stay_as_written() -> None:
    report = import_recipe(REGMIX, name="r")
    assert report.specifications() == [
        {
            "name": "r",
            "sources": [
                {"corpus": "train_web", "weight": 0.7},
                {"corpus": "train_books", "weight": 0.3},
                {"corpus": "train_code", "weight": 0.0},
            ],
        }
    ]
    assert {loss.pointer: loss.kind.value for loss in report.not_carried} == {
        "/valid": "evaluation",
        "/model_name": "training",
    }
    assert report.approximate == ()


def test_a_dclm_data_set_has_shares_by_size_with_its_frequencies() -> None:
    report = import_recipe(DCLM_DATASET)
    spec = report.specifications()[0]
    assert (spec["name"], spec["size_exponent"]) == ("mix-of-two", 1.0)
    assert spec["sources"] == [
        {"corpus": "web_clean", "subset": 0.5},
        {"corpus": "books_all", "weight": 3.0, "max_epochs": 3.0},  # twice in the list, 1.5 times each
        {"corpus": "wiki"},
    ]
    assert any("no marker" in one.reason and one.value == "wiki" for one in report.approximate)
    assert "/num_tokens" in {loss.pointer for loss in report.not_carried}


def test_a_dclm_data_set_of_one_source_is_that_corpus() -> None:
    one = {"uuid": "u", "name": "made of web", "sources": [{"uuid": "w", "name": "web"}]}
    assert import_recipe(json.dumps(one)).specifications() == [
        {"name": "made-of-web", "sources": [{"corpus": "web", "weight": 1.0}]}
    ]
    raw = {"uuid": "u", "name": "raw", "sources": "s3://bucket/paths.gz"}
    report = import_recipe(json.dumps(raw))
    assert report.corpora == ("raw",)
    assert {loss.pointer: loss.kind.value for loss in report.not_carried}["/sources"] == "location"


def test_a_frequency_that_is_none_is_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        import_recipe(DCLM_DATASET.replace('"WEB": 0.5', '"WEB": -0.5'))
    assert caught.value.problems[0].pointer == "/sampling_yaml/sampling_frequencies/WEB"


def test_an_olmix_mix_keeps_levels_weights_and_epochs() -> None:
    report = import_recipe(OLMIX)
    spec = report.specifications()[0]
    assert spec["sources"] == [
        {
            "name": "web",
            "weight": 0.8,
            "sources": [
                {
                    "name": "science",
                    "weight": 0.6,
                    "sources": [
                        {"corpus": "web-science-high", "weight": 1.0, "max_epochs": 4.0},
                        {"corpus": "web-science-low", "weight": 0.0, "max_epochs": 2.0},
                    ],
                },
                {"corpus": "web-sports", "weight": 0.4, "max_epochs": 2.0},
            ],
        },
        {"corpus": "wiki", "weight": 0.2},
    ]
    shares = report.recipes[0].shares()
    assert [round(share, 6) for share in shares] == [0.48, 0.0, 0.32, 0.2]
    assert "/data/sources/2/paths" in {loss.pointer for loss in report.not_carried}
    assert any("no weight in the mix" in loss.reason and loss.value == "unused" for loss in report.not_carried)


def test_corpora_of_topics_are_mapped_by_their_path() -> None:
    report = import_recipe(OLMIX, corpora={"web:science:high": "best-science"})
    assert report.corpora[0] == "best-science"


def test_a_swarm_is_its_centre() -> None:
    report = import_recipe(REGMIXER)
    spec = report.specifications()[0]
    assert spec["size_exponent"] == 0.5
    web, code = spec["sources"]
    assert (code, "weight" in web, "size_exponent" in web) == ({"corpus": "code"}, False, False)
    assert [topic["weight"] for topic in web["sources"]] == [0.25, 0.75]
    assert any("swarm" in one.reason for one in report.approximate)
    assert {loss.pointer for loss in report.not_carried} >= {"/variants", "/max_tokens", "/allow_repetition"}


def test_a_prior_by_hand_gives_the_weights() -> None:
    text = REGMIXER + "manual_prior: {web: 0.9, code: 0.1, gone: 0.5}"
    report = import_recipe(text)
    assert [source["weight"] for source in report.specifications()[0]["sources"]] == [0.9, 0.1]
    assert any(loss.pointer == "/manual_prior/gone" for loss in report.not_carried)
    assert any("without the temperature" in one.reason for one in report.approximate)


def test_a_flat_list_of_domains_is_a_mixture() -> None:
    report = import_recipe("sources: [{domain: 'web:news', weight: 0.25}, {domain: code, weight: 0.75}]")
    assert report.corpora == ("web-news", "code")
    assert math.isclose(sum(report.recipes[0].shares()), 1)


@pytest.mark.parametrize(
    ("old", "new", "pointer"),
    [
        ("weight: 0.8", "weight: -0.8", "/mix/web/weight"),
        ("weight: 0.8", "weight: .nan", "/mix/web/weight"),
        ("wiki: 0.2", "wiki: lots", "/mix/wiki"),
        ("repetition_factor: 2.0", "repetition_factor: 5000", "/mix/web/repetition_factor"),
        ("high: {weight: 1,", "high: {weight: 0,", "/mix/web/science"),
        ("name: unused", "name: 3", "/data/sources/2/name"),
    ],
)
def test_an_olmix_field_that_is_wrong_is_named(old: str, new: str, pointer: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        import_recipe(OLMIX.replace(old, new))
    assert caught.value.problems[0].pointer == pointer
