"""A small study on a folder of corpora: mixtures over its domains, each left out or emphasised in turn.

The folder holds `<domain>.jsonl.zst` (or .gz, plain, .parquet) for training and `validation/` with files of the
same names. The suite is made of the beginnings of their documents: scoring everything would cost more than training.
Validation files under `SMALLEST_HELD_OUT_BYTES` are left out of the suite: too small for a stable loss.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.demo.experiment import TrainingCorpus
from api.demo.recipes import FULL, Size
from api.demo.report import write_text
from api.demo.splits import DOCUMENT_CHARACTERS, HELD_OUT_CHARACTERS
from proxy.data.corpora import SUFFIXES, CorpusLocation, read_documents
from proxy.errors import InvalidInputError

SMALLEST_HELD_OUT_BYTES = 20_000
SMALLEST_NUMBER_OF_DOMAINS = 4


def study_corpora(folder: Path, made: Path) -> list[TrainingCorpus]:
    """Every domain of the folder; excerpts of the held-out files are written below `made`.

    InvalidInputError names the folder if there are too few.
    """
    paths = sorted(path for path in folder.glob("*") if path.name.endswith(SUFFIXES))
    found = [_corpus(folder, path, made) for path in paths]
    if sum(corpus.held_out is not None for corpus in found) < SMALLEST_NUMBER_OF_DOMAINS:
        raise InvalidInputError.at(
            "CORPORA",
            str(folder),
            f"needs at least {SMALLEST_NUMBER_OF_DOMAINS} files <domain>{{{','.join(SUFFIXES)}}} with counterparts in "
            f"validation/; found {[path.name for path in paths]}",
        )
    return found


def _corpus(folder: Path, path: Path, made: Path) -> TrainingCorpus:
    held_out = folder / "validation" / path.name
    name = path.name.split(".", 1)[0].replace("_", "-")
    if not held_out.exists() or held_out.stat().st_size < SMALLEST_HELD_OUT_BYTES:
        return TrainingCorpus(name=name, path=path, held_out=None)
    excerpt = made / f"{name}.jsonl"
    made.mkdir(parents=True, exist_ok=True)
    write_text(excerpt, "".join(json.dumps(document) + "\n" for document in _beginnings(held_out)))
    return TrainingCorpus(name=name, path=path, held_out=excerpt)


def _beginnings(path: Path) -> Iterator[dict[str, str]]:
    """The first characters of each document, until there are HELD_OUT_CHARACTERS in all."""
    left = HELD_OUT_CHARACTERS
    for document in read_documents(CorpusLocation(uri=str(path), fields=("source",))):
        text = document.text[:DOCUMENT_CHARACTERS]
        yield {"text": text, "source": str(document.fields["source"])}
        left -= len(text)
        if left <= 0:
            return


def study_size(domains: list[str]) -> Size:
    """Recipes: all even, one domain left out (three of them), one at half (the first six), one alone."""
    recipes = [_mixture("even", dict.fromkeys(domains, 1.0))]
    recipes += [_mixture(f"no-{left}", {d: 1.0 for d in domains if d != left}) for left in domains[::4][:3]]
    recipes += [_mixture(f"half-{domain}", _half(domains, domain)) for domain in domains[:6]]
    recipes += [_mixture(f"only-{domains[0]}", {domains[0]: 1.0})]
    return replace(FULL, recipes=tuple(recipes), anchors=("even", f"half-{domains[1]}"))


def _half(domains: list[str], favourite: str) -> dict[str, float]:
    rest = 0.5 / (len(domains) - 1)
    return {domain: 0.5 if domain == favourite else rest for domain in domains}


def _mixture(name: str, weights: dict[str, float]) -> dict[str, Any]:
    sources = [{"corpus": corpus, "weight": weight, "max_epochs": 4} for corpus, weight in weights.items()]
    axis = "corpora" if name.startswith(("no-", "only-")) else "mixture"
    return {"name": name, "tags": {"axis": axis}, "sources": sources}
