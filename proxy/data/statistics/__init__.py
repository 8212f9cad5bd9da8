"""Text statistics by name, for filters and quantiles: pure functions of a text, linear in its length.

A text is analysed once for all statistics asked for (`measure`, `compute_many`). Working memory is about 10 bytes a
character of ordinary text, and at most about 30 where words or lines have one character.
"""

from proxy.data.statistics.registry import (
    STATISTICS,
    Statistic,
    column_name,
    compute_many,
    find_statistic,
    measure,
)
from proxy.data.statistics.view import TextView

__all__ = ["STATISTICS", "Statistic", "TextView", "column_name", "compute_many", "find_statistic", "measure"]
