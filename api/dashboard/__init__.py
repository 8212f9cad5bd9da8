"""The page: a leaderboard, its agreement with references and the runs in progress, rendered on the server.

Everything it loads it serves itself; without JavaScript it loses nothing but the live refresh.
"""
