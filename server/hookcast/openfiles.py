"""The limit of open files, of which each connection takes one."""

import contextlib
import resource


def raise_open_files() -> int:
    """Raise the limit of open files to what the system allows this process, and answer it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # a limit that may not be raised is kept
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
