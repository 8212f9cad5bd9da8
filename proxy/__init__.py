"""The science: recipes, protocols, sampling plans, proxy training and the statistics of ranking.

Knows nothing of the web, the queue, the database or the environment.
"""

NUMERICS_VERSION = 1
"""Raised whenever a fix to our own code changes the result of a run; part of every protocol."""
