"""The job store, the source of truth: jobs in a database. Only this package uses SQLAlchemy."""

from hookcast.store.changes import Change
from hookcast.store.database import migrate
from hookcast.store.inspection import Condition, inspect
from hookcast.store.jobs import JobPage, JobQuery, JobStore, Written, open_store

__all__ = ["Change", "Condition", "JobPage", "JobQuery", "JobStore", "Written", "inspect", "migrate", "open_store"]
