"""What machines without a common disk share: each has an artifact folder of its own, whose files are also in the store
of FORETASTE_SHARED_STORE, and takes from there what it lacks. Without that setting nothing here does anything.

Tokens, tables and columns share themselves (proxy.data); here are the files of runs and the tokenizers, whose place in
the folder is their place in the store.
"""

from collections.abc import Callable
from pathlib import Path

from proxy.data.columns import Mapped, open_column
from proxy.data.documents import has_table
from proxy.data.shared import SharedStore, StoredFile
from proxy.data.shared_tables import fetch_column, fetch_table, publish_column, publish_table
from proxy.data.tokenizers import Tokenizer
from proxy.data.tokens import SharedTokens, TokenStore, find_tokens, open_tokens, publish_tokens
from proxy.errors import InvalidInputError
from worker.artifacts import (
    Place,
    documents_folder,
    documents_path,
    relative_path,
    stored_path,
    tokenizer_path,
    tokens_folder,
)

FILES_OF_ROWS = ("tokenizers", "losses", "checkpoints")


def shared_store(place: Place) -> SharedStore | None:
    """None where each machine keeps to itself, or all have one disk."""
    return SharedStore(url=place.shared_store) if place.shared_store else None


def share_file(place: Place, path: Path) -> None:
    """Copies a file of the artifact folder to the store."""
    if (shared := shared_store(place)) is not None:
        file, relative = StoredFile.of(path), relative_path(place, path)
        shared.put(path, str(Path(relative).parent), file, again=True)
        shared.write(_pointer(relative), file.to_json())


def find_file(place: Place, relative: str) -> Path:
    """A file that a row names, taken from the store if it is not here; where it should be, if it is nowhere."""
    path = stored_path(place, relative)
    if (shared := shared_store(place)) is not None and not path.exists():
        file = StoredFile.from_json(shared.read(_pointer(relative)))
        if file is not None and file.name == path.name:
            shared.fetch(str(Path(relative).parent), file, path)
    return path


def load_tokenizer(place: Place, fingerprint: str) -> Tokenizer:
    """A registered tokenizer, wherever it was registered."""
    path = find_file(place, relative_path(place, tokenizer_path(place, fingerprint)))
    return Tokenizer.from_json(path.read_text(encoding="utf-8"))


def tokens_of(place: Place, corpus: str, tokenizer: str) -> TokenStore | None:
    """The tokens of a corpus, by fingerprints, here or in the store; None if nobody has made them."""
    return find_tokens(tokens_folder(place), corpus, tokenizer, shared_store(place), documents_path(place, corpus))


def has_tokens(place: Place, corpus: str, tokenizer: str) -> bool:
    """Whether nobody needs to make them: where machines share a store, whether they are in it."""
    if (shared := shared_store(place)) is None:
        return open_tokens(tokens_folder(place), corpus, tokenizer) is not None
    return SharedTokens(store=shared, place=tokens_folder(place) / corpus / tokenizer).is_published()


def has_documents(place: Place, corpus: str) -> bool:
    """Whether the table of a corpus's documents is here, which it is afterwards if it is in the store."""
    folder = documents_path(place, corpus)
    shared = shared_store(place)
    return has_table(folder) or (shared is not None and fetch_table(shared, folder, corpus))


def column_of(place: Place, corpus: str, name: str) -> Mapped | None:
    """A column of a corpus, here or in the store; None if nobody has computed it."""
    folder, shared = documents_folder(place), shared_store(place)
    column = open_column(folder, corpus, name)
    if column is None and shared is not None and fetch_column(shared, folder, corpus, name):
        column = open_column(folder, corpus, name)
    return column


def share_all(place: Place, tell: Callable[[str], None]) -> None:
    """Copies what lies in this machine's artifact folder to the store, for a service that began without one; what is in
    the store is left alone. `tell` hears what is copied next. InvalidInputError if no store is set."""
    shared = shared_store(place)
    if shared is None:
        raise InvalidInputError.at("/shared_store", "", "is not set: FORETASTE_SHARED_STORE names the store")
    for folder in filter(has_table, documents_folder(place).glob("*")):
        tell(f"documents of {folder.name}")
        publish_table(shared, folder, folder.name)
        for path in folder.glob("columns/[!.]*.npy"):
            publish_column(shared, folder.parent, folder.name, path.stem, unless_there=True)
    for manifest in tokens_folder(place).glob("*/*/manifest.json"):
        tell(f"tokens of {manifest.parts[-3]}")
        publish_tokens(SharedTokens(store=shared, place=manifest.parent), documents_path(place, manifest.parts[-3]))
    for path in (
        path for kind in FILES_OF_ROWS for path in (place.artifact_dir / kind).rglob("[!.]*") if path.is_file()
    ):
        if shared.read(_pointer(relative_path(place, path))) is None:
            tell(relative_path(place, path))
            share_file(place, path)


def _pointer(relative: str) -> str:
    return f"{relative}.pointer.json"
