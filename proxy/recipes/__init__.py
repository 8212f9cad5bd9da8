"""The recipe language: what a proxy is trained on, said once, immutable and content-addressed.

`specification.py` holds what every specification shares, `filters.py` the steps that choose documents, `sources.py`
corpora and groups of them, `recipe.py` the whole, `canonical.py` its fingerprint, `differences.py` what sets two apart.
"""

from proxy.recipes.canonical import canonical_recipe, fingerprint_recipe
from proxy.recipes.filters import (
    FieldFilter,
    Filter,
    HeuristicFilter,
    LengthFilter,
    Measure,
    QuantileFilter,
    StatisticFilter,
)
from proxy.recipes.recipe import Mixture, Order, Phase, Recipe, Target
from proxy.recipes.sources import Group, Leaf, NearDedup, Repeat, Source, leaves_of
from proxy.recipes.specification import LARGEST_WEIGHT, Name, Specification

__all__ = [
    "LARGEST_WEIGHT",
    "FieldFilter",
    "Filter",
    "Group",
    "HeuristicFilter",
    "Leaf",
    "LengthFilter",
    "Measure",
    "Mixture",
    "Name",
    "NearDedup",
    "Order",
    "Phase",
    "QuantileFilter",
    "Recipe",
    "Repeat",
    "Source",
    "Specification",
    "StatisticFilter",
    "Target",
    "canonical_recipe",
    "fingerprint_recipe",
    "leaves_of",
]
