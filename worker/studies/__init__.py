"""Studies: what the runs of a definition came to, read from the store."""

from worker.studies.reports import build_report

__all__ = ["build_report"]
