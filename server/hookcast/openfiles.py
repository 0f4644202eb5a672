"""The limit of open files; each connection takes one."""

import contextlib
import resource


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard limit, and return the limit in effect."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # keep the limit where it may not be raised
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
