"""Loggers. Events are short names with key=value fields; never log a secret or a payload.

docs/logs.md lists every event; a test compares it with the code.
"""

import logging

import structlog
from structlog.typing import FilteringBoundLogger


def get_logger(name: str) -> FilteringBoundLogger:
    """Return a logger, which obeys HOOKCAST_LOG_LEVEL."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def get_access_logger() -> FilteringBoundLogger:
    """Return the logger of the access log, whose lines have a switch of their own: no level hides them."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        None, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )
    return logger
