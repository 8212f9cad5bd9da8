"""What a plan knows of a corpus: everything a document but its text, in arrays that share the table's row order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.documents import DocumentTable, Int64Array
from proxy.data.fields import BoolArray, FieldColumn, Float64Array
from proxy.data.statistics import column_name, find_statistic
from proxy.errors import InvalidInputError
from proxy.recipes import Measure


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """`columns` are numbers computed from the text, by column name. `contaminated` marks documents that overlap with
    the decontamination set, bool[D]. Without `token_counts`, int64[D], the text's bytes stand in: an upper bound.

    Of a sample, `documents` are those of the whole corpus, and each byte of the sample's text stands for `scale`.
    """

    table: DocumentTable
    token_counts: Int64Array | None = None
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    contaminated: BoolArray | None = None
    documents: int | None = None
    scale: float = 1.0
    is_estimate: bool = False

    def scaled(self, documents: int) -> int:
        """Documents of the table as documents of the corpus."""
        whole = len(self.table) if self.documents is None else self.documents
        return round(documents * whole / max(len(self.table), 1))

    def cost(self, rows: Int64Array) -> Int64Array:
        """Tokens of some documents, each with the end of text before it, int64[K]."""
        counts = self.table.text_bytes if self.token_counts is None else self.token_counts
        cost_K = np.asarray(counts, dtype=np.int64)[rows]
        cost_K += 1
        return cost_K

    def statistic(self, name: str) -> Float64Array:
        """A statistic of every text, float64[D]."""
        return np.asarray(self.columns[column_name(find_statistic(name))], dtype=np.float64)

    def field_column(self, name: str, pointer: str) -> FieldColumn:
        """A field that the corpus was registered with; InvalidInputError at `pointer` for another."""
        if name not in self.table.fields:
            known = ", ".join(sorted(self.table.fields)) or "none"
            raise InvalidInputError.at(pointer, name, f"the corpus was registered without this field; it has {known}")
        return self.table.fields[name]

    def values(self, measure: Measure, rows: Int64Array, pointer: str) -> Float64Array:
        """The measure of some rows, float64[K]; InvalidInputError if one of these documents has none."""
        if measure.statistic is not None:
            return self.statistic(measure.statistic)[rows]
        assert measure.field is not None
        values_K = self.field_column(measure.field, f"{pointer}/field").numbers(f"{pointer}/field")[rows]
        if lacking := int(np.isnan(values_K).sum()):
            message = f"{lacking} of the {len(rows)} documents that reach this step lack it, or hold NaN"
            raise InvalidInputError.at(f"{pointer}/field", measure.field, message)
        return np.asarray(values_K, dtype=np.float64)
