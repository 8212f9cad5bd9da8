"""Alembic scripts, packaged with the wheel."""
