"""The job store, the source of truth: jobs in a database. Only this package uses SQLAlchemy."""

from hookcast.store.batching import Batch
from hookcast.store.changes import Change, Effects, Joining
from hookcast.store.database import migrate
from hookcast.store.inputs import KeptInput
from hookcast.store.inspection import Condition, inspect, room
from hookcast.store.jobs import JobStore, Named, Written, open_store
from hookcast.store.journal import Entry
from hookcast.store.listing import JobPage, JobQuery, Order
from hookcast.store.outlines import Outline
from hookcast.store.submits import Intent, Standing
from hookcast.store.work import Piece, Record, WorkTable

__all__ = [
    "Batch",
    "Change",
    "Condition",
    "Effects",
    "Entry",
    "Intent",
    "JobPage",
    "JobQuery",
    "JobStore",
    "Joining",
    "KeptInput",
    "Named",
    "Order",
    "Outline",
    "Piece",
    "Record",
    "Standing",
    "WorkTable",
    "Written",
    "inspect",
    "migrate",
    "open_store",
    "room",
]
