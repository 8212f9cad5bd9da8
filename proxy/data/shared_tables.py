"""Tables of documents and their columns in a shared store: `documents/<corpus>/…`, as they lie on a machine.

`table.pointer.json` names the files of a table, `columns/<name>.json` the file of a column. Both are made from the
corpus again where what lies in the store is damaged.
"""

from collections.abc import Iterable
from pathlib import Path

from proxy.data.documents import MANIFEST, has_table
from proxy.data.shared import PLAIN_NAME, SharedStore, StoredFile

TABLE = "table.pointer.json"


def publish_table(shared: SharedStore, folder: Path, corpus: str, *, again: bool = False) -> None:
    """Copies the table in `folder` to the store, unless one is there; `again`: also then, for it may be damaged."""
    key = _folder(corpus)
    if not again and shared.read(f"{key}/{TABLE}") is not None:
        return
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    files = [StoredFile.of(path) for path in paths]
    for path, file in zip(paths, files, strict=True):
        shared.put(path, key, file, again=again)
    shared.write(f"{key}/{TABLE}", [file.to_json() for file in files])


def fetch_table(shared: SharedStore, folder: Path, corpus: str) -> bool:
    """Copies the table to `folder`, unless one is there; False if the store has none that is whole."""
    if has_table(folder):
        return True
    content = shared.read(f"{_folder(corpus)}/{TABLE}")
    files = [StoredFile.from_json(one) for one in content] if isinstance(content, list) else []
    whole = [file for file in files if file is not None]
    if not whole or len(whole) < len(files):
        return False
    return all(shared.fetch(_folder(corpus), file, folder / file.name) for file in _marker_last(whole))


def publish_column(shared: SharedStore, folder: Path, corpus: str, name: str, *, unless_there: bool = False) -> None:
    """Copies `<folder>/<corpus>/columns/<name>.npy` to the store: by default it was made just now, for want of a
    whole one there."""
    if unless_there and shared.read(_column_key(corpus, name)) is not None:
        return
    path = folder / corpus / "columns" / f"{name}.npy"
    file = StoredFile.of(path)
    shared.put(path, f"{_folder(corpus)}/columns", file, again=True)
    shared.write(_column_key(corpus, name), file.to_json())


def fetch_column(shared: SharedStore, folder: Path, corpus: str, name: str) -> bool:
    """Copies a column from the store; False if it has none that is whole."""
    file = StoredFile.from_json(shared.read(_column_key(corpus, name)))
    if file is None or file.name != f"{name}.npy" or not PLAIN_NAME.fullmatch(name):
        return False
    return shared.fetch(f"{_folder(corpus)}/columns", file, folder / corpus / "columns" / file.name)


def purge_shared(shared: SharedStore, contents: Iterable[str]) -> tuple[int, int]:
    """Removes all that was derived from these contents; how many files and bytes that were."""
    files = size = 0
    for content in contents:
        for found in (
            shared.remove(_folder(content)),
            shared.remove(f"tokens/{content}"),
            shared.remove_matching(f"documents/*/columns/overlap-*-{content}.*"),
        ):
            files, size = files + found[0], size + found[1]
    return files, size


def _folder(corpus: str) -> str:
    return f"documents/{corpus}"


def _column_key(corpus: str, name: str) -> str:
    return f"{_folder(corpus)}/columns/{name}.json"


def _marker_last(files: list[StoredFile]) -> list[StoredFile]:
    """A table is there when its manifest is, or the archive of earlier versions."""
    return sorted(files, key=lambda file: file.name in (MANIFEST, "documents.npz"))
