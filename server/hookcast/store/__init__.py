"""The truth: jobs in a database, by verbs of the domain. Only this package knows SQLAlchemy."""

from hookcast.store.jobs import Change, JobPage, JobQuery, JobStore, migrate, open_store

__all__ = ["Change", "JobPage", "JobQuery", "JobStore", "migrate", "open_store"]
