"""Alembic's scripts, in the order of their revisions."""
