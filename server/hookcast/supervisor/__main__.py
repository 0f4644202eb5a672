"""`python -m hookcast.supervisor FD COUNT LEVEL`: what `become` starts."""

import sys

from hookcast.supervisor.log import Log
from hookcast.supervisor.workers import Workers


def main() -> None:
    """Run the workers until a signal arrives and the last one has exited."""
    fd, count, level = sys.argv[1:]
    log = Log(level)
    sys.excepthook = log.crashed
    Workers(int(fd), int(count), log).run()


if __name__ == "__main__":
    main()
