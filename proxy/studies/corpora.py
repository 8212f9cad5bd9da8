"""Corpora made of a folder's files, the same bytes on every machine: who is chosen hangs on hashes of the texts."""

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

from proxy.data.corpora import CorpusLocation, read_documents
from proxy.errors import InvalidInputError
from proxy.fingerprints import fingerprint
from proxy.studies.definition import Beginnings, CorpusMaking, PlantedNearDuplicates

SOURCE = "source"  # the field that says which file or page a document is from, where the files have it

Document = dict[str, str]


def make_corpus(making: CorpusMaking, folder: Path, made: Path) -> Path:
    """Where the corpus lies: the folder's own file, or one below `made`, written whole or not at all.

    What was made of the same files with the same settings is not made again. InvalidInputError names a file that is
    not there.
    """
    files = [_existing(making, index, folder) for index in range(len(making.files))]
    if making.is_a_file:
        return files[0]
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    content = making.model_dump(mode="json", exclude={"name"})
    path = made / f"{making.name}-{fingerprint([content, states])[:12]}.jsonl"
    if not path.exists():
        made.mkdir(parents=True, exist_ok=True)
        _write(path, documents_of(making, files))
    return path


def documents_of(making: CorpusMaking, files: list[Path]) -> Iterator[Document]:
    """The corpus, one document after the other."""
    every = (document for path in files for document in _read(path))
    documents: Iterator[Document] = (document for document in every if _is_chosen(document, making.share))
    if making.beginnings is not None:
        documents = _beginnings(documents, making.beginnings)
    if making.near_duplicates is not None:
        documents = _planted(documents, making.near_duplicates)
    yield from documents


def _existing(making: CorpusMaking, index: int, folder: Path) -> Path:
    path = folder / making.files[index]
    if not path.is_file():
        raise InvalidInputError.at(f"corpus {making.name}: files/{index}", str(path), "is no file")
    return path.resolve()


def _write(path: Path, documents: Iterator[Document]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> Iterator[Document]:
    for document in read_documents(CorpusLocation(uri=str(path), fields=(SOURCE,))):
        source = document.fields[SOURCE]
        yield {"text": document.text} | ({} if source is None else {SOURCE: str(source)})


def _is_chosen(document: Document, share: float) -> bool:
    if share >= 1:
        return True
    digest = hashlib.blake2b(document["text"].encode("utf-8", "surrogatepass"), digest_size=8, person=b"study share")
    return int.from_bytes(digest.digest()) < share * 2**64


def _beginnings(documents: Iterator[Document], wanted: Beginnings) -> Iterator[Document]:
    left = wanted.characters
    for document in documents:
        text = document["text"][: wanted.document_characters]
        yield {**document, "text": text}
        left -= len(text)
        if left <= 0:
            return


def _planted(documents: Iterator[Document], wanted: PlantedNearDuplicates) -> Iterator[Document]:
    """Each document, and its copies behind it. The draws hang on its place and the seed alone."""
    for index, document in enumerate(documents):
        yield document
        rng = random.Random(f"{wanted.seed}:{index}")  # noqa: S311 - no secret: the same copies everywhere
        if rng.random() < wanted.originals:
            for _ in range(wanted.copies):
                yield {**document, "text": _copied(document["text"], wanted, rng)}


def _copied(text: str, wanted: PlantedNearDuplicates, rng: random.Random) -> str:
    if rng.random() < wanted.exact:
        return text
    words = text.split(" ")
    return " ".join(rng.choice(words) if rng.random() < wanted.changed_words else word for word in words)
