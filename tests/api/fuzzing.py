"""Recipes as nobody should send them: valid ones, changed at random places, as JSON, YAML, or bytes that are neither.

`send` tells what is wrong with an answer: a status of 500 or more, something else than problem+json, or a pointer that
names nothing of what was sent.
"""

import copy
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings

from proxy.data.columns import ensure_columns
from proxy.data.needs import statistic_column
from proxy.data.statistics import STATISTICS
from tests.api.service import PROTOCOL, Service
from tests.proxy.data.layouts import FIELDS, corpora
from tests.proxy.data.material import write
from tests.proxy.recipes.random_recipes import Body, recipes
from worker.artifacts import documents_folder
from worker.corpora import find_corpus, location_of

ENDPOINTS = ("/v1/recipes", "/v1/recipes:validate", "/v1/recipes:validate?protocol=tiny&suite=held-out")
REFUSALS = (400, 409, 413, 415, 422)
DEEP = 2000
LONG = 20_000


def _nested(depth: int, is_list: bool) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if is_list else {"sources": [value]}
    return value


JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    0.5,
    -0.0,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    2**63,
    -(2**64),
    10**400,
    "",
    " ",
    "1",
    "0.5",
    "NaN",
    "none",
    "near",
    "a",
    "a@1",
    "a@-1",
    "a@99999999999999999999",
    "a@²",
    "../../etc/passwd",
    "x" * LONG,
    "\x00",
    "\ud800",
    "ﷺ‮\u0301",
    "🐺" * 50,
    "'; DROP TABLE corpora; --",
    "[",
    "[!",
    "2024-13-45",
    [],
    {},
    [[]],
    [{}],
    [None],
    {"": ""},
    {"kind": "near"},
    {"kind": None},
    {"kind": "field", "field": "quality"},
    {"corpus": "a", "weight": 1},
    {"name": "g", "weight": 1, "sources": []},
    {"field": "quality", "statistic": "words"},
    list(range(500)),
    {str(number): number for number in range(200)},
    _nested(30, is_list=True),
    _nested(30, is_list=False),
)
KEYS = (
    "",
    "/",
    "~",
    "a/b~c",
    "0",
    "weight",
    "kind",
    "sources",
    "phases",
    "filters",
    "limits",
    "\ud800",
    "\x00",
    "ключ",
    "k" * 300,
)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request. `content` is what the body says, where it says anything."""

    path: str
    body: bytes
    media: str
    content: Any
    is_parsable: bool


def prepare(service: Service, folder: Path) -> None:
    """Corpora `a` (its statistics known), `b` and `c` (to be estimated), a tokenizer, a protocol and a suite."""
    for name, part in corpora().items():
        path = write(folder, f"{name}.jsonl", part)
        service.made("/v1/corpora", {"name": name, "uri": str(path), "fields": list(FIELDS)})
    held = write(folder, "held.jsonl", [{"text": f"held out {number}", "page": number} for number in range(5)])
    service.made("/v1/corpora", {"name": "held", "uri": str(held), "fields": ["page"]})
    service.work()
    train = {"vocabulary": 300, "corpora": ["a", "b"], "sample_bytes": 20_000}
    service.made("/v1/tokenizers", {"name": "bpe", "train": train})
    service.work()
    service.made("/v1/protocols", PROTOCOL)
    service.made("/v1/suites", {"name": "held-out", "sets": [{"name": "held", "corpus": "held"}]})
    with service.sessions() as session:
        corpus = find_corpus(session, "a")
        location = location_of(service.settings, corpus)
        wanted = [statistic_column(name) for name in STATISTICS]
        ensure_columns(location, str(corpus.fingerprint), documents_folder(service.settings), wanted)


def valid_bodies(count: int) -> list[Body]:
    """The same ones each time."""
    found: list[Body] = []

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(recipes())
    def collect(body: Body) -> None:
        found.append(body)

    collect()
    return found


def requests(count: int, seed: int, bodies: int) -> Iterator[Sent]:
    """So many requests; one in eight says a valid recipe."""
    rng = random.Random(seed)
    valid = valid_bodies(bodies)
    for _ in range(count):
        content: Any = json.loads(json.dumps(rng.choice(valid)))
        for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 2, 4))):
            content = changed(content, rng)
        yield _sent(content, rng)


def _sent(content: Any, rng: random.Random) -> Sent:
    path = rng.choice(ENDPOINTS)
    how = rng.random()
    if how < 0.1:
        try:
            body = yaml.safe_dump(content, allow_unicode=True).encode()
        except (UnicodeEncodeError, RecursionError):
            body = b"name: [unclosed"
        return Sent(path=path, body=body, media="application/yaml", content=content, is_parsable=False)
    body = json.dumps(content).encode()
    if how < 0.15:
        return Sent(path=path, body=_damaged(body, rng), media="application/json", content=None, is_parsable=False)
    if how < 0.16:
        deep = b'{"name": "r", "sources": ' + b"[" * DEEP + b"]" * DEEP + b"}"
        return Sent(path=path, body=deep, media="application/json", content=None, is_parsable=False)
    return Sent(path=path, body=body, media="application/json", content=content, is_parsable=True)


def _damaged(body: bytes, rng: random.Random) -> bytes:
    """Cut, or with bytes that are not what they were."""
    if rng.random() < 0.5:
        return body[: rng.randrange(len(body))]
    found = bytearray(body)
    for _ in range(rng.randint(1, 5)):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def changed(content: Any, rng: random.Random) -> Any:
    """One change somewhere: another value, type or key, something missing, something too much."""
    places = list(_places(content))
    if not places:
        return _junk(rng)
    holder, key = rng.choice(places)
    how = rng.randrange(8)
    if how < 3:
        holder[key] = _junk(rng)
    elif how == 3:
        del holder[key]
    elif how == 4 and isinstance(holder, dict):
        holder[rng.choice(KEYS)] = _junk(rng)
    elif how == 5:
        other, place = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[place]))
    elif how == 6:
        holder[key] = rng.choice(([holder[key]], {"x": holder[key]}, str(holder[key]), [holder[key]] * 3))
    elif isinstance(holder[key], int | float) and abs(holder[key]) < 1e300:
        holder[key] = rng.choice((-1, 1e15, 1e-15, 10**25)) * holder[key]
    else:
        return _junk(rng) if rng.random() < 0.1 else content
    return content


def _junk(rng: random.Random) -> Any:
    """A copy, which may be changed in turn."""
    return copy.deepcopy(rng.choice(JUNK))


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(content, dict):
        for key in list(content):
            yield content, key
            yield from _places(content[key])
    elif isinstance(content, list):
        for index, inner in enumerate(content):
            yield content, index
            yield from _places(inner)


def send(service: Service, sent: Sent) -> tuple[int, str | None]:
    """The answer's status, and what is wrong with it."""
    answer = service.post(sent.path, content=sent.body, headers={"Content-Type": sent.media})
    if answer.is_success:
        return answer.status_code, None
    if answer.status_code not in REFUSALS:
        return answer.status_code, f"status {answer.status_code}: {answer.text[:500]}"
    if answer.headers["content-type"] != "application/problem+json":
        return answer.status_code, f"{answer.headers['content-type']}: {answer.text[:500]}"
    problem = answer.json()
    if "Traceback" in answer.text:
        return answer.status_code, f"a traceback: {answer.text[:500]}"
    if sent.is_parsable:
        return answer.status_code, _wrong_pointer(problem, sent.content)
    return answer.status_code, None


def _wrong_pointer(problem: Body, content: Any) -> str | None:
    if not problem["errors"]:
        return f"names no field: {problem['detail'][:500]}"
    wrong = [error["pointer"] for error in problem["errors"] if not points_into(error["pointer"], content)]
    return f"points at nothing: {wrong[:3]} ({problem['detail'][:500]})" if wrong else None


def points_into(pointer: str, content: Any) -> bool:
    """Whether it names a part of what was sent, or something that one part lacks."""
    if pointer == "":
        return True
    *parents, _ = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in parents:
        escaped = (
            {key.encode("utf-8", "backslashreplace").decode(): key for key in content}
            if isinstance(content, dict)
            else {}
        )
        if isinstance(content, list) and part.isdigit() and int(part) < len(content):
            content = content[int(part)]
        elif part in escaped:
            content = content[escaped[part]]
        else:
            return False
    return pointer.startswith("/")
