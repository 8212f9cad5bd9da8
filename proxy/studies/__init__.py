"""Studies: whether rankings by proxies agree with tuned large models, rate by rate. What one is made of, how its
corpora are made, and the tables that come out."""

from proxy.studies.definition import (
    Beginnings,
    CorpusMaking,
    PlantedNearDuplicates,
    Proxies,
    References,
    StudyDefinition,
    TokenizerTraining,
)
from proxy.studies.requests import StudyRecipe, StudyRequest

__all__ = [
    "Beginnings",
    "CorpusMaking",
    "PlantedNearDuplicates",
    "Proxies",
    "References",
    "StudyDefinition",
    "StudyRecipe",
    "StudyRequest",
    "TokenizerTraining",
]
