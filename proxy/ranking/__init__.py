"""Statistics of ranking: uncertainty, ranks, agreement with references, labels of sweeps, gates.

Pure numbers in, figures out. SciPy is imported where it is used: the HTTP process reads these modules and must stay
small.
"""
