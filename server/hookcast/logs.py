"""Structured logs on standard error: lines for people on a terminal, JSON everywhere else."""

import logging
import sys

import structlog
from structlog.typing import FilteringBoundLogger, Processor

WARNING = logging.WARNING
CRITICAL = logging.CRITICAL

# httpx logs every URL that it asks for at INFO with its query, and uvicorn every WebSocket's.
_QUIET = ("httpx", "httpcore", "aiosqlite", "alembic", "asyncio", "uvicorn", "uvicorn.error", "websockets")


def configure(*, level: int = logging.INFO, terminal: bool | None = None) -> None:
    """Send structlog's and the standard library's records through one formatter. Call once, at the start."""
    people = sys.stderr.isatty() if terminal is None else terminal
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    finish: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not people:
        finish.append(structlog.processors.format_exc_info)
    formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*finish, renderer])
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose events are short names with key=value facts; never pass it a secret or a payload."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger
