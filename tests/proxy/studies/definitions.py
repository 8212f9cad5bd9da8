"""A definition that is right, for tests to break."""

from typing import Any

SHAPE = {"layers": 1, "width": 16, "heads": 1, "hidden": 16, "context_tokens": 16, "vocabulary": 300}


def definition(**changes: Any) -> dict[str, Any]:
    """Three recipes of corpora called web and code, on a suite of a corpus called held."""
    protocol = {"architecture": SHAPE, "batch_sequences": 2, "steps": 4, "precision": "fp32"}
    sources = [{"corpus": "web", "weight": 1}, {"corpus": "code", "weight": 1}]
    recipes = [("even", sources), ("only-web", sources[:1]), ("only-code", sources[1:])]
    content = {
        "name": "little",
        "tokenizer": "bpe",
        "suites": [{"name": "held-out", "sets": [{"name": "held", "corpus": "held", "cluster_field": "page"}]}],
        "recipes": [{"name": name, "tags": {"axis": "mixture"}, "sources": own} for name, own in recipes],
        "proxies": {"protocol": protocol, "rates": [1e-3, 1e-2], "seeds": 2},
        "references": {
            "protocol": {**protocol, "architecture": {**SHAPE, "width": 32}},
            "rates": [1e-3, 1e-2, 1e-1],
            "seeds": 2,
        },
    }
    return {**content, **changes}
