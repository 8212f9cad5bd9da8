"""Replications: extra seeds are given out look by look until the best recipes, or the order of all, are known.

A replication is a row over ordinary evaluations, as a rate search is: nothing of it lives outside the database. Its
runs are claimed, leased and resumed like any others. Whoever finds that its round has ended takes the next look: the
worker that ended the last run, a post that sends it again, or the reconciler. A look and the round that follows it are
one transaction under the row's lock, so each look is taken once, whoever is killed. The statistics are
proxy.ranking.replication.
"""

from worker.replications.racing import advance_replication, advance_replications
from worker.replications.reports import error_spent
from worker.replications.requests import ReplicationRequest
from worker.replications.statements import conclusion_of
from worker.replications.submission import (
    cancel_replication,
    estimate_replication,
    get_replication,
    list_replications,
    progress_of,
    submit_replication,
)

__all__ = [
    "ReplicationRequest",
    "advance_replication",
    "advance_replications",
    "cancel_replication",
    "conclusion_of",
    "error_spent",
    "estimate_replication",
    "get_replication",
    "list_replications",
    "progress_of",
    "submit_replication",
]
