"""What sets two recipes apart, as content: names, tags and the order of sources do not count.

Sources are paired by corpus within a phase, first those that are the same word for word, then in canonical order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.fingerprints import fingerprint
from proxy.recipes.canonical import canonical_recipe
from proxy.recipes.recipe import Recipe

Canonical = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`path` says where ("sources/web/share", "phases/1/order"); a side that has nothing there is None."""

    path: str
    a: Any
    b: Any


def compare_specifications(
    a: Recipe, b: Recipe, corpora_a: Mapping[str, str], corpora_b: Mapping[str, str]
) -> list[Difference]:
    """All differences; none for recipes of one fingerprint. `corpora_*`: content of each source's reference."""
    names = {print_: reference for corpora in (corpora_b, corpora_a) for reference, print_ in corpora.items()}
    return list(_compared("", canonical_recipe(a, corpora_a), canonical_recipe(b, corpora_b), names))


def _compared(path: str, a: Canonical, b: Canonical, names: Mapping[str, str]) -> Iterator[Difference]:
    for key in sorted({*a, *b}):
        place = f"{path}{key}"
        left, right = a.get(key), b.get(key)
        if key == "phases":
            yield from _phases(place, left or [], right or [], names)
        elif key == "sources":
            yield from _sources(place, left or [], right or [], names)
        elif left != right:
            yield Difference(path=place, a=left, b=right)


def _phases(
    path: str, a: Sequence[Canonical], b: Sequence[Canonical], names: Mapping[str, str]
) -> Iterator[Difference]:
    for index in range(max(len(a), len(b))):
        left = a[index] if index < len(a) else {}
        right = b[index] if index < len(b) else {}
        yield from _compared(f"{path}/{index}/", left, right, names)


def _sources(
    path: str, a: Sequence[Canonical], b: Sequence[Canonical], names: Mapping[str, str]
) -> Iterator[Difference]:
    rest_a, rest_b = _unshared(a, b), _unshared(b, a)
    for content in dict.fromkeys(_content(entry) for entry in (*rest_a, *rest_b)):
        lefts = [entry for entry in rest_a if _content(entry) == content]
        rights = [entry for entry in rest_b if _content(entry) == content]
        for index in range(max(len(lefts), len(rights))):
            place = f"{path}/{names.get(content, content)}"
            left = lefts[index] if index < len(lefts) else None
            right = rights[index] if index < len(rights) else None
            if left is None or right is None:
                yield Difference(path=place, a=left, b=right)
            else:
                yield from _compared(f"{place}/", left, right, names)


def _unshared(entries: Sequence[Canonical], others: Sequence[Canonical]) -> list[Canonical]:
    """Entries that the other side has not, or has less often."""
    left = [fingerprint(other) for other in others]
    found = []
    for entry in entries:
        if (own := fingerprint(entry)) in left:
            left.remove(own)
        else:
            found.append(entry)
    return found


def _content(entry: Canonical) -> str:
    """The corpus of a source; the corpora of a group that is weighted by size."""
    if "corpus" in entry:
        return str(entry["corpus"])
    return "+".join(sorted(_content(inner) for inner in entry["sources"]))
