"""The journal: what happened to a job, in order, in words that an operator can follow; pure.

A line is written in the transaction of the change that it tells of, or noted and written with the next batch.
"""

from hookcast.journal.changes import Happening, lines_of
from hookcast.journal.findings import Case, Finding, findings
from hookcast.journal.lines import ROOM, Event, Line, line
from hookcast.journal.notebook import Notebook
from hookcast.journal.refusals import Refusal, Refusals

__all__ = [
    "ROOM",
    "Case",
    "Event",
    "Finding",
    "Happening",
    "Line",
    "Notebook",
    "Refusal",
    "Refusals",
    "findings",
    "line",
    "lines_of",
]
