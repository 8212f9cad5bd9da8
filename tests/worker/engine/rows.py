"""Small rows to work on, written without the use cases."""

import itertools
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from proxy.protocols import Architecture, Protocol
from worker.store import models

BORN = datetime(2026, 1, 1, tzinfo=UTC)
_counter = itertools.count()


def protocol_spec(*, steps: int = 4, width: int = 16, tokenizer: str = "none") -> Protocol:
    """A protocol so small that a run takes milliseconds."""
    architecture = Architecture(layers=1, width=width, heads=1, hidden=16, context_tokens=16, vocabulary=300)
    return Protocol(
        name="tiny",
        architecture=architecture,
        tokenizer=tokenizer,
        batch_sequences=2,
        steps=steps,
        standard_rate=1e-2,
        precision="fp32",
    )


def add_protocol(session: Session, spec: Protocol | None = None) -> models.Protocol:
    spec = spec or protocol_spec()
    row = models.Protocol(
        name=spec.name,
        version=next(_counter),
        fingerprint="p",
        cohort_key=spec.cohort_key(),
        learning_rate=spec.learning_rate,
        spec=spec.model_dump(mode="json"),
    )
    session.add(row)
    session.flush()
    return row


def add_recipe(session: Session, corpus: str = "web", fingerprint: str = "0" * 32) -> models.Recipe:
    number = next(_counter)
    row = models.Recipe(
        name=f"recipe-{number}",
        fingerprint=f"recipe-{number}",
        spec={"name": f"recipe-{number}", "sources": [{"corpus": corpus, "weight": 1}]},
        corpora={corpus: fingerprint},
    )
    session.add(row)
    session.flush()
    return row


def add_runs(
    session: Session,
    protocol: models.Protocol,
    recipe: models.Recipe,
    *,
    count: int = 1,
    sweep: str | None = None,
    cohort_key: str | None = None,
) -> list[models.Run]:
    """Queued runs, each a second younger than the one before."""
    rows = []
    for seed in range(count):
        number = next(_counter)
        rows.append(
            models.Run(
                fingerprint=f"run-{number}",
                recipe_id=recipe.id,
                protocol_id=protocol.id,
                cohort_key=cohort_key or protocol.cohort_key,
                sweep=sweep,
                learning_rate=protocol.learning_rate,
                seed=seed,
                created_at=BORN + timedelta(seconds=number),
            )
        )
    session.add_all(rows)
    session.flush()
    return rows


def add_job(session: Session, kind: str = "register_corpus", payload: dict[str, object] | None = None) -> models.Job:
    row = models.Job(kind=kind, payload=payload or {}, created_at=BORN + timedelta(seconds=next(_counter)))
    session.add(row)
    session.flush()
    return row
