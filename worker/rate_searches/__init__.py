"""Rate searches: a ladder of ordinary evaluations, and the rule applied to what came of them.

Nothing of a search lives outside the database. Its runs are claimed, leased and resumed like any others; it is
concluded by whoever finds that its last evaluation has ended: the worker that ended it, a post that sends the search
again, or the reconciler. So a worker or a service that is killed at any moment loses nothing. The rule itself is
proxy.ranking.rate_search.
"""

from worker.rate_searches.conclusions import conclude_search, conclude_searches
from worker.rate_searches.ladders import SearchRequest
from worker.rate_searches.submission import (
    cancel_search,
    estimate_search,
    get_search,
    list_searches,
    progress_of,
    submit_search,
)

__all__ = [
    "SearchRequest",
    "cancel_search",
    "conclude_search",
    "conclude_searches",
    "estimate_search",
    "get_search",
    "list_searches",
    "progress_of",
    "submit_search",
]
