"""Everything a study is made of, registered: corpora, tokenizer, suites, recipes, protocols. Doing it again finds what
is there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api.client import Resource
from api.studies.service import StudyService
from proxy.studies import StudyDefinition, TokenizerTraining
from proxy.studies.corpora import SOURCE, make_corpus

REFERENCE = "reference"


@dataclass(kw_only=True)
class Registered:
    """Protocols by rate, and the base that a rate search starts from; all as the service answers. `tokenizer` is its
    fingerprint or name."""

    tokenizer: str
    base: Resource
    ladder: dict[float, Resource]
    reference: Resource
    suites: dict[str, Resource] = field(default_factory=dict)  # by the definition's name
    recipes: dict[str, Resource] = field(default_factory=dict)


def register(
    service: StudyService,
    definition: StudyDefinition,
    *,
    corpora: Path | None,
    folder: Path,
    say: Callable[[str], None],
) -> Registered:
    """`corpora`: the folder that the definition's files are in, needed where it makes any."""
    if corpora is not None:
        _register_corpora(service, definition, corpora, folder / "corpora", say)
    tokenizer = _tokenizer(service, definition)
    suites = {suite.name: _suite(service, definition, suite.model_dump(mode="json")) for suite in definition.suites}
    recipes = {
        recipe.name: service.post("/v1/recipes", recipe.model_dump(mode="json", exclude_unset=True))
        for recipe in definition.recipes
    }
    return register_protocols(service, definition, tokenizer, suites, recipes)


def register_protocols(
    service: StudyService,
    definition: StudyDefinition,
    tokenizer: str,
    suites: dict[str, Resource],
    recipes: dict[str, Resource],
) -> Registered:
    """The ladder's protocols are those that a rate search over the same rates registers."""
    proxies, references = definition.proxies, definition.references
    name = definition.named("proxy")

    def post(body: dict[str, Any]) -> Resource:
        return service.post("/v1/protocols", body)

    return Registered(
        tokenizer=tokenizer,
        base=post(proxies.body(name, tokenizer, max(proxies.rates))),
        ladder={rate: post(proxies.body(f"{name}-at-{rate:g}", tokenizer, rate)) for rate in proxies.rates},
        reference=post(references.body(definition.named(REFERENCE), tokenizer, max(references.rates))),
        suites=suites,
        recipes=recipes,
    )


def _register_corpora(
    service: StudyService, definition: StudyDefinition, files: Path, made: Path, say: Callable[[str], None]
) -> None:
    """All files are made before the first is registered: one that is missing leaves nothing half-done."""
    paths = {making.name: make_corpus(making, files, made) for making in definition.corpora}
    bodies = [{"name": name, "uri": str(path), "fields": [SOURCE]} for name, path in paths.items()]
    waiting = [service.post("/v1/corpora", body) for body in bodies]
    for corpus in waiting:
        done = service.wait(f"/v1/corpora/{corpus['id']}")
        say(f"  {done['name']:<28} {done['documents']:>7,} documents  {done['text_bytes'] / 1e6:7.2f} MB")


def _tokenizer(service: StudyService, definition: StudyDefinition) -> str:
    """The fingerprint of the one that is trained, or the name of one that is registered."""
    asked = definition.tokenizer
    if isinstance(asked, TokenizerTraining):
        training = asked.model_dump(mode="json")
        made = service.post("/v1/tokenizers", {"name": definition.name, "train": training})
        trained: str = service.wait(f"/v1/tokenizers/{made['id']}")["fingerprint"]
        return trained
    return asked


def _suite(service: StudyService, definition: StudyDefinition, content: dict[str, Any]) -> Resource:
    return service.post("/v1/suites", {**content, "name": definition.named(content["name"])})
