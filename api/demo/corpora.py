"""Real text that any installation has: the installed packages and the Python installation themselves.

Sizes are capped so that every machine gets corpora of about the same size. What is held out is said in splits.py.
"""

import ast
import gzip
import json
import re
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from api.demo.splits import DOCUMENT_CHARACTERS, TRAIN_CHARACTERS, Document, TextFile, hash_of, split, unseen

LONGEST_FILE_BYTES = 200_000
DUPLICATED_POOL = 150  # documents that are planted again and again
DUPLICATED_COPIES = 6


@dataclass(frozen=True, kw_only=True)
class DemoCorpus:
    """What was written: the training file, the held-out file (None where the suite does not ask), their sizes."""

    name: str
    path: Path
    held_out: Path | None
    documents: int
    characters: int


def write_corpora(folder: Path) -> list[DemoCorpus]:
    """Writes all corpora of the demo below `folder` as .jsonl.gz."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = {name: split(collect()) for name, collect in COLLECTORS.items()}
    held_out = unseen(splits)
    written = [_write_corpus(folder, name, train, held_out[name]) for name, (train, _) in splits.items()]
    written.append(_write_plain(folder, "noise", _noise()))
    written.append(_write_plain(folder, "prose_duplicated", _planted_duplicates(folder / "prose.jsonl.gz")))
    return written


def _roots() -> list[tuple[str, Path]]:
    paths = sysconfig.get_paths()
    return [("site-packages", Path(paths["purelib"])), ("python", Path(paths["stdlib"]))]


def _files(*suffixes: str) -> Iterator[tuple[str, Path]]:
    """Every installed file with one of the suffixes, in an order that mixes packages: by hash of its name."""
    found = []
    for label, root in _roots():
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            if path.suffix not in suffixes or (label == "python" and name.startswith("site-packages/")):
                continue
            if path.is_file() and path.stat().st_size <= LONGEST_FILE_BYTES:
                found.append((f"{label}/{name}", path))
    return iter(sorted(found, key=lambda pair: hash_of(pair[0])))


def _read(source: str, path: Path) -> TextFile | None:
    try:
        return TextFile(source=source, text=path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, OSError):
        return None


def _texts(*suffixes: str, matching: str = "") -> Iterator[TextFile]:
    for source, path in _files(*suffixes):
        if re.search(matching, source) and (text_file := _read(source, path)):
            yield text_file


def _python() -> Iterator[TextFile]:
    return _texts(".py")


def _headers() -> Iterator[TextFile]:
    return _texts(".h", ".hpp", ".cuh")


def _stubs() -> Iterator[TextFile]:
    return _texts(".pyi")


def _prose() -> Iterator[TextFile]:
    """Docstrings of a file, in order: the documentation of the installed packages."""
    for text_file in _texts(".py"):
        docstrings = _docstrings(text_file.text)
        if docstrings:
            yield TextFile(source=text_file.source, text="\n\n".join(docstrings))


def _docstrings(code: str) -> list[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other people's invalid escapes are not ours to report
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return []
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented))
    return [text for text in found if text and len(text) >= 200]


def _packages() -> Iterator[TextFile]:
    """Package descriptions, licences, change logs and topic texts."""
    described = r"METADATA$|[Ll][Ii][Cc][Ee][Nn]|COPYING|NOTICE|\.rst$|\.md$|\.txt$|pydoc_data/topics\.py$"
    return _texts("", ".txt", ".md", ".rst", ".py", ".APACHE", ".BSD", matching=described)


COLLECTORS: dict[str, Callable[[], Iterator[TextFile]]] = {
    "prose": _prose,
    "packages": _packages,
    "python": _python,
    "headers": _headers,
    "stubs": _stubs,
}


def _noise() -> Iterator[Document]:
    """Garbage of the kind that crawls hold: compiled libraries printed as hexadecimal and base64 digits."""
    libraries = (path for _, root in _roots() for path in sorted(root.rglob("*.so")))
    written = 0
    for path in libraries:
        for offset in range(1 << 14, min(path.stat().st_size, 1 << 18), 1 << 14):
            text = _digits(path, offset)
            yield {"text": text, "source": path.name}
            written += len(text)
            if written >= TRAIN_CHARACTERS:
                return


def _digits(path: Path, offset: int) -> str:
    with path.open("rb") as handle:
        handle.seek(offset)
        return handle.read(DOCUMENT_CHARACTERS // 2).hex()


def _planted_duplicates(original: Path) -> Iterator[Document]:
    """The prose corpus with a few of its documents planted again and again: they become a large part of it."""
    with gzip.open(original, "rt", encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    yield from documents
    for _ in range(DUPLICATED_COPIES):
        yield from documents[:DUPLICATED_POOL]


def _write_corpus(folder: Path, name: str, train: list[Document], held_out: list[Document]) -> DemoCorpus:
    kept = {_normalised(document["text"]) for document in held_out}
    train = [document for document in train if _normalised(document["text"]) not in kept]
    held_out_path = folder / "held_out" / f"{name}.jsonl.gz"
    _write_lines(held_out_path, held_out)
    corpus = _write_plain(folder, name, train)
    return DemoCorpus(
        name=name,
        path=corpus.path,
        held_out=held_out_path,
        documents=corpus.documents,
        characters=corpus.characters,
    )


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _write_plain(folder: Path, name: str, documents: Iterable[Document]) -> DemoCorpus:
    path = folder / f"{name}.jsonl.gz"
    count, characters = _write_lines(path, documents)
    return DemoCorpus(name=name, path=path, held_out=None, documents=count, characters=characters)


def _write_lines(path: Path, documents: Iterable[Document]) -> tuple[int, int]:
    """Writes one JSON document a line; the number of documents and characters. Atomic: a partial file never stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = characters = 0
    partial = path.with_suffix(".partial")
    with gzip.open(partial, "wt", encoding="utf-8", compresslevel=1) as lines:
        for document in documents:
            lines.write(json.dumps(document) + "\n")
            count += 1
            characters += len(document["text"])
    partial.replace(path)
    return count, characters
