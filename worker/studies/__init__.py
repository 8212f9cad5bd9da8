"""Studies: recipes at every rate of a ladder against tuned references, and what their runs came to.

A study is a row over ordinary evaluations, as a rate search or a replication is: nothing of it lives outside the
database. Its runs are claimed, leased and resumed like any others. When a sweep has ended, whoever finds it (the worker
that ended its last run, a post that sends the study again, or the reconciler) registers the references and asks for
more seeds at the best rate, and again where these move it, in one transaction under the row's lock; so a study goes on
when no client is there, and whoever is killed loses nothing. The report is worker.studies.reports, computed from the
store at any time.
"""

from worker.studies.advancing import advance_studies, advance_study
from worker.studies.progress import progress_of
from worker.studies.submission import cancel_study, estimate_study, get_study, list_studies, submit_study

__all__ = [
    "advance_studies",
    "advance_study",
    "cancel_study",
    "estimate_study",
    "get_study",
    "list_studies",
    "progress_of",
    "submit_study",
]
