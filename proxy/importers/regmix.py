"""RegMix mixture YAML (Liu et al. 2024, arXiv 2407.01492; sail-sg/regmix, mixture_config): a weight a domain."""

from typing import Any

from proxy.importers.job import Job, require_positive
from proxy.importers.reading import as_number, read_mapping, step_into
from proxy.importers.report import Kind

OTHER_FIELDS = {
    "valid": (Kind.EVALUATION, "held-out domains belong to the suite"),
    "model_name": (Kind.TRAINING, "the protocol says which model is trained"),
}


def looks_like_regmix(content: Any) -> bool:
    """A mapping with a mapping under `train`, most of whose values are numbers and none of which holds others."""
    train = content.get("train") if isinstance(content, dict) else None
    if not isinstance(train, dict) or not train or any(isinstance(one, dict | list) for one in train.values()):
        return False
    return 2 * sum(as_number(one) is not None for one in train.values()) > len(train)


def read_regmix(job: Job) -> list[dict[str, Any]]:
    """One recipe: a source a domain, zero weights too."""
    content = read_mapping("", job.content)
    train = read_mapping("/train", content.get("train"))
    sources: list[dict[str, Any]] = [
        {"corpus": job.corpus(pointer, domain), "weight": job.weight(pointer, weight)}
        for domain, weight in train.items()
        for pointer in [step_into("/train", domain)]
    ]
    require_positive("/train", [source["weight"] for source in sources])
    job.lose_known(OTHER_FIELDS, content)
    return [{"name": job.recipe_name(otherwise="regmix"), "sources": sources}]
