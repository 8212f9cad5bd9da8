"""Registering a corpus a second time, through the code that the service runs: the use case and the job of its child.

`python -m tests.benchmarks.data.registering CORPUS...` prints the rows.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import update

from tests.benchmarks.data.text import locations_in
from tests.benchmarks.figures import Row, at_most, for_information
from worker.cohorts.chores import register_corpus as read_corpus
from worker.cohorts.messages import RegisterCorpusSpec
from worker.cohorts.specs import build_job_spec
from worker.corpora import register_corpus
from worker.settings import Settings
from worker.store.migrate import upgrade_database
from worker.store.models import Corpus, Job
from worker.store.sessions import Sessions, make_engine, make_sessions
from worker.store.states import State

MOST_SHARE = 0.01
ROUNDS = 5


def registering_figures(corpora: Sequence[Path]) -> list[Row]:
    """Seconds again ÷ seconds at first, of all corpora together; again is the slowest of some rounds."""
    with tempfile.TemporaryDirectory() as folder:
        locations = locations_in(corpora, Path(folder) / "corpora")
        settings = Settings(_env_file=None, data_dir=Path(folder) / "data", threads=1, compile=False)
        with _database(settings) as sessions:
            uris = {f"corpus-{index}": location.uri for index, location in enumerate(locations)}
            first = sum(_registered(sessions, settings, name, uri) for name, uri in uris.items())
            again = [
                sum(_registered(sessions, settings, name, uri) for name, uri in uris.items()) for _ in range(ROUNDS)
            ]
            renamed = sum(_registered(sessions, settings, f"{name}-too", uri) for name, uri in uris.items())
    return [
        at_most("registering the same corpora again ÷ the first time", max(again) / first, MOST_SHARE),
        for_information("registering the same files under other names ÷ the first time", renamed / first),
        for_information(f"seconds of the first registration, {len(uris)} corpora", first),
    ]


def _registered(sessions: Sessions, settings: Settings, name: str, uri: str) -> float:
    """Seconds of the use case and, where there is something to do, of the job."""
    began = time.perf_counter()
    with sessions.begin() as session:
        corpus, is_new = register_corpus(session, name, uri, settings=settings)
        spec = build_job_spec(session, session.get_one(Job, corpus.job_id), settings) if is_new else None
        row = corpus.id
    if spec is not None:
        assert isinstance(spec, RegisterCorpusSpec)
        found = read_corpus(spec, lambda **_: None)
        with sessions.begin() as session:
            session.execute(update(Corpus).where(Corpus.id == row).values(**found, state=State.FINISHED))
    return time.perf_counter() - began


@contextmanager
def _database(settings: Settings) -> Iterator[Sessions]:
    upgrade_database(settings)
    engine = make_engine(settings.resolved_database_url)
    yield make_sessions(engine)
    engine.dispose()


if __name__ == "__main__":
    for row in registering_figures([Path(argument) for argument in sys.argv[1:]]):
        print(row["holds"], f"{row['value']:.4g}", row["must"], row["figure"], sep="\t", flush=True)
