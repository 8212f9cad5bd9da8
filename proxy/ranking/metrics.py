"""Which direction is better, where a metric's name says so: a wrong one turns an agreement into its opposite."""

from proxy.ranking.agreement import Direction

KNOWN_DIRECTIONS: dict[str, Direction] = {
    "bits_per_byte": "lower",
    "bpb": "lower",
    "loss": "lower",
    "perplexity": "lower",
    "ppl": "lower",
    "accuracy": "higher",
    "core_v1": "higher",
    "core_v2": "higher",
}
TELLING_ENDS = ("loss", "perplexity", "bits_per_byte", "accuracy")


def known_direction(metric: str) -> Direction | None:
    """By the name before any `/` (`val_loss/pile_cc` is a loss), or its last words; None if the name does not say."""
    name = metric.strip().lower().partition("/")[0].replace(" ", "_").replace("-", "_")
    if name in KNOWN_DIRECTIONS:
        return KNOWN_DIRECTIONS[name]
    return next((KNOWN_DIRECTIONS[end] for end in TELLING_ENDS if name.endswith(f"_{end}")), None)
