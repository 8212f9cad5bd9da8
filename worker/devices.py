"""Which work a worker's devices can do: what a protocol's device class asks for waits for a worker that has it."""

from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from worker.leases import is_claimable
from worker.settings import Settings
from worker.store.models import Job, Protocol, Run, utc_now


def claimable_runs(settings: Settings, now: datetime) -> ColumnElement[bool]:
    """Waiting runs of protocols whose device class this worker has."""
    return and_(is_claimable(Run, settings, now), Run.protocol_id.in_(_trainable_protocols(settings)))


def claimable_jobs(settings: Settings, now: datetime) -> ColumnElement[bool]:
    """Waiting jobs that load no model, or one of a protocol whose device class this worker has."""
    run_id = Job.payload["run_id"].as_string()
    trainable = select(Run.id).where(Run.protocol_id.in_(_trainable_protocols(settings)))
    return and_(is_claimable(Job, settings, now), or_(run_id.is_(None), run_id.in_(trainable)))


def is_anything_claimable(session: Session, settings: Settings) -> bool:
    """True if a run or a job waits for a worker like this one."""
    now = utc_now()
    run = select(Run.id).where(claimable_runs(settings, now)).limit(1)
    job = select(Job.id).where(claimable_jobs(settings, now)).limit(1)
    return session.scalars(run).first() is not None or session.scalars(job).first() is not None


def _trainable_protocols(settings: Settings) -> Select[str]:
    device_class = Protocol.spec["device_class"].as_string()
    return select(Protocol.id).where(device_class.in_(settings.device_classes))
