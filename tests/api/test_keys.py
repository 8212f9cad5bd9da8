"""A write needs a key; a key is shown once and can be revoked."""

import pytest
from fastapi.routing import APIRoute

from api.agreement.endpoints import router as agreement
from api.main import NOUNS
from tests.api.service import Service, problem_of

ROUTES = [
    (method, f"/v1{route.path}")
    for router in NOUNS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in route.methods
]
WRITES = sorted(pair for pair in ROUTES if pair[0] not in ("GET", "HEAD"))


def test_every_route_is_known_here(empty: Service) -> None:
    documented = {
        (method.upper(), path)
        for path, operations in empty.app.openapi()["paths"].items()
        for method in operations
        if path.startswith("/v1")
    }
    assert documented == set(ROUTES)
    assert len(WRITES) >= 14
    assert agreement in NOUNS


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_write_without_a_key_is_refused(empty: Service, method: str, path: str) -> None:
    answer = empty.http.request(method, path, json={})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer KEY" in problem_of(answer)["detail"]


@pytest.mark.parametrize("headers", [{"X-API-Key": "ft_wrong"}, {"Authorization": "Bearer "}, {"Authorization": "x"}])
def test_nor_does_a_wrong_key_open(empty: Service, headers: dict[str, str]) -> None:
    assert problem_of(empty.http.post("/v1/keys", json={"name": "ci"}, headers=headers))["status"] == 401


def test_a_key_is_made_shown_once_used_and_revoked(empty: Service) -> None:
    made = empty.made("/v1/keys", {"name": "ci"})
    plain = made.pop("key")
    assert plain.startswith("ft_")
    listed = empty.get("/v1/keys", headers={"Authorization": f"Bearer {plain}"}).json()
    assert made in listed
    assert plain not in str(listed)

    assert empty.delete(f"/v1/keys/{made['id']}").status_code == 204
    refused = empty.get("/v1/keys", headers={"Authorization": f"bearer {plain}"})
    assert refused.status_code == 401
    assert "revoked" in problem_of(refused)["detail"]
    assert empty.delete("/v1/keys/key_none").status_code == 404


def test_names_of_keys_are_for_holders_of_one(empty: Service) -> None:
    assert empty.get("/v1/keys").status_code == 401
