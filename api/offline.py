"""`foretaste agreement --proxy a.csv --reference b.csv`: two tables compared on this machine, without a service."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from api.connection import read_bytes
from proxy.errors import InvalidInputError
from proxy.ranking.agreement import Direction
from proxy.results.comparison import Comparison, compare_tables
from proxy.results.scores import parse_where, read_scores

LARGEST_FILE_BYTES = 200_000_000


def compare_files(
    proxy: Path,
    reference: Path,
    *,
    direction: Direction,
    proxy_direction: Direction | None = None,
    proxy_where: Sequence[str] = (),
    reference_where: Sequence[str] = (),
) -> Comparison:
    """The proxy's direction is the reference's unless it is given."""
    own_direction = proxy_direction or direction
    proxy_filter = [parse_where(text) for text in proxy_where]
    reference_filter = [parse_where(text) for text in reference_where]
    return compare_tables(
        read_scores(_read(proxy), str(proxy), own_direction, proxy_filter),
        read_scores(_read(reference), str(reference), direction, reference_filter),
        direction,
        own_direction,
    )


def as_body(comparison: Comparison, proxy: Path, reference: Path) -> dict[str, Any]:
    """What the terminal's table shows, in the form of the service's answer."""
    return {"proxy_set": proxy.name, "reference_set": reference.name, **comparison.as_json()}


def _read(path: Path) -> bytes:
    content = read_bytes(path)
    if len(content) > LARGEST_FILE_BYTES:
        raise InvalidInputError.at(str(path), len(content), f"is larger than {LARGEST_FILE_BYTES:,} bytes")
    return content
