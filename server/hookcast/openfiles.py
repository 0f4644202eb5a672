"""The limit of open files, and how the server shares them out; each connection takes one."""

import contextlib
import resource

RESERVED = 512  # left free by streams: for webhooks, health checks, the database, fal
OTHERS = 128  # of these, those that are no connections of clients
FEWEST_OTHERS = 40  # an idle server has 20 open, a busy one its connections to the database, Redis and fal as well
SPARE = 8  # connections that streams leave to others, however few there are


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard limit, and return the limit in effect."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # keep the limit where it may not be raised
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def shared_out(open_files: int) -> tuple[int, int]:
    """Return how many connections there may be at once, and how many of them may be streams."""
    others = min(OTHERS, max(open_files // 4, FEWEST_OTHERS))
    connections = max(open_files - others, 2 * SPARE)
    return connections, min(open_files - min(RESERVED, open_files // 2), connections - SPARE)
