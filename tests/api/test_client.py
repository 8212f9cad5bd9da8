"""The Python client, against a small real server that answers as it is told."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from api.client import Client, ProblemError, UnreachableError
from api.up import free_port

Answer = tuple[int, str]


class Told(BaseHTTPRequestHandler):
    """Answers in the order told; keeps what was asked."""

    answers: ClassVar[list[Answer]] = []
    asked: ClassVar[list[tuple[str, str, bytes]]] = []
    keys: ClassVar[list[str]] = []

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked.append((self.command, self.path, body))
        self.keys.append(self.headers["Authorization"])
        status, text = self.answers.pop(0)
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def told() -> type[Told]:
    Told.answers, Told.asked, Told.keys = [], [], []
    return Told


@pytest.fixture
def client(told: type[Told]) -> Iterator[Client]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), told)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made = Client(f"http://127.0.0.1:{server.server_port}", "key")
    yield made
    made.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_problem_is_told_with_fields_and_values(client: Client, told: type[Told]) -> None:
    told.answers = [
        (422, '{"title": "Invalid input", "detail": "d", "errors": [{"pointer": "/a", "detail": "no", "value": 1}]}')
    ]
    with pytest.raises(ProblemError, match=r"Invalid input \(422\): d\n  /a: no \(got 1\)") as caught:
        client.post("/v1/recipes", {"a": 1})
    assert caught.value.status == 422


@pytest.mark.parametrize(("text", "message"), [("<html>", "<html>"), ("[1]", r"\[1\]"), ("{}", r"error \(502\)")])
def test_an_error_that_is_no_problem_is_told_too(client: Client, told: type[Told], text: str, message: str) -> None:
    told.answers = [(502, text)]
    with pytest.raises(ProblemError, match=message):
        client.delete("/v1/schedules/x")


@pytest.mark.parametrize("text", ["<html>", "[]"])
def test_another_service_is_recognised(client: Client, told: type[Told], text: str) -> None:
    told.answers = [(200, text)]
    with pytest.raises(UnreachableError, match="not as Foretaste does"):
        client.get("/v1/leaderboard")


def test_nobody_and_nonsense_are_unreachable() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UnreachableError, match="does not answer"):
        client.get("/")
    client.close()
    with pytest.raises(UnreachableError, match="is no address"):
        Client("http://here:port")


def test_nan_and_dates_go_out_for_the_service_to_name(client: Client, told: type[Told]) -> None:
    import datetime

    told.answers = [(200, "{}"), (200, "{}")]
    client.post("/x", {"rate": float("nan"), "day": datetime.date(2026, 1, 2)})
    client.post("/x:trigger")
    assert [body for _, _, body in told.asked] == [b'{"rate": NaN, "day": "2026-01-02"}', b""]


def test_pages_are_followed(client: Client, told: type[Told]) -> None:
    told.answers = [(200, '{"items": [1, 2], "next_cursor": "b"}'), (200, '{"items": [3], "next_cursor": null}')]
    assert list(client.items("/v1/recipes", limit=2, state=None)) == [1, 2, 3]
    assert [path for _, path, _ in told.asked] == ["/v1/recipes?limit=2", "/v1/recipes?cursor=b&limit=2"]


def test_waiting_ends_with_the_work(client: Client, told: type[Told]) -> None:
    told.answers = [(200, f'{{"state": "{state}"}}') for state in ("queued", "running", "finished")]
    seen: list[str] = []
    assert client.wait("/v1/jobs/x", 0.001, lambda one: seen.append(one["state"])) == {"state": "finished"}
    assert seen == ["queued", "running", "finished"]
    told.answers = [(200, '{"state": "failed", "error": "no disk"}')]
    with pytest.raises(ProblemError, match="no disk"):
        client.wait("/v1/jobs/x")


def test_a_key_of_any_letters_can_be_sent(client: Client, told: type[Told]) -> None:
    told.answers = [(200, "{}")]
    other = Client(str(client._http.base_url), "schlüssel")
    assert other.get("/v1/leaderboard") == {}
    other.close()
    assert told.keys == ["Bearer schlüssel".encode().decode("latin-1")]
