"""Ten thousand specifications, valid and broken, sent to the real application.

`python -m tests.benchmarks.data.fuzzing` prints the rows, and the first few requests that were answered wrongly.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.api.conftest import serving, settings_in
from tests.api.fuzzing import Sent, prepare, requests, send
from tests.benchmarks.figures import Row, at_least, at_most, for_information
from worker.store.migrate import upgrade_database

REQUESTS, BODIES = 10_000, 400
SHOWN = 10


def fuzzing_figures(seed: int = 20) -> list[Row]:
    """How many were answered with a 5xx or a traceback, or refused without naming a field of what was sent."""
    statuses: Counter[int] = Counter()
    wrong: list[tuple[Sent, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_in(Path(folder) / "data")
        upgrade_database(settings)
        with serving(settings) as service:
            prepare(service, Path(folder))
            for sent in requests(REQUESTS, seed, BODIES):
                status, fault = send(service, sent)
                statuses[status] += 1
                wrong += [] if fault is None else [(sent, fault)]
    for sent, fault in wrong[:SHOWN]:
        print(fault, sent.path, sent.media, sent.body[:3000], sep="\n", end="\n\n", file=sys.stderr)
    accepted = statuses[200] + statuses[201]
    return [
        at_least("generated specifications", statuses.total(), REQUESTS),
        at_most("answered with a 5xx or a traceback", sum(statuses[status] for status in statuses if status >= 500), 0),
        at_most("refused otherwise than by a problem that names a field of what was sent", len(wrong), 0),
        for_information("accepted", accepted),
        for_information("refused", statuses.total() - accepted),
    ]


if __name__ == "__main__":
    for row in fuzzing_figures(*map(int, sys.argv[1:])):
        print(row["holds"], f"{row['value']:.4g}", row["must"], row["figure"], sep="\t", flush=True)
