"""Finished runs as Hugging Face checkpoints."""

from sqlalchemy.orm import Session

from proxy.errors import ConflictError, NotFoundError
from proxy.exports import ExportFile, checkpoint_files
from proxy.protocols import Protocol
from worker.artifacts import relative_path, tokenizer_path
from worker.evaluation_runs import get_run
from worker.settings import Settings
from worker.sharing import find_file
from worker.store.states import State


def export_files(session: Session, settings: Settings, run_id: str) -> list[ExportFile]:
    """The files of a run's checkpoint. NotFoundError for an unknown run, or one whose files are gone; ConflictError
    for one that is not finished."""
    run = get_run(session, run_id)
    if run.state != State.FINISHED:
        raise ConflictError(f"run {run.id} is {run.state}: only a finished run has weights to export")
    if run.checkpoint is None:
        raise NotFoundError(f"run {run.id} has no stored checkpoint")
    protocol = Protocol.model_validate(run.protocol.spec)
    checkpoint = find_file(settings, run.checkpoint)
    tokenizer = find_file(settings, relative_path(settings, tokenizer_path(settings, protocol.tokenizer)))
    for path in (checkpoint, tokenizer):
        if not path.is_file():
            raise NotFoundError(f"run {run.id} cannot be exported: {path.name} is no longer stored")
    return checkpoint_files(protocol.architecture, checkpoint, tokenizer.read_text(encoding="utf-8"))
