"""Everything that a study is made of and that the service does not make itself, registered: corpora, tokenizer, suites,
recipes. Doing it again finds what is there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.client import Resource
from api.studies.service import StudyService
from proxy.studies import StudyDefinition, TokenizerTraining
from proxy.studies.corpora import SOURCE, make_corpus
from proxy.studies.definition import AXIS, KIND


@dataclass(frozen=True, kw_only=True)
class Registered:
    """As the service answers, by the definition's names. `tokenizer` is its fingerprint or name."""

    tokenizer: str
    suites: dict[str, Resource]
    recipes: dict[str, Resource]


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
    return Registered(
        tokenizer=_tokenizer(service, definition),
        suites={suite.name: _suite(service, definition, suite.model_dump(mode="json")) for suite in definition.suites},
        recipes={
            recipe.name: service.post("/v1/recipes", recipe.model_dump(mode="json", exclude_unset=True))
            for recipe in definition.recipes
        },
    )


def request_of(definition: StudyDefinition, registered: Registered) -> dict[str, Any]:
    """The body of `POST /v1/studies`: the same definition is the same study."""
    return {
        "name": definition.name,
        "description": definition.description,
        "tokenizer": registered.tokenizer,
        "suites": [suite["id"] for suite in registered.suites.values()],
        "recipes": [
            {
                "recipe": registered.recipes[recipe.name]["id"],
                "name": recipe.name,
                "axis": recipe.tags[AXIS],
                "kind": recipe.tags.get(KIND),
            }
            for recipe in definition.recipes
        ],
        "proxies": definition.proxies.model_dump(mode="json"),
        "references": definition.references.model_dump(mode="json"),
    }


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
