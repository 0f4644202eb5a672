"""The Python client: submit jobs to a Hookcast server and wait for their results.

async with Hookcast("http://127.0.0.1:8000", token="…") as client:
    submitted = await client.submit("fal-ai/flux/dev", {"prompt": "a cat"})
    result = await client.wait(submitted.request_id, timeout=600)
"""

from hookcast.client.api import Hookcast
from hookcast.client.attempts import Notice
from hookcast.client.errors import (
    AccessRefused,
    ClientError,
    DeadlinePassed,
    JobCancelled,
    JobFailed,
    NotFound,
    Refused,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from hookcast.client.ladder import Transport
from hookcast.client.model import Job, LogLine, MediaFile, Progress, Submitted
from hookcast.client.operating import Entry, Finding, Journal, Page
from hookcast.client.token import Token

__all__ = [
    "AccessRefused",
    "ClientError",
    "DeadlinePassed",
    "Entry",
    "Finding",
    "Hookcast",
    "Job",
    "JobCancelled",
    "JobFailed",
    "Journal",
    "LogLine",
    "MediaFile",
    "NotFound",
    "Notice",
    "Page",
    "Progress",
    "Refused",
    "Submitted",
    "Token",
    "Transport",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
]
