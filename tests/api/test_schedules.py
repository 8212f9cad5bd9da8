"""Schedules over HTTP."""

from tests.api.service import PROTOCOL, Service, pointers_of
from worker.queue import Bell

RULE = {"name": "nightly", "cron": "0 3 * * *", "protocol": "tiny", "suite": "held-out", "seeds": 2}


def test_a_rule_is_made_once_fired_and_removed(ranked: Service) -> None:
    first, again = ranked.post("/v1/schedules", RULE), ranked.post("/v1/schedules", RULE)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert ranked.post("/v1/schedules", RULE | {"seeds": 3}).status_code == 409
    assert ranked.get("/v1/schedules/nightly").json() == first.json()
    assert ranked.get("/v1/schedules").json()["items"] == [first.json()]

    slot = ranked.made("/v1/schedules/nightly:trigger", None)
    assert (slot["submitted"], len(slot["reused"])) == ([], 2)
    ranked.made("/v1/protocols", PROTOCOL | {"steps": 5})
    ranked.rung.clear()
    newer = ranked.made(f"/v1/schedules/{first.json()['id']}:trigger", None)
    assert (len(newer["submitted"]), newer["reused"]) == (2, [])
    assert set(ranked.rung) == {Bell.RUNS, Bell.JOBS}

    assert ranked.delete("/v1/schedules/nightly").status_code == 204
    assert ranked.delete("/v1/schedules/nightly").status_code == 404
    assert ranked.post("/v1/schedules/nightly:trigger").status_code == 404
    assert ranked.get(f"/v1/evaluations/{newer['submitted'][0]}").status_code == 200


def test_a_wrong_rule_is_named(ranked: Service) -> None:
    changes = {"cron": "every night", "protocol": "none", "suite": "none", "seeds": 0}
    for field, value in changes.items():
        answer = ranked.post("/v1/schedules", RULE | {field: value})
        assert (answer.status_code, pointers_of(answer)) == (422, [f"/{field}"])
