"""How a command ends: one line and an exit code for each error that is not a bug."""

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from hookcast import logs
from hookcast.errors import HookcastError, SettingsError, StoreRefused, StoreUnavailable, UsageError


@contextmanager
def ending() -> Iterator[None]:
    """End the process with one line and exit code 1 or 2 on an error."""
    warnings.filterwarnings("ignore", message="The HMAC key is")  # PyJWT's warning; `strength` reports it instead
    try:
        yield
    except (SettingsError, UsageError) as error:
        sys.exit(_complain(error, 2))
    except StoreUnavailable as error:
        sys.exit(_complain(HookcastError(error.reason), 2 if isinstance(error, StoreRefused) else 1))
    except HookcastError as error:
        sys.exit(_complain(error, 1))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EIO, errno.EDQUOT}:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the output still buffered cannot be written either
        sys.exit(_complain(HookcastError(f"The output cannot be written: {error.strerror}."), 1))


def _complain(error: HookcastError, code: int) -> int:
    if not logs.last_line(str(error), code):
        sys.stderr.write(f"hookcast: {error}\n")
    return code
