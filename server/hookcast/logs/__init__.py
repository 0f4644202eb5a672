"""Structured logs on standard error: human-readable lines on a terminal, JSON everywhere else."""

from structlog.typing import FilteringBoundLogger

from hookcast.logs.loggers import get_access_logger, get_logger
from hookcast.logs.requests import claimed_request_id, http_request_id
from hookcast.logs.setup import CRITICAL, LEVELS, WARNING, close, configure, last_line
from hookcast.logs.texts import hold_secrets, path_shown, secret_in, shown
from hookcast.logs.throttle import Throttle

__all__ = [
    "CRITICAL",
    "LEVELS",
    "WARNING",
    "FilteringBoundLogger",
    "Throttle",
    "claimed_request_id",
    "close",
    "configure",
    "get_access_logger",
    "get_logger",
    "hold_secrets",
    "http_request_id",
    "last_line",
    "path_shown",
    "secret_in",
    "shown",
]
