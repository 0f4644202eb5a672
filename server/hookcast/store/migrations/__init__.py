"""Alembic's migrations; `hookcast serve` runs the missing ones at its start."""
