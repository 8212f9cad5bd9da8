"""What is shown is in the address: protocol, suite, reference set, order, words to find, axes of the scatter, the two
recipes `a` and `b` that are compared, whether the suite's `weights` are varied, whether `flips` over learning rates are
looked for in a long ranking, and whether `scales` are compared, with the `parameters` and `tokens` of the target."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

SORTS = ("rank", "recipe", "score", "p_best", "seeds")
VIEWS = ("values", "ranks")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The query of the page; empty means the default. An order starts with "-" when it is turned round."""

    protocol: str = ""
    suite: str = ""
    reference_set: str = ""
    sort: str = ""
    find: str = ""
    view: str = ""
    a: str = ""
    b: str = ""
    weights: str = ""
    flips: str = ""
    scales: str = ""
    parameters: str = ""
    tokens: str = ""

    @property
    def is_pair(self) -> bool:
        """True if two recipes are to be compared."""
        return bool(self.a and self.b)

    @property
    def column(self) -> str:
        """The column that orders the table; anything unknown is the rank."""
        name = self.sort.removeprefix("-")
        return name if name in SORTS else "rank"

    @property
    def is_reversed(self) -> bool:
        """True if the worst comes first."""
        return self.sort.startswith("-")

    @property
    def shows_ranks(self) -> bool:
        """True if the scatter's axes are ranks."""
        return self.view == "ranks"

    def order(self, column: str) -> str:
        """ARIA's word for how a column is sorted."""
        if column != self.column:
            return "none"
        return "descending" if self.is_reversed else "ascending"

    def url(self, **changes: str) -> str:
        """The relative address of the page with some of the selection changed; never empty."""
        kept = {name: value for name, value in replace(self, **changes).__dict__.items() if value}
        return f"?{urlencode(kept)}"

    def sort_url(self, column: str) -> str:
        """The address that sorts by a column, or turns it round if it is sorted by it already."""
        turned = column == self.column and not self.is_reversed
        order = f"-{column}" if turned else column
        return self.url(sort="" if order == "rank" else order)
