"""Empty states: the command they show is one that works."""

import json
import shlex
from typing import Any

import typer
import yaml
from sqlalchemy.orm import Session

from api.cli import app
from api.dashboard.next_steps import NextStep, next_step, reference_step
from api.dashboard.queries import Inventory, Work
from api.references.schemas import ReferenceIn
from api.tokenizers.schemas import TokenizerIn
from proxy.protocols import Protocol
from proxy.recipes import Recipe
from proxy.suites import Suite
from tests.api.dashboard import samples
from tests.api.dashboard.conftest import Seed
from worker.store.models import Job

URL = "http://127.0.0.1:8321"
IDLE = Work(running=(), jobs=(), failures=(), running_runs=0, queued_runs=0, is_unattended=False)


def have(
    corpora: tuple[str, ...] = (),
    tokenizers: tuple[tuple[str, int], ...] = (),
    suite: bool = False,
    protocol: bool = False,
) -> Inventory:
    return Inventory(corpora=corpora, tokenizers=tokenizers, has_suite=suite, has_protocol=protocol)


def step_for(inventory: Inventory, work: Work = IDLE, protocol: str = "", suite: str = "") -> NextStep:
    return next_step(inventory, work, URL, protocol, suite)


def sent(command: str) -> tuple[str, Any]:
    """Address and body of a curl command, as a shell reads it."""
    words = shlex.split(command)
    assert words[0] == "curl"
    return words[1], json.loads(words[words.index("-d") + 1])


def parse_cli(command: str) -> dict[str, Any]:
    """The parameters that our own command line reads; fails like the shell would."""
    program, *words = shlex.split(command)
    assert program == "foretaste"
    current: Any = typer.main.get_command(app)
    context = None
    while hasattr(current, "commands"):
        name = words.pop(0)
        current = current.commands[name]
    context = current.make_context("foretaste", words)
    return dict(context.params)


def test_without_a_corpus_one_is_registered() -> None:
    for command in step_for(have()).commands:
        parsed = parse_cli(command)
        assert parsed["url"] == URL
        assert parsed["uri"].startswith("/")


def test_the_tokenizer_learns_from_the_corpora_that_are_there() -> None:
    url, body = sent(step_for(have(("web-held-out", "web", "code"))).commands[0])
    assert url == f"{URL}/v1/tokenizers"
    TokenizerIn.model_validate(body)
    assert body["train"]["corpora"] == ["web", "code"]


def test_the_suite_takes_held_out_corpora_or_the_only_one() -> None:
    _, body = sent(step_for(have(("web-held-out", "web"), (("bpe", 512),))).commands[0])
    assert [part.corpus for part in Suite.model_validate(body).sets] == ["web-held-out"]
    _, body = sent(step_for(have(("it's",), (("bpe", 512),))).commands[0])
    assert body["sets"][0]["corpus"] == "it's"


def test_the_protocol_fits_the_tokenizer() -> None:
    url, body = sent(step_for(have(("web",), (("mine", 777),), suite=True)).commands[0])
    protocol = Protocol.model_validate(body)
    assert url == f"{URL}/v1/protocols"
    assert (protocol.tokenizer, protocol.architecture.vocabulary) == ("mine", 777)
    assert protocol.reduction < 1


def test_then_a_recipe_is_written_and_submitted() -> None:
    ready = have(("web-held-out", "web"), (("bpe", 512),), suite=True, protocol=True)
    write, submit = step_for(ready, protocol="fast@2", suite="held-out@1").commands
    recipe = Recipe.model_validate(yaml.safe_load(write.split("\n", 1)[1].removesuffix("YAML")))
    assert recipe.sources[0].corpus == "web"
    parsed = parse_cli(submit)
    assert (parsed["protocol"], parsed["suite"], str(parsed["file"])) == ("fast@2", "held-out@1", "recipe.yaml")


def test_the_first_reference_is_one_the_service_takes() -> None:
    url, body = sent(reference_step(URL, "balanced").commands[0])
    assert url == f"{URL}/v1/references"
    assert ReferenceIn.model_validate(body).recipe == "balanced"


def test_while_something_is_read_or_trained_nothing_is_to_be_typed() -> None:
    reading = Work(running=(), jobs=(Job(),), failures=(), running_runs=0, queued_runs=0, is_unattended=False)
    training = Work(running=(), jobs=(), failures=(), running_runs=1, queued_runs=3, is_unattended=False)
    assert step_for(have(), reading).commands == ()
    assert step_for(have(("web",), (("bpe", 512),), suite=True, protocol=True), training).commands == ()


def test_a_name_cannot_break_out_of_the_command() -> None:
    ready = have(("web",), (("bpe", 512),), suite=True, protocol=True)
    submit = step_for(ready, protocol="a; rm -rf /", suite="$(x)").commands[1]
    assert parse_cli(submit)["protocol"] == "a; rm -rf /"


def test_the_page_walks_through_every_step(client: Any, seed: Seed) -> None:
    assert "Register a corpus" in client.get("/").text
    seed(samples.add_materials)
    assert "Say what is to be predicted" in client.get("/").text
    seed(samples.add_suite)
    assert "Fix how proxies are trained" in client.get("/").text

    def ready(session: Session) -> None:
        samples.add_protocol(session, samples.protocol_body())

    seed(ready)
    page = client.get("/").text
    assert "Nothing is ranked under demo-reduced@1 on demo@1" in page
    assert "foretaste submit recipe.yaml --protocol demo-reduced@1 --suite demo@1" in page
    assert "http://service.test:8321" in page
