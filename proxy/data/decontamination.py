"""Decontamination: which documents of a corpus hold much of a text of a protocol's decontamination set.

One pass over the corpus makes a column: the largest share of any one held-out text's word n-grams that a document
holds (overlap.py), float64[D]. The column is named after the set's content, so it is found without the set. Removing
every document with a single shared n-gram instead would have taken 14 % of an ordinary mixed corpus.
"""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from proxy.data.columns import TextColumn
from proxy.data.fields import BoolArray
from proxy.data.ngram_sets import NORMALISATION
from proxy.data.overlap import NgramSet, greatest_share
from proxy.fingerprints import fingerprint
from proxy.protocols import Decontamination


def overlap_name(settings: Decontamination) -> str:
    """Of the column; the share from which a document is removed is not part of it."""
    prompts = "" if settings.prompt_field is None else f"-after-{fingerprint(settings.prompt_field)}"
    return f"overlap-{NORMALISATION}-{settings.words}-{settings.corpus}{prompts}"


def overlap_column(settings: Decontamination, ngrams: NgramSet) -> TextColumn:
    """The greatest share of every document."""
    return TextColumn(name=overlap_name(settings), dtype=np.float64, compute=partial(_share, ngrams))


def contaminated(settings: Decontamination, column: npt.NDArray[Any]) -> BoolArray:
    """Documents that are removed, bool[D]."""
    return np.asarray(column >= settings.share)


def _share(ngrams: NgramSet, text: str) -> float:
    return greatest_share(text, ngrams)
