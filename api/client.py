"""The Python client of our own HTTP interface; the CLI and the demo use nothing else.

Every problem+json answer becomes a `ProblemError` whose text names the fields and their values.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import httpx

from proxy.errors import ForetasteError

Resource = dict[str, Any]


class ProblemError(ForetasteError):
    """The service refused a request and said why."""

    title = "Refused by the service"

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        self.problem, self.status = dict(problem), status
        super().__init__(_describe(problem, status))


class UnreachableError(ForetasteError):
    """No service answers at the address."""

    title = "Service unreachable"


def _describe(problem: Mapping[str, Any], status: int) -> str:
    lines = [f"{problem.get('title', 'error')} ({status}): {problem.get('detail', '')}".rstrip(": ")]
    lines += [
        f"  {error.get('pointer') or '/'}: {error.get('detail', '')} (got {error.get('value')!r})"
        for error in problem.get("errors") or ()
    ]
    return "\n".join(lines)


class Client:
    """Talks to one service. `key` is needed for writes only."""

    def __init__(self, url: str, key: str | None = None, timeout_seconds: float = 30.0) -> None:
        headers = {b"Authorization": b"Bearer " + key.encode()} if key else {}
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_seconds)
        except httpx.InvalidURL as error:
            raise UnreachableError(f"{url!r} is no address: {error}") from error

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request; raises ProblemError for every answer of 400 and above."""
        try:
            response = self._http.request(method, path, **options)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(f"{self._http.base_url} does not answer: {error}") from error
        if response.is_error:
            raise ProblemError(_problem_of(response), response.status_code)
        return response

    def download(self, path: str, out: BinaryIO) -> None:
        """Writes the answer into an open file as it comes; errors as for `request`."""
        try:
            with self._http.stream("GET", path) as response:
                if response.is_error:
                    response.read()
                    raise ProblemError(_problem_of(response), response.status_code)
                for chunk in response.iter_bytes():
                    out.write(chunk)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(f"{self._http.base_url} does not answer: {error}") from error

    def get(self, path: str, **query: Any) -> Resource:
        """One resource as JSON; query values of None are left out."""
        params = {name: value for name, value in query.items() if value is not None}
        return _resource(self.request("GET", path, params=params))

    def post(self, path: str, body: object | None = None) -> Resource:
        """Creates or finds; the answer is the resource."""
        if body is None:
            return _resource(self.request("POST", path))
        # NaN and YAML's dates go out as they are: the service names the field that does not take them
        content = json.dumps(body, default=str).encode()
        return _resource(self.request("POST", path, content=content, headers={"Content-Type": "application/json"}))

    def delete(self, path: str) -> None:
        """Deletes or cancels."""
        self.request("DELETE", path)

    def items(self, path: str, **query: Any) -> Iterator[Resource]:
        """All pages of a list, one resource after the other."""
        cursor: str | None = None
        while True:
            page = self.get(path, cursor=cursor, **query)
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def wait(self, path: str, poll_seconds: float = 0.5, seen: Callable[[Resource], None] | None = None) -> Resource:
        """Polls a resource with a `state` until it is final; raises ProblemError if it failed."""
        while True:
            resource = self.get(path)
            if seen:
                seen(resource)
            if resource["state"] == "failed":
                detail = f"{path} failed: {resource.get('error')}"
                raise ProblemError({"title": "Work failed", "detail": detail}, 409)
            if resource["state"] not in ("queued", "running"):
                return resource
            time.sleep(poll_seconds)


def _resource(response: httpx.Response) -> Resource:
    try:
        resource = response.json()
    except ValueError:
        resource = None
    if not isinstance(resource, dict):
        raise UnreachableError(f"{response.url} answers, but not as Foretaste does: {response.text[:80]!r}")
    return resource


def _problem_of(response: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        return {"title": response.reason_phrase, "detail": response.text[:500]}
    return problem if isinstance(problem, dict) else {"detail": str(problem)}
