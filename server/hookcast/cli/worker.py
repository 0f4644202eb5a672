"""`hookcast serve --fd N`: a worker of `--workers`, on the listening socket that it inherits.

`__main__` imports it directly, so that a worker holds nothing of the command line.
"""

import os
import sys
from pathlib import Path

from hookcast.cli import installation
from hookcast.cli.endings import ending
from hookcast.errors import UsageError
from hookcast.supervisor import metrics


def main() -> None:
    """Run a worker."""
    with ending():
        installation.check()
        _serve(sys.argv[3:])


def _serve(arguments: list[str]) -> None:
    alone = _alone()  # before prometheus_client is imported
    from hookcast import logs  # noqa: PLC0415 - after the check
    from hookcast.cli import node  # noqa: PLC0415
    from hookcast.serving.server import adopt  # noqa: PLC0415
    from hookcast.settings import load_settings  # noqa: PLC0415

    if len(arguments) != 1 or not arguments[0].isdecimal():
        raise UsageError("--fd takes the number of a listening socket, and no other option.")
    settings = load_settings()
    node.begin_log(settings, pid=True)
    if alone is not None:
        logs.get_logger(__name__).warning("metrics_of_each_worker_alone", reason=alone)
    node.run(settings, adopt(int(arguments[0])), f"Worker {os.getpid()} serves.", worker=True)


def _alone() -> str | None:
    """Keep this worker's metrics out of the shared folder if they have no room there, and return why."""
    folder = os.environ.get(metrics.FOLDER)
    try:
        if folder is not None:
            metrics.take_room(Path(folder), os.getpid())
    except OSError as error:
        del os.environ[metrics.FOLDER]
        return str(error)
    return None
