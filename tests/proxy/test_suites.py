"""Suites: fingerprints that survive new options."""

from typing import Any

from proxy.suites import Suite, fingerprint_suite

PARTS: list[dict[str, Any]] = [
    {"name": "b", "corpus": "c2", "weight": 3},
    {"name": "a", "corpus": "c1", "weight": 1, "cluster_field": "page"},
]


def fingerprint_of(*parts: dict[str, Any]) -> str:
    return fingerprint_suite(Suite.model_validate({"name": "any", "sets": parts}), {"c1": "c1", "c2": "c2"})


def test_suites_without_prompts_keep_the_fingerprint_they_had_before() -> None:
    assert fingerprint_of(*PARTS) == "b747b5b11b1fbe7571817917a99f48e4"


def test_the_prompt_field_is_content() -> None:
    asked = [fingerprint_of(PARTS[0], PARTS[1] | more) for more in ({}, {"prompt_field": "q"}, {"prompt_field": "r"})]
    assert len(set(asked)) == 3


def test_where_a_set_was_held_out_is_content() -> None:
    asked = [fingerprint_of(PARTS[0], PARTS[1] | more) for more in ({}, {"held_out_from": "w"}, {"held_out_from": "v"})]
    assert len(set(asked)) == 3
