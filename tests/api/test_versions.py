"""Protocols and suites over HTTP: immutable, versioned."""

import pytest

from tests.api.service import PROTOCOL, SUITE, Service, pointers_of, problem_of


@pytest.mark.parametrize(
    ("noun", "body", "change"),
    [
        ("protocols", PROTOCOL, {"steps": 5}),
        ("suites", SUITE, {"sets": [{"name": "held", "corpus": "held"}]}),
    ],
)
def test_changed_content_is_the_next_version(
    service: Service, noun: str, body: dict[str, object], change: dict[str, object]
) -> None:
    answers = [service.post(f"/v1/{noun}", one) for one in (body, body, body | change)]
    assert [answer.status_code for answer in answers] == [201, 200, 201]
    first, same, second = (answer.json() for answer in answers)
    assert first == same
    assert (first["version"], second["version"]) == (1, 2)
    assert answers[2].headers["location"] == f"/v1/{noun}/{second['id']}"
    name = body["name"]
    assert service.get(f"/v1/{noun}/{name}").json() == second
    assert service.get(f"/v1/{noun}/{name}@1").json() == first
    assert service.get(f"/v1/{noun}/{name}@3").status_code == 404
    assert service.get(f"/v1/{noun}").json()["items"] == [first, second]


@pytest.mark.parametrize(
    ("noun", "body", "pointer"),
    [
        ("protocols", PROTOCOL | {"tokenizer": "none"}, "/tokenizer"),
        ("protocols", PROTOCOL | {"standard_rate": 0}, "/standard_rate"),
        ("protocols", PROTOCOL | {"architecture": {**PROTOCOL["architecture"], "vocabulary": 301}},
         "/architecture/vocabulary"),
        ("protocols", PROTOCOL | {"tokens": 100}, "/tokens"),
        ("protocols", PROTOCOL | {"architecture": {"preset": "nano-1m", "width": 100}}, "/architecture/width"),
        ("suites", {"name": "s", "sets": [{"name": "a", "corpus": "none"}]}, "/sets/0/corpus"),
        ("suites", {"name": "s", "sets": [{"name": "a", "corpus": "held", "cluster_field": "file"}]},
         "/sets/0/cluster_field"),
        ("suites", {"name": "s", "sets": [{"name": "a", "corpus": "held", "weight": 0}]}, "/sets/0/weight"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(service: Service, noun: str, body: dict[str, object], pointer: str) -> None:
    answer = service.post(f"/v1/{noun}", body)
    assert (answer.status_code, pointers_of(answer)) == (422, [pointer])


def test_two_sets_of_one_name_are_refused(service: Service) -> None:
    answer = service.post("/v1/suites", {"name": "s", "sets": [{"name": "a", "corpus": "held"}] * 2})
    assert "set names repeat" in problem_of(answer)["detail"]


def test_a_protocol_is_stored_in_numbers(service: Service) -> None:
    said = {key: value for key, value in PROTOCOL.items() if key not in ("architecture", "steps", "batch_sequences")}
    said |= {"architecture": "nano-0.3m", "tokens_per_parameter": 2, "batch_tokens": 256}
    answer = service.post("/v1/protocols", said)
    assert answer.status_code == 201, answer.text
    spec = answer.json()["spec"]
    presets = {one["name"]: one for one in service.get("/v1/presets").json()["items"]}
    assert spec["architecture"] == presets["nano-0.3m"]["architecture"] | {"vocabulary": 300}
    parameters = presets["nano-0.3m"]["non_embedding_parameters"] + 300 * 64
    assert (spec["batch_sequences"], spec["steps"]) == (2, -(-2 * parameters // 256))
    same = {key: value for key, value in spec.items() if value is not None}
    assert service.post("/v1/protocols", same).status_code == 200
    assert service.post("/v1/protocols", said).status_code == 200
