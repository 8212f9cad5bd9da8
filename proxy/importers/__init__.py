"""Importers: other systems' recipe files become recipes, with a report of what could not be carried over.

One module a format; `registry.py` recognises them, `reading.py` parses whatever is sent, `job.py` keeps the account of
every field, `steps.py` turns filter steps into ours, `report.py` is the answer.
"""

from proxy.importers.registry import AUTO, FORMATS, import_recipe
from proxy.importers.report import ImportReport, Kind, Loss

__all__ = ["AUTO", "FORMATS", "ImportReport", "Kind", "Loss", "import_recipe"]
