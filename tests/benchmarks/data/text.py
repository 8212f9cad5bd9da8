"""The text that figures are measured on: a folder's corpora, or what any installation of Python has."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from api.demo.corpora import write_corpora
from proxy.data.corpora import CorpusLocation, read_documents
from proxy.data.files import SUFFIXES

SAMPLE_EVERY = 10
MOST_MEGABYTES = 30.0


def corpora_below(folder: Path | None) -> list[Path]:
    """The corpus files that lie in a folder itself, in sorted order; none for no folder."""
    return [] if folder is None else sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))


def locations_in(corpora: Sequence[Path], folder: Path) -> list[CorpusLocation]:
    """Of these corpora; without any, of the demo's, which are written into `folder`."""
    paths = list(corpora) or [corpus.path for corpus in write_corpora(folder)]
    return [CorpusLocation(uri=str(path)) for path in paths]


def as_one(locations: Iterable[CorpusLocation], folder: Path) -> CorpusLocation:
    """All files as one corpus."""
    folder.mkdir()
    for location in locations:
        (folder / Path(location.uri).name).symlink_to(Path(location.uri).resolve())
    return CorpusLocation(uri=str(folder))


def sampled(locations: Iterable[CorpusLocation]) -> list[str]:
    """Every tenth text."""
    texts = (document.text for location in locations for document in read_documents(location))
    return [text for index, text in enumerate(texts) if index % SAMPLE_EVERY == 0]


def as_much_as(locations: Iterable[CorpusLocation], megabytes: float = MOST_MEGABYTES) -> Iterator[CorpusLocation]:
    """The first corpora with at most so much text, so that rounds stay short; at least one."""
    left = megabytes * 1e6
    for index, location in enumerate(locations):
        left -= sum(len(document.text.encode()) for document in read_documents(location))
        if left < 0 and index:
            return
        yield location
